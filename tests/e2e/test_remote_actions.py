"""`actions_source: remote`, executed: the actions come by git from this repository's own content, at a tag."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.actions.launching import launch
from tests.e2e import egress
from tests.e2e.act import Act, Suite, machine_environment
from tests.e2e.loop import IDENTITY, Loop
from tests.e2e.test_pull_request import TRAINED, read
from tests.fakes.contract import Contract
from tests.fakes.forge import Forge
from tests.fakes.git_remote import GitRemote
from tests.tools.required import need
from tools.template_files import copy_template, render

ANSWERS = {"project_slug": "model", "actions_source": "remote"}
# What a run has to have installed before, when it may reach no index.
OFFLINE = {"UV_OFFLINE": "1"}


@pytest.fixture(scope="module")
def remote(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loop]:
    """A project without actions of its own; nothing of it is trained here, so nothing is installed."""
    need("act")
    description = need("openapi")
    root = tmp_path_factory.mktemp("remote")
    template = copy_template(root / "template")
    environ = machine_environment() | IDENTITY | {"HOME": str(root), "COOKIECUTTER_CONFIG": "/dev/null"}
    project, _ = render(template, root / "out", ANSWERS, lock=False, environ=environ)
    answers = json.loads((template / "cookiecutter.json").read_text(encoding="utf-8"))
    suite = publish(template, root / "server", answers["actions_repository"], answers["actions_ref"], environ)
    origin = GitRemote.create(root / "origin.git")
    subprocess.run(["git", "config", "uploadpack.allowAnySHA1InWant", "true"], cwd=origin.path, check=True)
    with Forge(contract=Contract.load(description)) as forge:
        act = Act(root / "act", root / "store", origin.path, root / "none", suite=suite)
        made = Loop(project, origin.path, act, forge, main="")
        made.main = made.git("rev-parse", "HEAD")
        origin.merge(project)
        yield made


def publish(template: Path, server: Path, repository: str, tag: str, environ: dict[str, str]) -> Suite:
    """Put the template's files under a tag into the repository that a generated project names."""
    folder = server / repository
    folder.parent.mkdir(parents=True)
    template.rename(folder)
    for words in (
        ["init", "--quiet", "--initial-branch=main"],
        ["add", "--all"],
        ["commit", "--quiet", "--message", "Release"],
        ["tag", tag],
    ):
        subprocess.run(["git", *words], cwd=folder, env=environ, check=True)
    return Suite(server, folder / "actions")


@pytest.fixture
def installed(tmp_path: Path) -> None:
    """The packages of the sets that are used are in uv's cache."""
    for name in ("diff", "comment", "deliver"):
        done = launch(tmp_path, tmp_path / "runner", name, "--help")
        assert done.returncode == 0, done.stderr


def test_a_pull_request_is_judged_and_answered(remote: Loop, installed: None, tmp_path: Path) -> None:
    """Nothing is vendored, and but for the API and its storage nobody on the network is asked for anything."""
    assert not (remote.checkout / ".github" / "actions").exists()
    (remote.checkout / "docs").mkdir()
    (remote.checkout / "docs" / "how.md").write_text("More words.\n", encoding="utf-8")
    remote.commit("Explain it")
    pull = remote.open("docs")
    remote.act = replace(remote.act, environ=OFFLINE, trace=tmp_path / "judged")
    done, run = remote.train(pull)
    assert {job: done.results[job] for job in ("scope", "promotion", "metric-diff", "gate")} == dict.fromkeys(
        ("scope", "promotion", "metric-diff", "gate"), "success"
    ), done.log[-5000:]
    assert not TRAINED & {job for job, result in done.results.items() if result == "success"}
    assert (done.report()["verdict"], done.report()["model"]) == ("pass", "unchanged")
    assert egress.beyond(egress.connections(tmp_path / "judged")) == []

    remote.act = replace(remote.act, trace=tmp_path / "answered")
    commented = remote.comment(run)
    assert commented.results == {"comment": "success"}, commented.log[-5000:]
    (text,) = remote.comments(pull)
    assert "unchanged" in read(text)
    assert pull.sha[:7] in text
    seen = egress.connections(tmp_path / "answered")
    assert egress.beyond(seen, remote.forge.api_url, remote.forge.storage_url) == []
    asked = {urlsplit(address).port for address in (remote.forge.api_url, remote.forge.storage_url)}
    assert {one.port for one in seen} >= asked, "the trace has to see what the forge saw"


def test_without_that_version_nothing_of_the_run_starts(remote: Loop) -> None:
    """As when the tag was taken back, or the answer was mistyped."""
    remote.start(remote.main)
    workflow = remote.checkout / ".github" / "workflows" / "pull-request.yml"
    text = workflow.read_text(encoding="utf-8")
    assert "@v0.1.0" in text
    workflow.write_text(text.replace("@v0.1.0", "@v9.9.9"), encoding="utf-8")
    remote.commit("Ask for a version that is not there")
    remote.act = replace(remote.act, environ={}, trace=None)
    done, _ = remote.train(remote.open("missing"))
    assert done.code != 0
    assert 'version "v9.9.9"' in done.log
    assert "success" not in done.results.values(), done.results
    assert "Run Main" not in done.log, "a step ran"
    assert not done.artifacts.exists()
