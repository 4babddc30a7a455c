"""Delivery, executed: the life of releases from merge to production and back, each step seen at /version."""

from __future__ import annotations

import json
import re
import secrets
import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from gitops_ml.delivery.release import Manifest
from gitops_ml.engine import Docker

from tests.delivery.docker_machine import Machine, addresses
from tests.e2e.act import Act, ActRun
from tests.e2e.conftest import generate
from tests.e2e.delivery import ENVIRONMENTS, Clock, Delivery
from tests.e2e.test_pull_request import TRAINED, read
from tests.fakes.contract import Contract
from tests.fakes.forge import Forge
from tests.fakes.state import State
from tests.image.conftest import docker_environ, proxy_image, registry
from tests.tools.required import ROOT, need

__all__ = ["docker_environ", "proxy_image", "registry"]

# On the runner it is tried under another name, and serves.
FAILS_WHEN_DEPLOYED = """\
import os  # noqa: E402

if os.environ.get("RELEASE_ID", "").startswith("r-"):
    sys.exit("error: this release was made to fail")
errors.run(main)
"""
# Staging is well; production's ports are the only thing that this code can know it by here.
FAILS_IN_PRODUCTION = """\
import os  # noqa: E402

if os.environ.get("SERVING_PORT") in {ports!r}:
    sys.exit("error: this release was made to fail in production")
errors.run(main)
"""
OVERRIDE = ROOT / "tests" / "delivery" / "host-network.yaml"


@pytest.fixture(scope="module")
def delivery(
    tmp_path_factory: pytest.TempPathFactory,
    engine: Docker,
    base: str,
    registry: str,
    docker_environ: dict[str, str],
    proxy_image: None,
) -> Iterator[Delivery]:
    """A project whose two environments are on this machine's engine, with its first commit on main."""
    assert base, "the image is built on it"
    description = need("openapi")
    root = tmp_path_factory.mktemp("delivery")
    project, origin, environment = generate(root, {"deploy_target": "compose"})
    name = f"e2e-{secrets.token_hex(3)}"
    places = {
        each: Machine(project, f"{name}-{each}", docker_environ | addresses(), engine.command)
        for each in ENVIRONMENTS
    }
    image = f"{registry}/{name}"
    run_here(project, image, places)
    reached = {key: value for key, value in docker_environ.items() if key.startswith("DOCKER")}
    ports = {each: {key: place.environ[key] for key in addresses()} for each, place in places.items()}
    with Forge(contract=Contract.load(description), state=State(git=origin)) as forge:
        act = Act(root / "act", root / "store", origin.path, environment, reached)
        act = replace(act, variables={**act.variables, "ADDRESSES": json.dumps(ports)})
        made = Delivery(project, origin.path, act, forge, "", places=places)
        made.git("remote", "add", "origin", str(origin.path))
        made.main = made.commit("Start")
        origin.merge(project, made.main)
        try:
            yield made
        finally:
            for place in places.values():
                place.clean()
            drop_images(engine, image)


def run_here(project: Path, image: str, places: dict[str, Machine]) -> None:
    """Let the environments run on an engine that has no network but the host's, each on ports of its own."""
    shutil.copy2(OVERRIDE, project / "deploy" / OVERRIDE.name)
    path = project / "environments" / "pipeline.yaml"
    text = re.sub(r"^image: .*$", f"image: {image}", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    for each, port in (("staging", 8001), ("production", 8000)):
        own = f"      port: {places[each].port}\n      project: {places[each].project}\n"
        own += f"      files: [deploy/compose.yaml, deploy/{OVERRIDE.name}]\n"
        assert text.count(f"      port: {port}\n") == 1
        text = text.replace(f"      port: {port}\n", own)
    path.write_text(text, encoding="utf-8")
    # On GitHub these would be variables of each environment, which act does not tell apart.
    lines = [
        f"      {key}: ${{{{ fromJSON(vars.ADDRESSES)[inputs.environment].{key} }}}}\n" for key in addresses()
    ]
    workflow = project / ".github" / "workflows" / "_deploy.yml"
    text = workflow.read_text(encoding="utf-8")
    mark = "    timeout-minutes: 90\n"
    assert text.count(mark) == 1
    workflow.write_text(text.replace(mark, mark + "    env:\n" + "".join(lines)), encoding="utf-8")


def drop_images(engine: Docker, image: str) -> None:
    """Take what was built off the engine again."""
    environ = dict(engine.environ)
    words = [engine.command, "image", "ls", "--quiet", "--no-trunc", image]
    listed = subprocess.run(words, env=environ, capture_output=True, text=True).stdout.split()
    if listed:
        subprocess.run([engine.command, "image", "rm", "--force", *listed], env=environ, capture_output=True)


def only_release(delivery: Delivery, other_than: set[str]) -> Manifest:
    (found,) = (one for name, one in delivery.facts().releases.items() if name not in other_than)
    return found


def serves(delivery: Delivery, environment: str, release: Manifest) -> None:
    """The service itself says that it is `release`, and the records agree."""
    said = delivery.version(environment)
    assert (said["release"], said["image_digest"]) == (release.release, release.artifacts.digest)
    assert (said["commit"], said["model_hash"]) == (release.artifacts.commit, release.artifacts.model)
    live = delivery.facts().live(environment)
    assert (live.release, live.healthy) == (release.release, True)


def built_nothing(done: ActRun) -> None:
    assert done.results["find"] == "success"
    assert not {"model", "release"} & set(done.results), "nothing was to be trained or built"


def test_the_life_of_releases(delivery: Delivery) -> None:
    """One story, because each step starts where the one before it ended."""
    clock = Clock()
    first = a_merge_goes_to_staging(delivery, clock)
    a_promotion_ships_the_same_digest(delivery, clock, first)
    second = a_deployment_that_is_killed_is_healed_by_the_next_run(delivery, clock, first)
    a_rollback_brings_the_earlier_release_back(delivery, clock, first, second)
    late_runs_and_documents_change_nothing(delivery, clock, first, second)
    third = a_bad_release_is_stopped_in_staging(delivery, clock, first, second)
    a_release_that_fails_in_production_leaves_what_served(
        delivery, clock, first, {second.release, third.release}
    )


def a_merge_goes_to_staging(delivery: Delivery, clock: Clock) -> Manifest:
    """The pull request's own model becomes one image, staging proves it, and a promotion is proposed."""
    delivery.start(delivery.main)
    delivery.edit("params.yaml", "C: 0.5", "C: 0.4")
    delivery.commit("Regularise a little more")
    pull = delivery.propose("better", "Regularise a little more")
    trained, run = delivery.train(pull)
    assert trained.results["gate"] == "success", trained.log[-6000:]
    delivery.comment(run)
    (text,) = delivery.comments(pull)
    assert "image size" in text
    commit = delivery.merge(pull)
    done = clock.time("a new model, merge to staging", delivery.deliver)
    assert (done.code, done.results["propose"]) == (0, "success"), done.log[-8000:]
    release = only_release(delivery, set())
    assert release.artifacts.commit == commit
    assert (release.trained, release.pull_request) == ("pull request", pull.number)
    assert (release.image_bytes or 0) > 10**8
    trained_hash = json.loads((trained.artifact("model-head") / "reports" / "run.json").read_text())
    assert release.artifacts.model == trained_hash["model_hash"], "the reviewed bytes, not others"
    assert (delivery.act.store / "attested").read_text().split() == [release.artifacts.image]
    serves(delivery, "staging", release)
    assert delivery.places["production"].containers() == {}
    promotion = delivery.pull_to("production")
    assert release.release[:10] in promotion.title
    assert promotion.waits, "GitHub asks for a click before it runs what the token of a run proposed"
    return release


def a_promotion_ships_the_same_digest(delivery: Delivery, clock: Clock, release: Manifest) -> None:
    promotion = delivery.pull_to("production")
    delivery.forge.approve_runs(promotion.number)
    checked, run = delivery.train(promotion)
    assert {checked.results[job] for job in ("promotion", "gate")} == {"success"}, checked.log[-6000:]
    assert not TRAINED & {job for job, result in checked.results.items() if result == "success"}
    delivery.comment(run)
    (text,) = delivery.comments(promotion)
    assert "Promotion check: promotion" in read(text)
    delivery.merge(promotion)
    assert delivery.wanted("production") == release.release
    done = clock.time("a promotion, merge to production", delivery.deliver)
    assert done.code == 0, done.log[-8000:]
    built_nothing(done)
    serves(delivery, "production", release)
    assert delivery.version("production")["image_digest"] == delivery.version("staging")["image_digest"]


def a_deployment_that_is_killed_is_healed_by_the_next_run(
    delivery: Delivery, clock: Clock, first: Manifest
) -> Manifest:
    """A release whose model no pull request trained is trained on main; its promotion is cut off in the middle."""
    delivery.start(delivery.main)
    delivery.edit("params.yaml", "C: 0.4", "C: 0.45")
    delivery.commit("Regularise a little less")
    delivery.merge_new("Regularise a little less")
    done = clock.time("a new model, trained on main", delivery.deliver)
    assert done.code == 0, done.log[-8000:]
    second = only_release(delivery, {first.release})
    assert second.trained == "main"
    serves(delivery, "staging", second)
    serves(delivery, "production", first)
    delivery.merge(delivery.pull_to("production"))
    killed = delivery.deliver(kill_when=delivery.being_deployed("production"))
    assert killed.code == -signal.SIGKILL
    assert delivery.facts().history("production")[-1].outcome is None
    assert delivery.version("production")["release"] in (first.release, second.release), "something serves"
    done = clock.time("the run after one that was killed", delivery.deliver)
    assert done.code == 0, done.log[-8000:]
    serves(delivery, "production", second)
    return second


def a_rollback_brings_the_earlier_release_back(
    delivery: Delivery, clock: Clock, first: Manifest, second: Manifest
) -> None:
    before = delivery.git("show", f"{delivery.main}~2:environments/production.yaml")
    done = delivery.roll_back("production", "Predicts too much; see the last hour.")
    assert done.code == 0, done.log[-6000:]
    rollback = delivery.pull_to("production")
    assert "Predicts too much" in read(rollback.body)
    delivery.forge.approve_runs(rollback.number)
    checked, _ = delivery.train(rollback)
    assert checked.results["gate"] == "success", checked.log[-6000:]
    assert not TRAINED & {job for job, result in checked.results.items() if result == "success"}
    delivery.merge(rollback)
    assert delivery.git("show", f"{delivery.main}:environments/production.yaml") == before, "byte by byte"
    done = clock.time("a rollback, merge to production", delivery.deliver)
    assert done.code == 0, done.log[-8000:]
    built_nothing(done)
    serves(delivery, "production", first)
    serves(delivery, "staging", second)
    assert not [pull for pull in delivery.forge.state.pulls if pull.state == "open"], "nobody insists"


def late_runs_and_documents_change_nothing(
    delivery: Delivery, clock: Clock, first: Manifest, second: Manifest
) -> None:
    """Not even when somebody runs the run of the first merge again."""
    facts = delivery.facts()
    delivery.start(delivery.main)
    (delivery.checkout / "docs").mkdir(exist_ok=True)
    (delivery.checkout / "docs" / "how.md").write_text("More words.\n", encoding="utf-8")
    delivery.commit("Explain it")
    delivery.merge_new("Explain it")
    done = clock.time("documents, merge to nothing to do", delivery.deliver)
    built_nothing(done)
    again = delivery.deliver(first.artifacts.commit)
    assert (done.code, again.code) == (0, 0), again.log[-8000:]
    built_nothing(again)
    serves(delivery, "production", first)
    serves(delivery, "staging", second)
    assert delivery.facts() == facts


def a_bad_release_is_stopped_in_staging(
    delivery: Delivery, clock: Clock, first: Manifest, second: Manifest
) -> Manifest:
    """One that no test could have found: it only fails when it is deployed."""
    delivery.start(delivery.main)
    delivery.edit("src/model/service/__main__.py", "errors.run(main)\n", FAILS_WHEN_DEPLOYED)
    delivery.commit("Serve better")
    delivery.merge_new("Serve better")
    done = clock.time("a release that cannot serve", delivery.deliver)
    assert (done.results["release"], done.results["staging"]) == ("success", "failure"), done.log[-8000:]
    assert "propose" not in done.results
    bad = only_release(delivery, {first.release, second.release})
    last = delivery.facts().history("staging")[-1]
    assert (last.release, last.failed) == (bad.release, True)
    serves(delivery, "production", first)
    assert delivery.version("staging")["release"] == second.release, "what served before keeps serving"
    (issue,) = delivery.forge.state.issues
    assert "this release was made to fail" in issue.body
    assert not [pull for pull in delivery.forge.state.pulls if pull.state == "open"]
    return bad


def a_release_that_fails_in_production_leaves_what_served(
    delivery: Delivery, clock: Clock, first: Manifest, others: set[str]
) -> None:
    """Staging proved it and a person promoted it; production stays well, and the run red until someone acts."""
    delivery.start(delivery.main)
    production = delivery.places["production"].environ
    ports = [production["BLUE_PORT"], production["GREEN_PORT"]]
    delivery.edit(
        "src/model/service/__main__.py", FAILS_WHEN_DEPLOYED, FAILS_IN_PRODUCTION.format(ports=ports)
    )
    delivery.commit("Serve in staging")
    delivery.merge_new("Serve in staging")
    done = delivery.deliver()
    assert (done.code, done.results["propose"]) == (0, "success"), done.log[-8000:]
    bad = only_release(delivery, {first.release, *others})
    serves(delivery, "staging", bad)
    delivery.merge(delivery.pull_to("production"))
    for _ in range(2):
        done = clock.time("a promotion that fails", delivery.deliver)
        assert done.results["production"] == "failure", done.log[-8000:]
        assert delivery.wanted("production") == bad.release
        assert delivery.version("production")["release"] == first.release
    history = delivery.facts().history("production")
    assert [item.failed for item in history if item.release == bad.release] == [True], (
        "it is not tried again by itself"
    )
    (issue,) = (issue for issue in delivery.forge.state.issues if issue.state == "open")
    assert "production" in issue.title
    assert "made to fail in production" in issue.body
