"""`make template-update`: a repository follows its template, and nothing of its own is lost."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tools.template_files import PROJECT_FOLDER, copy_template, render


def git(folder: Path, environ: dict[str, str], *words: str) -> str:
    done = subprocess.run(["git", *words], cwd=folder, env=environ, capture_output=True, text=True)
    assert done.returncode == 0, f"git {words}: {done.stderr}"
    return done.stdout.strip()


@dataclass(frozen=True)
class Follower:
    """A repository generated from version v0.1.0 of a template, which has gone on to v0.2.0."""

    project: Path
    template: Path
    environ: dict[str, str]

    def git(self, *words: str) -> str:
        return git(self.project, self.environ, *words)

    def update(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = ["scripts/template-update", *words]
        return subprocess.run(command, cwd=self.project, env=self.environ, capture_output=True, text=True)

    def edit(self, name: str, old: str, new: str) -> None:
        path = self.project / name
        text = path.read_text(encoding="utf-8")
        assert text.count(old) == 1, f"{name} holds {old!r} {text.count(old)} times"
        path.write_text(text.replace(old, new), encoding="utf-8")

    def commit(self) -> str:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "Our own change")
        return self.git("rev-parse", "HEAD")


def release(template: Path, environ: dict[str, str], version: str) -> None:
    git(template, environ, "add", "--all")
    git(template, environ, "commit", "--quiet", "--message", version)
    git(template, environ, "tag", version)


@pytest.fixture
def follower(tmp_path: Path, environ: dict[str, str]) -> Follower:
    template = copy_template(tmp_path / "template")
    git(template, environ, "init", "--quiet", "--initial-branch=main")
    release(template, environ, "v0.1.0")
    project, _ = render(template, tmp_path / "out", {"project_slug": "ours"}, lock=False, environ=environ)
    readme = template / PROJECT_FOLDER / "README.md"
    text = readme.read_text(encoding="utf-8")
    assert text.count("## Serve it") == 1
    readme.write_text(text.replace("## Serve it", "## Serve the model"), encoding="utf-8")
    (template / PROJECT_FOLDER / "NEWS.md").write_text("<< cookiecutter.mood >>\n", encoding="utf-8")
    questions = json.loads((template / "cookiecutter.json").read_text(encoding="utf-8"))
    questions = {"mood": "a question that was not there"} | questions
    (template / "cookiecutter.json").write_text(json.dumps(questions), encoding="utf-8")
    release(template, environ, "v0.2.0")
    # A later commit without a version is not what a repository follows.
    (template / PROJECT_FOLDER / "UNRELEASED.md").write_text("x\n", encoding="utf-8")
    git(template, environ, "add", "--all")
    git(template, environ, "commit", "--quiet", "--message", "Work")
    return Follower(project, template, environ)


def test_what_it_was_made_from_is_recorded(follower: Follower) -> None:
    record = json.loads((follower.project / ".cookiecutter.json").read_text(encoding="utf-8"))
    assert record["template"] == str(follower.template)
    assert record["commit"] == git(follower.template, follower.environ, "rev-parse", "v0.1.0")
    assert record["answers"]["project_slug"] == "ours"
    assert not [question for question in record["answers"] if question.startswith("_")]


def test_local_changes_survive_and_the_new_version_arrives(follower: Follower) -> None:
    follower.edit("README.md", "## Where things are", "## Where our things are")
    (follower.project / "ours.txt").write_text("kept\n", encoding="utf-8")
    before = follower.commit()
    done = follower.update()
    assert done.returncode == 0, done.stderr
    readme = (follower.project / "README.md").read_text(encoding="utf-8")
    assert "## Serve the model" in readme
    assert "## Where our things are" in readme
    assert (follower.project / "NEWS.md").read_text(encoding="utf-8") == "a question that was not there\n"
    assert (follower.project / "ours.txt").is_file()
    assert not (follower.project / "UNRELEASED.md").exists()
    assert follower.git("status", "--porcelain") == ""
    assert follower.git("rev-parse", "main") == before
    assert follower.git("log", "--format=%s", "main..HEAD") == "Follow the template to v0.2.0"
    record = json.loads((follower.project / ".cookiecutter.json").read_text(encoding="utf-8"))
    assert record["commit"] == git(follower.template, follower.environ, "rev-parse", "v0.2.0")
    assert record["template"] == str(follower.template)
    assert record["answers"]["mood"] == "a question that was not there"
    again = follower.update()
    assert again.returncode == 0
    assert "already" in again.stdout


def test_a_conflict_is_an_ordinary_one_and_can_be_given_up(follower: Follower) -> None:
    follower.edit("README.md", "## Serve it", "## Serve ours")
    before = follower.commit()
    done = follower.update()
    assert done.returncode == 1
    assert "README.md" in done.stderr
    assert "git cherry-pick --abort" in done.stderr
    assert "<" * 7 in (follower.project / "README.md").read_text(encoding="utf-8")
    assert follower.git("diff", "--name-only", "--diff-filter=U") == "README.md"
    follower.git("cherry-pick", "--abort")
    assert follower.git("rev-parse", "HEAD") == before
    assert follower.git("status", "--porcelain") == ""


def test_a_conflict_can_be_settled(follower: Follower) -> None:
    follower.edit("README.md", "## Serve it", "## Serve ours")
    follower.commit()
    assert follower.update().returncode == 1
    follower.git("checkout", "--ours", "README.md")
    follower.git("add", "--all")
    follower.git("-c", "core.editor=true", "cherry-pick", "--continue")
    assert "## Serve ours" in (follower.project / "README.md").read_text(encoding="utf-8")
    assert (follower.project / "NEWS.md").is_file()
    assert "already" in follower.update().stdout


def test_check_changes_nothing(follower: Follower) -> None:
    before = follower.git("rev-parse", "HEAD")
    done = follower.update("--check")
    assert done.returncode == 0
    assert "v0.2.0" in done.stdout
    assert follower.git("rev-parse", "HEAD") == before
    assert follower.git("branch", "--format=%(refname:short)") == "main"


def test_a_commit_can_be_named(follower: Follower) -> None:
    assert follower.update("--to", "main").returncode == 0
    assert (follower.project / "UNRELEASED.md").is_file()


@pytest.mark.parametrize(
    ("spoil", "words", "said"),
    [
        (lambda f: (f.project / "README.md").write_text("half done\n"), (), "not committed"),
        (lambda f: None, ("--to", "v9.9.9"), "no tag, branch or commit v9.9.9"),
        (
            lambda f: ((f.project / ".cookiecutter.json").unlink(), f.commit()),
            (),
            ".cookiecutter.json cannot be read",
        ),
        (lambda f: ((f.project / ".cookiecutter.json").write_text("{}\n"), f.commit()), (), "does not hold"),
        (lambda f: f.template.rename(f.template.with_name("gone")), (), "git clone"),
        (lambda f: f.git("branch", "template-update-" + _target(f)), (), "exists already"),
    ],
    ids=["dirty", "unknown version", "no record", "empty record", "template gone", "branch is there"],
)
def test_what_cannot_begin_is_one_sentence_and_changes_nothing(
    follower: Follower, spoil, words, said
) -> None:
    spoil(follower)
    before, work = follower.git("rev-parse", "HEAD"), follower.git("status", "--porcelain")
    done = follower.update(*words)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert follower.git("rev-parse", "HEAD") == before
    assert follower.git("status", "--porcelain") == work


def _target(follower: Follower) -> str:
    return git(follower.template, follower.environ, "rev-parse", "v0.2.0")[:8]


def test_a_template_that_is_no_repository_is_said(tmp_path: Path, environ: dict[str, str]) -> None:
    project, _ = render(copy_template(tmp_path / "template"), tmp_path / "out", lock=False, environ=environ)
    done = subprocess.run(
        ["scripts/template-update"], cwd=project, env=environ, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "names no commit" in done.stderr


def test_a_change_of_packages_is_locked_in_the_same_commit(tmp_path: Path, environ: dict[str, str]) -> None:
    template = copy_template(tmp_path / "template")
    git(template, environ, "init", "--quiet", "--initial-branch=main")
    release(template, environ, "v0.1.0")
    project, _ = render(template, tmp_path / "out", environ=environ)
    packages = template / PROJECT_FOLDER / "pyproject.toml"
    text = packages.read_text(encoding="utf-8")
    assert text.count('"pytest>=') == 1
    packages.write_text(text.replace('"pytest>=', '"iniconfig>=2", "pytest>='), encoding="utf-8")
    release(template, environ, "v0.2.0")
    done = subprocess.run(
        ["scripts/template-update"], cwd=project, env=environ, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    changed = git(project, environ, "diff", "--name-only", "main", "HEAD").splitlines()
    assert changed == [".cookiecutter.json", "pyproject.toml", "uv.lock"]
    assert subprocess.run(["uv", "lock", "--check", "--quiet"], cwd=project, env=environ).returncode == 0


GH = """#!/bin/sh
printf '%s\\n' "$*" >>"$GH_SAID"
"""


def test_a_pull_request_is_opened_once(follower: Follower, tmp_path: Path) -> None:
    origin = tmp_path / "origin.git"
    git(tmp_path, follower.environ, "clone", "--quiet", "--bare", str(follower.project), str(origin))
    follower.git("remote", "add", "origin", str(origin))
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "gh").write_text(GH, encoding="utf-8")
    (tools / "gh").chmod(0o755)
    said = tmp_path / "said"
    path = f"{tools}:{follower.environ['PATH']}"
    without_token = Follower(follower.project, follower.template, follower.environ | {"PATH": path})
    assert "make template-update" in without_token.update("--open").stdout
    assert not said.exists()
    with_token = Follower(
        follower.project, follower.template, without_token.environ | {"GH_TOKEN": "t", "GH_SAID": str(said)}
    )
    done = with_token.update("--open")
    assert done.returncode == 0, done.stderr
    branch = "template-update-" + _target(follower)
    assert branch in git(origin, follower.environ, "branch", "--format=%(refname:short)").splitlines()
    assert [line.split()[0] for line in said.read_text().splitlines()] == ["auth", "pr"]
    # The next week's run starts from main, in another checkout.
    follower.git("switch", "--quiet", "main")
    follower.git("branch", "--quiet", "--delete", "--force", branch)
    assert "on the server already" in with_token.update("--open").stdout
    assert [line.split()[0] for line in said.read_text().splitlines()] == ["auth", "pr"]
