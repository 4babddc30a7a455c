"""`make status`, `trace`, `promote`, `rollback`, `dashboard` in a generated project, before anything was delivered."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.fakes.git_remote import GitRemote
from tests.template.workbench import Workbench
from tools.template_files import render


@pytest.fixture(scope="module")
def bench(template: Path, environ: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Workbench:
    """A project whose main is on a remote that holds nothing else."""
    folder = tmp_path_factory.mktemp("commands")
    project, _ = render(template, folder, lock=False, environ=environ)
    remote = GitRemote.create(folder / "origin.git")
    remote.merge(project)
    made = Workbench(project, environ)
    made.succeed("git", "remote", "add", "origin", str(remote.path))
    made.succeed("git", "fetch", "--quiet", "origin")
    return made


def test_status_knows_the_environments(bench: Workbench) -> None:
    lines = bench.succeed("make", "status").printed.splitlines()
    assert [line.split()[:2] for line in lines[1:3]] == [["staging", "empty"], ["production", "empty"]]
    assert "production: nothing newer is there" in lines


def test_the_dashboard_is_one_page(bench: Workbench) -> None:
    bench.succeed("make", "dashboard")
    text = (bench.project / "reports" / "dashboard" / "index.html").read_text(encoding="utf-8")
    assert "production" in text


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("trace",), "say of what: make trace ID=r-..."),
        (("rollback",), "say where: make rollback ENV=production"),
        (("rollback", "ENV=production"), 'say why: make rollback ENV=production REASON="..."'),
    ],
)
def test_what_is_missing_is_asked_for(bench: Workbench, command: tuple[str, ...], said: str) -> None:
    assert said in bench.fail("make", *command).printed


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("trace", "ID=r-1a2b3c4d"), "No release on deploy-state has 'r-1a2b3c4d' in it."),
        (("promote",), "Nothing is promoted"),
        (("promote", "RELEASE=r-1a2b3c4d"), "r-1a2b3c4d"),
        (("rollback", "ENV=production", "REASON=it's slow; touch pwned"), "production"),
    ],
)
def test_what_cannot_be_is_one_error(bench: Workbench, command: tuple[str, ...], said: str) -> None:
    outcome = bench.fail("make", *command)
    assert len(outcome.errors) == 1, outcome.printed
    assert said in outcome.errors[0]
    assert not (bench.project / "pwned").exists()


def test_remote_actions_bring_the_same_commands(rendered, environ: Mapping[str, str]) -> None:
    answers = {"actions_source": "remote", "actions_repository": "acme/suite", "actions_ref": "v1.2.3"}
    project, _ = rendered(answers)
    verbs = ["status", "promote", "dashboard", "doctor", "settings", "trace", "ID=r-1", "compare"]
    shown = subprocess.run(
        ["make", "--dry-run", *verbs],
        cwd=project,
        env=dict(environ),
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    source = "uvx --from 'gitops-ml[deliver] @ git+https://github.com/acme/suite@v1.2.3#subdirectory=actions'"
    assert shown.count(source) == 6
    assert f"{source.replace('deliver', 'diff')} gitops-ml diff --base .base/reports" in shown
