"""Generation where things are not as they should be: nothing is lost, and the way on is said."""

from __future__ import annotations

import re
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


def next_steps(printed: str) -> list[str]:
    """The numbered commands that are printed at the end, without their numbers."""
    numbered = re.findall(r"^  (\d)\. (.+)$", printed[printed.index("Next:") :], re.MULTILINE)
    assert [number for number, _ in numbered] == [str(number) for number in range(1, len(numbered) + 1)]
    return [command for _, command in numbered]


def test_three_next_steps_and_no_more(rendered) -> None:
    _, printed = rendered()
    assert next_steps(printed)[:2] == ["cd tumour-triage && make setup", "make train test"]
    assert len(next_steps(printed)) == 3


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


def test_without_identity_nothing_is_committed_until_the_first_step_that_is_printed(
    rendered, environ
) -> None:
    nobody = without_identity(environ)
    project, printed = rendered(environ=nobody)
    assert git(project, nobody, "rev-list", "--all") == ""
    assert (project / "dvc.yaml").is_file()
    first, second, *_ = next_steps(printed)
    assert second == "make setup"
    Path(nobody["GIT_CONFIG_GLOBAL"]).unlink(missing_ok=True)
    try:
        subprocess.run(["bash", "-euc", first], cwd=project.parent, env=nobody, check=True)
        assert git(project, nobody, "log", "--format=%an %s") == "Your Name Start from the template"
        assert git(project, nobody, "status", "--porcelain") == ""
    finally:
        Path(nobody["GIT_CONFIG_GLOBAL"]).unlink()


def test_without_network_the_project_is_complete_but_for_the_lock(rendered, environ, tmp_path: Path) -> None:
    offline = environ | {"UV_OFFLINE": "1", "UV_CACHE_DIR": str(tmp_path / "empty-cache")}
    project, printed = rendered(lock=True, environ=offline)
    assert next_steps(printed)[0].startswith("cd tumour-triage && uv lock && git add uv.lock && git commit")
    assert next_steps(printed)[1] == "make setup"
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
