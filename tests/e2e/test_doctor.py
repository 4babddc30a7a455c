"""The weekly look at the settings, as a run with the token that every run has: red, then green with warnings."""

from __future__ import annotations

from pathlib import Path

import pytest
from gitops_ml import cli

from tests.e2e.act import Act, ActRun, machine_environment
from tests.e2e.delivery import ON_MAIN
from tests.e2e.loop import IDENTITY, REPOSITORY, Loop, repository
from tests.fakes.contract import Contract
from tests.fakes.forge import Forge
from tests.fakes.git_remote import GitRemote
from tests.tools.required import need
from tools.template_files import copy_template, render


def look(loop: Loop, number: int) -> ActRun:
    """One run of the schedule on main."""
    payload = {"schedule": "37 6 * * 1", "repository": repository()}
    environ = {**ON_MAIN, "GITHUB_API_URL": loop.forge.api_url, "GITHUB_REPOSITORY": REPOSITORY}
    done = loop.act.run(loop.checkout, "doctor.yml", "schedule", payload, number, environ)
    assert loop.forge.violations == []
    return done


def test_the_weekly_run_is_red_until_the_settings_are_there_and_warns_of_what_it_may_not_see(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    need("act")
    environ = machine_environment() | IDENTITY | {"HOME": str(tmp_path), "COOKIECUTTER_CONFIG": "/dev/null"}
    answers = {"project_slug": "model"}
    project, _ = render(
        copy_template(tmp_path / "template"), tmp_path / "out", answers, lock=False, environ=environ
    )
    # What the packages are decides nothing here, only that they are written down.
    (project / "uv.lock").write_text("version = 1\n", encoding="utf-8")
    origin = GitRemote.create(tmp_path / "origin.git")
    with Forge(Contract.load(need("openapi"))) as forge:
        act = Act(tmp_path / "act", tmp_path / "store", origin.path, tmp_path / "venv")
        loop = Loop(project, origin.path, act, forge, main="")
        loop.main = loop.commit("Lock the packages")
        origin.merge(project, loop.main)
        forge.state.git = origin

        first = look(loop, 1)
        assert first.results == {"doctor": "failure"}, first.log[-5000:]
        assert "MISSING main can be pushed to directly" in first.log
        assert "MISSING the environment production is not there" in first.log
        assert "fix: make settings APPLY=1" in first.log

        for name, value in (
            ("GITHUB_TOKEN", forge.token_of("an-administrator")),
            ("GITHUB_SERVER_URL", "https://github.com"),
            ("GITHUB_REPOSITORY", REPOSITORY),
            ("GITHUB_API_URL", forge.api_url),
        ):
            monkeypatch.setenv(name, value)
        assert cli.main(["settings", "--apply", "--repository", str(project)]) == 0

        second = look(loop, 2)
        assert second.results == {"doctor": "success"}, second.log[-5000:]
        assert "main can be pushed to directly" not in second.log
        assert "ok      main waits for the check `gate`" in second.log
        assert "?       secrets of the repository: not visible to this token" in second.log
