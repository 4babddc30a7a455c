"""Attacks, executed: what a hostile pull request does to its own run, to the answer, and to what main delivers."""

from __future__ import annotations

import json
import re
import secrets
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from gitops_ml.engine import Docker
from gitops_ml.sticky import Marker

from tests.actions import samples
from tests.actions.launching import launch
from tests.e2e import canary, egress
from tests.e2e.act import Act, ActRun
from tests.e2e.attack import MARK, Trap, forged, take_over_workflows
from tests.e2e.canary import Canary
from tests.e2e.conftest import generate
from tests.e2e.delivery import Delivery
from tests.e2e.test_delivery import drop_images
from tests.e2e.test_pull_request import merge_base, metric, read
from tests.fakes.contract import Contract
from tests.fakes.forge import Forge
from tests.fakes.state import Pull, State
from tests.image.conftest import docker_environ, registry
from tests.tools.required import need

__all__ = ["docker_environ", "registry"]

# Which of them a job gets, its workflow says; none of them may be seen anywhere.
SECRETS = ("GITHUB_TOKEN", "REGISTRY_PASSWORD", "MLFLOW_TRACKING_PASSWORD", "DEPLOY_KUBE_CONFIG")


@dataclass
class Town(Delivery):
    """A repository whose runs on main have secrets, and whose runs of pull requests have none."""

    canaries: tuple[Canary, ...] = field(default_factory=lambda: tuple(map(Canary, SECRETS)))

    def trusted(self, log: Path) -> Act:
        """act with the secrets of main, cut off from package indexes; `log` tells to whom its runs connect."""
        given = {each.name: each.value for each in self.canaries}
        variables = {**self.act.variables, "REGISTRY_USERNAME": "robot"}
        return replace(self.act, secrets=given, variables=variables, environ={"UV_OFFLINE": "1"}, trace=log)

    def answered(self, run: Any, log: Path) -> tuple[ActRun, list[egress.Connection]]:
        """Run comment.yml of main; with whom it spoke but the API and its storage."""
        before, self.act = self.act, self.trusted(log)
        try:
            done = self.comment(run)
        finally:
            self.act = before
        beyond = egress.beyond(egress.connections(log), self.forge.api_url, self.forge.storage_url)
        return done, beyond

    def leaks(self) -> list[str]:
        """Where a secret stands that should not: in everything that outlives a run, and in what was sent."""
        # As people read it: what a step tells the runner to mask is not shown.
        logs = ((str(path), path.read_bytes()) for path in self.act.folder.rglob("log.txt"))
        places: Mapping[str, Any] = {
            "logs": logs,
            "artifacts and caches": canary.files(self.act.store),
            "artifacts on the forge": canary.artifacts(self.forge),
            "git": canary.objects(self.origin),
            "requests": canary.requests(self.forge),
            "texts": canary.texts(self.forge),
        }
        return canary.leaks(self.canaries, places)


@pytest.fixture(scope="module")
def town(
    tmp_path_factory: pytest.TempPathFactory,
    engine: Docker,
    base: str,
    registry: str,
    docker_environ: dict[str, str],
) -> Iterator[Town]:
    """A project whose images go to the tests' registry, with its first commit on main."""
    assert base, "the image is built on it"
    description = need("openapi")
    root = tmp_path_factory.mktemp("attacks")
    project, origin, environment = generate(root, {})
    image = f"{registry}/attacks-{secrets.token_hex(3)}"
    pipeline = project / "environments" / "pipeline.yaml"
    text = re.sub(r"^image: .*$", f"image: {image}", pipeline.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert text.count("      kind: registry\n") == 2
    text = text.replace("      kind: registry\n", "      kind: registry\n      network: host\n")
    pipeline.write_text(text, encoding="utf-8")
    reached = {key: value for key, value in docker_environ.items() if key.startswith("DOCKER")}
    with Forge(contract=Contract.load(description), state=State(git=origin)) as forge:
        act = Act(root / "act", root / "store", origin.path, environment, reached)
        made = Town(project, origin.path, act, forge, "")
        made.git("remote", "add", "origin", str(origin.path))
        made.main = made.commit("Start")
        origin.merge(project, made.main)
        for name in ("diff", "comment", "deliver"):
            warm = launch(root, root / "runner", name, "--help")
            assert warm.returncode == 0, warm.stderr
        try:
            yield made
        finally:
            drop_images(engine, image)


def propose(town: Town, branch: str, title: str, author: str = "mallory") -> Pull:
    """Push HEAD and open a pull request as `author`."""
    town.git("push", "--quiet", "--force", "origin", f"HEAD:refs/heads/{branch}")
    return town.pull(town.forge.open_pull(branch, title, by=author))


@pytest.fixture(scope="module")
def attacked(town: Town, tmp_path_factory: pytest.TempPathFactory) -> tuple[ActRun, Pull, Any, Trap]:
    """The run of a pull request that leaves our workflows alone and does everything else."""
    town.start(town.main)
    trap = Trap(town.checkout, tmp_path_factory.mktemp("trap") / "loaded.txt")
    trap.set_up()
    # The traps work: a Python that is started without care falls into them, and goes on.
    subprocess.run([sys.executable, "-c", "import json"], cwd=town.checkout, check=True)
    assert len(trap.all()) == 1
    trap.seen.unlink()
    trap.forge_results()
    trap.loosen()
    town.edit("params.yaml", "C: 0.5", "C: 0.0000001")
    town.commit("Improve a little")
    pull = propose(town, "innocent", "Improve a little")
    done, run = town.train(pull, image=False)
    return done, pull, run, trap


def test_nothing_that_is_planted_is_loaded_by_us(attacked: tuple[ActRun, Pull, Any, Trap]) -> None:
    """Modules, start files and settings of uv, pip and DVC: the pull request's own programs read them, ours do not."""
    done, _, _, trap = attacked
    for job in ("scope", "train", "base"):
        assert done.results[job] == "success", done.log[-6000:]
    assert any(line.startswith("train: ") for line in trap.all()), "its own code falls into its traps"
    assert trap.by_us() == []
    assert "required-version" not in done.log, "a uv of ours has read its uv.toml"


def test_nothing_that_is_forged_or_loosened_counts(attacked: tuple[ActRun, Pull, Any, Trap]) -> None:
    """The merge base, its gates, the rules of main and the predictions are what they were."""
    done, pull, _, _ = attacked
    for job in ("promotion", "metric-diff", "gate"):
        assert done.results[job] == "failure", done.log[-6000:]
    report = done.report()
    assert (report["verdict"], report["head"]["commit"]) == ("fail", pull.sha)
    assert merge_base(report)["available"], merge_base(report)
    assert metric(report, "roc_auc")["base"] > 0.9
    production = [each for each in report["comparisons"] if each["baseline"] == "production"]
    assert not any(each["available"] for each in production), "no release serves there"
    assert any(change["kind"] == "gate" and change["loosens"] for change in report["changes"])
    assert any("metrics.json" in problem for problem in report["problems"]), report["problems"]


def test_the_answer_to_it_holds_no_secret_and_asks_nobody_else(
    town: Town, attacked: tuple[ActRun, Pull, Any, Trap], tmp_path: Path
) -> None:
    _, pull, run, trap = attacked
    before = trap.all()
    done, beyond = town.answered(run, tmp_path / "connections")
    assert done.results == {"comment": "success"}, done.log[-6000:]
    assert beyond == []
    assert trap.all() == before
    (text,) = town.comments(pull)
    assert "Fails" in text or "No report" in text
    assert "measures and judges" not in text
    assert town.leaks() == []


def test_workflows_that_a_pull_request_rewrote_get_nothing_from_main(town: Town, tmp_path: Path) -> None:
    """Its own run is what it wants it to be; the answer is main's, and says what the pull request changes."""
    done, run, pull = run_their_workflow(town)
    assert done.results == {"gate": "success"}, done.log[-6000:]
    kept = sorted(path.name for path in (town.act.store / "cache").rglob("*.tar"))
    assert any(name.startswith("gitops-ml-dvc-") and "99999999999" in name for name in kept), kept
    # As a rerun or a second upload leaves it: the same name twice, and files that nobody asked for.
    held = [each.name for each in town.forge.state.artifacts if each.run == run.id]
    assert held == ["gitops-ml-report", "model-head"]
    praise = samples.as_json(forged(pull.sha))
    extra = {"report.json": praise, ".bashrc": MARK, "json.py": MARK, ".github/actions/launch": MARK}
    town.forge.state.artifact(run, samples.zipped(**extra))
    impostor(town, pull)

    answer, beyond = town.answered(run, tmp_path / "connections")
    assert answer.results == {"comment": "success"}, answer.log[-6000:]
    assert beyond == []
    assert MARK not in answer.log.replace(pull.title, ""), "code of the pull request ran beside the secrets"
    found = {each.login: each for each in town.forge.state.comments if each.pull == pull.number}
    assert set(found) == {"github-actions", "github-actions[bot]"}
    ours = found["github-actions[bot]"]
    assert ours.body.count("measures and judges") == 1
    assert ".github/actions/launch" in read(ours.body)
    assert "<img" not in ours.body
    assert "@everyone" not in ours.body
    assert town.leaks() == []
    loot = (done.artifact("model-head") / "secrets.json").read_text(encoding="utf-8")
    assert not [each.name for each in town.canaries if each.value in loot]


def run_their_workflow(town: Town) -> tuple[ActRun, Any, Pull]:
    town.start(town.main)
    workflow = (town.checkout / ".github" / "workflows" / "pull-request.yml").read_text(encoding="utf-8")
    found = [re.search(rf"uses: ({name}@[0-9a-f]+)", workflow) for name in (
        "actions/checkout", "actions/cache/save", "actions/upload-artifact")]  # fmt: skip
    take_over_workflows(town.checkout, [match[1] for match in found if match])
    (town.checkout / "forged.json").write_text(samples.as_json(forged("0" * 40)), encoding="utf-8")
    town.git("config", "user.name", "github-actions[bot]")
    town.git("config", "user.email", "41898282+github-actions[bot]@users.noreply.github.com")
    town.commit("Promote nothing\n\nRequested-By: ann")
    pull = propose(town, "promote/production/00000000", f"{MARK}: promote", "github-actions")
    done, run = town.train(pull)
    return done, run, pull


def impostor(town: Town, pull: Pull) -> None:
    """A comment like ours, of a run that is far ahead, by an account whose name looks like ours."""
    town.forge.state.account("github-actions")
    marker = Marker("gitops-ml", 10**9, 1, pull.sha)
    town.forge.state.comment(pull.number, "github-actions", f"{marker}\n### Passes")


def test_what_main_delivers_owes_nothing_to_caches_and_artifacts_of_pull_requests(
    town: Town, attacked: tuple[ActRun, Pull, Any, Trap], tmp_path: Path
) -> None:
    """Trained, built, pushed, recorded and deployed with every secret at hand, in a store that they have filled."""
    trained, _, _, trap = attacked
    kept = [path.name for path in (town.act.store / "cache").rglob("*.tar")]
    assert kept, "nothing lies there that could be restored"
    before = trap.all()
    town.act, act = town.trusted(tmp_path / "connections"), town.act
    try:
        done = town.deliver()
    finally:
        town.act = act
    assert (done.code, done.results["staging"]) == (0, "success"), done.log[-8000:]
    assert "restored " not in done.log
    assert MARK not in done.log
    assert trap.all() == before
    (release,) = town.facts().releases.values()
    honest = json.loads((trained.artifact("model-base") / "reports" / "run.json").read_text(encoding="utf-8"))
    assert (release.trained, release.artifacts.model) == ("main", honest["model_hash"])
    away = [
        one
        for one in egress.connections(tmp_path / "connections")
        if not one.address.startswith(("127.", "::1"))
    ]
    assert away == []
    assert town.leaks() == []
