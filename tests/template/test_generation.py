"""Generation where things are not as they should be: nothing is lost, and the way on is said."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tools.template_files import RenderError


def git(project: Path, environ: dict[str, str], *words: str) -> str:
    done = subprocess.run(
        ["git", *words], cwd=project, env=environ, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def without_identity(environ: dict[str, str]) -> dict[str, str]:
    return {
        name: value for name, value in environ.items() if not name.startswith(("GIT_AUTHOR", "GIT_COMMITTER"))
    }


def test_one_commit_on_main_holds_everything(rendered, environ) -> None:
    project, printed = rendered()
    assert git(project, environ, "rev-parse", "--abbrev-ref", "HEAD") == "main"
    assert git(project, environ, "log", "--format=%an %s") == "Ada Tester Start from the template"
    assert git(project, environ, "status", "--porcelain") == ""
    assert "warning" not in printed


def test_three_next_steps_and_no_more(rendered) -> None:
    _, printed = rendered()
    steps = printed[printed.index("Next:") :].strip().splitlines()[1:]
    assert [line.strip()[:2] for line in steps] == ["1.", "2.", "3."]


def test_inside_another_repository_no_repository_is_made(rendered, environ, tmp_path: Path) -> None:
    outer = tmp_path / "outer"
    outer.mkdir()
    git(outer, environ, "init", "--quiet")
    project, printed = rendered(parent=outer)
    assert not (project / ".git").exists()
    assert "inside another git repository" in printed
    assert git(outer, environ, "rev-list", "--all") == ""


def test_a_hook_of_another_repository_does_not_leak_in(rendered, environ, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    git(other, environ, "init", "--quiet")
    project, _ = rendered(environ=environ | {"GIT_DIR": str(other / ".git")})
    assert (project / ".git").is_dir()
    assert git(other, environ, "rev-list", "--all") == ""


def test_without_identity_nothing_is_committed_and_the_command_is_said(rendered, environ) -> None:
    nobody = without_identity(environ)
    project, printed = rendered(environ=nobody)
    assert "git config user.name" in printed
    assert git(project, nobody, "rev-list", "--all") == ""
    assert (project / "dvc.yaml").is_file()


def test_without_network_the_project_is_complete_but_for_the_lock(rendered, environ, tmp_path: Path) -> None:
    offline = environ | {"UV_OFFLINE": "1", "UV_CACHE_DIR": str(tmp_path / "empty-cache")}
    project, printed = rendered(lock=True, environ=offline)
    assert "uv lock && git add uv.lock" in printed
    assert not (project / "uv.lock").exists()
    assert git(project, environ, "status", "--porcelain") == ""


def test_a_path_with_spaces(rendered, environ, tmp_path: Path) -> None:
    project, _ = rendered(parent=tmp_path / "my projects (new)")
    assert git(project, environ, "status", "--porcelain") == ""


def test_an_existing_folder_is_not_overwritten(rendered, tmp_path: Path) -> None:
    mine = tmp_path / "out" / "tumour-triage" / "notes.txt"
    mine.parent.mkdir(parents=True)
    mine.write_text("keep me", encoding="utf-8")
    with pytest.raises(RenderError, match="already exists"):
        rendered()
    assert [path.name for path in mine.parent.iterdir()] == ["notes.txt"]


def test_remote_actions_are_referenced_and_not_copied(rendered) -> None:
    answers = {"actions_source": "remote", "actions_repository": "acme/suite", "actions_ref": "v1.2.3"}
    project, _ = rendered(answers)
    workflows = "".join(path.read_text() for path in (project / ".github" / "workflows").glob("*.yml"))
    assert not (project / ".github" / "actions").exists()
    assert "./.github/actions" not in workflows
    assert "uses: acme/suite/actions/metric-diff@v1.2.3" in workflows


def test_vendored_actions_are_the_ones_of_this_template(rendered, template: Path) -> None:
    project, _ = rendered()
    ours = {
        path.relative_to(template / "actions"): path
        for path in (template / "actions").rglob("*")
        if path.is_file()
    }
    theirs = project / ".github" / "actions"
    assert {path.relative_to(theirs) for path in theirs.rglob("*") if path.is_file()} == set(ours)
    assert all((theirs / name).read_bytes() == path.read_bytes() for name, path in ours.items())
