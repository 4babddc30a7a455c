"""The deploy loop on a real repository: what it writes, what it leaves alone, and that a run may end anywhere."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from gitops_ml import cli
from gitops_ml.delivery.deploying import Desk, Report, deploy, look
from gitops_ml.delivery.deployment import Live
from gitops_ml.delivery.merged import Merged
from gitops_ml.delivery.typed import Run
from gitops_ml.delivery.world import Review
from gitops_ml.errors import UserError

from tests.delivery.places import Place
from tests.delivery.repositories import PIPELINE, commit, git, made, push
from tests.delivery.shop import Shop
from tests.delivery.truth import WORKFLOW

ROOT = Path(__file__).parents[2]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "staging.json")


def desk(shop: Shop, place: Place, environment: str = "staging", **changes: object) -> Desk:
    given: dict[str, object] = {
        "target": lambda world, main: place,
        "run": Run(workflow=WORKFLOW),
        "say": lambda line: None,
    }
    return Desk(shop.git, environment, **(given | changes))  # type: ignore[arg-type]


def run(shop: Shop, place: Place, asked: bool = False) -> Report:
    return deploy(desk(shop, place), asked)


def tip(shop: Shop) -> str:
    return git(shop.clone, "ls-remote", "origin", "refs/heads/deploy-state").split()[0]


def state(shop: Shop, name: str = "staging") -> str:
    from gitops_ml.delivery.status import rows

    return next(row.state for row in rows(shop.world()) if row.environment == name)


def test_what_main_says_is_applied_proven_and_then_left_alone(shop: Shop, place: Place) -> None:
    release = shop.release()
    report = run(shop, place)
    assert (report.action, report.is_red, report.is_healthy("staging")) == ("deploy", False, True)
    assert report.last.decision.action == "nothing"
    facts = shop.world().facts
    (deployment,) = facts.history("staging")
    assert deployment.healthy
    assert deployment.intent.fence == shop.count()
    (evidence,) = facts.evidence["staging", release.release]
    assert evidence.checks == {"version": True, "smoke": True}
    assert (evidence.digest, evidence.run.workflow) == (release.artifacts.digest, WORKFLOW)
    assert state(shop) == "in sync"
    before = tip(shop)
    again = run(shop, place)
    assert (again.action, again.attempts, again.is_red) == ("nothing", (), False)
    assert (tip(shop), place.applied) == (before, [release.release])


def test_a_sick_release_leaves_what_served_and_is_not_tried_again_until_someone_asks(
    shop: Shop, place: Place
) -> None:
    first = shop.release()
    run(shop, place)
    second = shop.release()
    place.sick.add(second.release)
    report = run(shop, place)
    assert (report.action, report.is_red, report.is_healthy("staging")) == ("deploy", True, False)
    assert place.live().release == first.release
    (_, failed) = shop.world().facts.history("staging")
    assert failed.outcome is not None
    assert failed.outcome.reason == "its log's last line: out of memory"
    assert ("staging", second.release) not in shop.world().facts.evidence
    before = tip(shop)
    for _ in range(2):
        later = run(shop, place)
        assert (later.action, later.is_red, later.attempts) == ("refuse", True, ())
    assert (tip(shop), place.applied) == (before, [first.release, second.release])
    still_sick = run(shop, place, asked=True)
    assert (len(still_sick.attempts), still_sick.is_red) == (1, True)
    place.sick.clear()
    asked = run(shop, place, asked=True)
    assert (asked.action, asked.is_red, place.live().release) == ("deploy", False, second.release)
    assert state(shop) == "in sync"


def test_where_a_sick_release_took_the_place_of_the_old_one_the_old_one_comes_back(
    shop: Shop, place: Place
) -> None:
    first = shop.release()
    run(shop, place)
    second = shop.release()
    place.sick.add(second.release)
    place.in_place = True
    report = run(shop, place)
    assert [one.action for one in report.attempts] == ["deploy", "roll back"]
    assert (report.action, report.is_red) == ("roll back", True)
    assert (place.live().release, place.live().healthy) == (first.release, True)
    kinds = [item.intent.kind for item in shop.world().facts.history("staging")]
    assert kinds == ["deploy", "deploy", "restore"]
    before = tip(shop)
    assert run(shop, place).is_red
    assert tip(shop) == before


class Killed(BaseException):
    """The machine is gone."""


def dies(moment: str) -> object:
    def at(now: str) -> None:
        if now == moment:
            raise Killed

    return at


@pytest.mark.parametrize("moment", ["apply", "applied", "prove"])
def test_a_run_may_die_at_any_moment_and_the_next_one_heals(shop: Shop, place: Place, moment: str) -> None:
    shop.release()
    run(shop, place)
    release = shop.release()
    place.at = dies(moment)  # type: ignore[assignment]
    with pytest.raises(Killed):
        run(shop, place)
    assert state(shop) == ("in sync" if moment == "prove" else "deploying")
    place.at = lambda moment: None
    report = run(shop, place)
    assert (report.is_red, report.is_healthy("staging"), place.live().release) == (
        False,
        True,
        release.release,
    )
    assert state(shop) == "in sync"
    assert run(shop, place).action == "nothing"
    assert shop.world().facts.evidence["staging", release.release][-1].attempt == 3


DEPLOYER = """
import sys
from pathlib import Path
from gitops_ml.delivery.deploying import Desk, deploy
from gitops_ml.delivery.git import Git
from gitops_ml.delivery.typed import Run
from tests.delivery.places import Place
from tests.delivery.truth import WORKFLOW

def at(moment):
    if moment == sys.argv[3]:
        print("now", flush=True)
        sys.stdin.read()

place = Place(Path(sys.argv[2]), at=at)
desk = Desk(Git(Path(sys.argv[1])), "staging", lambda world, main: place, run=Run(workflow=WORKFLOW))
deploy(desk)
"""


@pytest.mark.parametrize("moment", ["apply", "applied"])
def test_a_process_killed_in_the_middle_of_a_deployment_is_healed_by_the_next(
    shop: Shop, place: Place, moment: str
) -> None:
    release = shop.release()
    environ = {**os.environ, "PYTHONPATH": f"{ROOT / 'actions'}:{ROOT}"}
    words = [sys.executable, "-c", DEPLOYER, str(shop.clone), str(place.file), moment]
    with subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environ, text=True
    ) as process:
        assert process.stdout is not None
        assert "now\n" in iter(process.stdout.readline, "")
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert state(shop) == "deploying"
    report = run(shop, place)
    assert (report.is_red, place.live().release) == (False, release.release)
    assert cli.main(["status", "--repository", str(shop.clone)]) == 0
    assert state(shop) == "in sync"
    assert [item.healthy for item in shop.world().facts.history("staging")] == [False, True]


def test_a_target_that_was_asked_for_something_newer_stops_the_run_quietly(shop: Shop, place: Place) -> None:
    release = shop.release()

    def newer(moment: str) -> None:
        if moment == "apply":
            place.put(Live("r-" + "9" * 64, "sha256:" + "9" * 64, True, shop.count() + 1))

    place.at = newer
    report = run(shop, place)
    assert report.overtaken
    assert (report.is_red, report.attempts, place.applied) == (False, (), [])
    (deployment,) = shop.world().facts.history("staging")
    assert (deployment.release, deployment.outcome) == (release.release, None)


def test_a_run_that_was_overtaken_touches_nothing(shop: Shop, place: Place, tmp_path: Path) -> None:
    """Another run, of a newer main, begins while this one waits; whichever step that is, this one stops."""
    shop.release()
    other = Place(tmp_path / "other.json")
    begun = []

    def review(world: object, main: str) -> Merged | None:
        if not begun:
            begun.append(1)
            shop.release()
            assert run(shop, other).is_healthy("staging")
        return None

    report = deploy(desk(shop, place, review=review))
    assert report.overtaken
    assert (report.is_red, place.applied) == (False, [])
    assert len(shop.world().facts.history("staging")) == 1


def test_an_intent_of_another_run_right_before_the_target_is_touched_stops_the_run(
    shop: Shop, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gitops_ml.delivery import deploying

    shop.release()
    checked = deploying._check_newest

    def late(at: Desk, intent: object, tip: str) -> None:
        monkeypatch.setattr(deploying, "_check_newest", checked)
        with pytest.raises(Killed):
            run(shop, Place(place.file.with_name("other.json"), at=dies("apply")))  # type: ignore[arg-type]
        checked(at, intent, tip)  # type: ignore[arg-type]

    monkeypatch.setattr(deploying, "_check_newest", late)
    report = run(shop, place)
    assert "after this one" in report.overtaken
    assert place.applied == []


def test_what_serves_when_it_was_proven_is_what_was_asked_for_or_nothing_is_proven(
    shop: Shop, place: Place
) -> None:
    release = shop.release()
    swapped: list[int] = []

    def swap(moment: str) -> None:
        if moment == "prove" and not swapped:
            swapped.append(1)
            place.put(Live("r-" + "9" * 64, "sha256:" + "9" * 64, True, place.live().fence))

    place.at = swap
    report = run(shop, place)
    assert [one.proof is None for one in report.attempts] == [True, False]
    assert report.is_healthy("staging")
    (evidence,) = shop.world().facts.evidence["staging", release.release]
    assert evidence.attempt == 2


def test_main_that_moves_on_meanwhile_is_followed_in_the_same_run(shop: Shop, place: Place) -> None:
    shop.release()
    newest: list[str] = []

    def merge(moment: str) -> None:
        if moment == "applied" and not newest:
            newest.append(shop.release().release)

    place.at = merge
    report = run(shop, place)
    assert [one.intent.release for one in report.attempts][-1] == newest[0]
    assert place.live().release == newest[0]
    assert state(shop) == "in sync"


def test_a_busy_main_does_not_keep_one_run_for_ever(shop: Shop, place: Place) -> None:
    shop.release()
    place.at = lambda moment: shop.release() and None if moment == "applied" else None  # type: ignore[func-returns-value]
    report = run(shop, place)
    assert len(report.attempts) == 3
    assert (report.is_red, report.last.decision.action) == (False, "deploy")


def test_a_release_that_fails_its_checks_serves_but_goes_no_further(shop: Shop, place: Place) -> None:
    changed = PIPELINE.replace("evidence: [version]", "evidence: [version, smoke]")
    commit(shop.clone, "Ask for more", environments__pipeline_yaml=changed)
    push(shop.clone)
    release = shop.release()
    place.failing.add(release.release)
    report = run(shop, place)
    assert (report.action, report.is_red, report.is_healthy("staging")) == ("deploy", True, True)
    assert "serves and stays, but goes no further: failed in staging: smoke" in report.last.decision.reason
    assert shop.world().facts.evidence["staging", release.release][-1].checks["smoke"] is False
    assert run(shop, place).attempts == ()


def test_what_was_changed_by_hand_is_written_down_and_brought_back(shop: Shop, place: Place) -> None:
    release = shop.release()
    run(shop, place)
    live = place.live()
    place.put(Live("r-" + "9" * 64, "sha256:" + "9" * 64, True, live.fence))
    report = run(shop, place)
    assert (report.action, place.live().release) == ("deploy", release.release)
    (seen,) = shop.world().facts.observed["staging"]
    assert (seen.release, seen.after) == ("r-" + "9" * 64, (1, 1))
    assert state(shop) == "in sync"
    # Where nothing is to be done it is written down too, once.
    place.sick.add(release.release)
    place.put(Live(release.release, live.digest, False, live.fence))
    assert run(shop, place).is_red
    assert state(shop) == "unhealthy"
    place.put(Live("r-" + "8" * 64, "sha256:" + "8" * 64, True, live.fence))
    left_alone = run(shop, place)
    assert (left_alone.action, left_alone.attempts) == ("refuse", ())
    assert shop.world().facts.observed["staging"][-1].release == "r-" + "8" * 64
    before = tip(shop)
    assert run(shop, place).is_red
    assert tip(shop) == before
    place.put(Live(None, "sha256:" + "7" * 64, False, live.fence))
    assert run(shop, place).is_red
    assert state(shop) == "drifted"


def test_an_image_from_another_repository_is_refused(shop: Shop, place: Place) -> None:
    shop.release()
    for line, said in (("image: ghcr.io/octo/other\n", "allows ghcr.io/octo/other"), ("", "allows none")):
        changed = PIPELINE.replace("image: ghcr.io/octo/churn\n", line)
        commit(shop.clone, "Other images", environments__pipeline_yaml=changed)
        push(shop.clone)
        report = run(shop, place)
        assert (report.action, report.is_red, place.applied) == ("refuse", True, [])
        assert said in report.last.decision.reason
        assert shop.world().facts.history("staging") == ()


def test_on_a_laptop_one_deployment_is_made_and_its_evidence_does_not_count(shop: Shop, place: Place) -> None:
    shop.release()
    report = deploy(desk(shop, place, run=Run()))
    assert (len(report.attempts), report.is_red, report.is_healthy("staging")) == (1, False, True)
    assert "no workflow, which is not trusted" in report.last.decision.reason


def test_an_environment_that_main_does_not_name_is_refused_by_name(shop: Shop, place: Place) -> None:
    with pytest.raises(UserError, match=r"qa is no environment") as caught:
        deploy(desk(shop, place, environment="qa"))
    assert caught.value.fix == "Choose one of: staging, production."


def test_looking_changes_nothing(shop: Shop, place: Place) -> None:
    shop.release()
    before = tip(shop)
    assert look(desk(shop, place)).decision.action == "deploy"
    assert (tip(shop), place.applied) == (before, [])


@pytest.mark.parametrize(
    ("approvers", "action"), [(frozenset({"ben"}), "deploy"), (frozenset({"ann"}), "refuse"), (None, "wait")]
)
def test_four_eyes_are_asked_for_before_anything_is_applied(
    shop: Shop, place: Place, approvers: frozenset[str] | None, action: str
) -> None:
    changed = PIPELINE.replace("  - name: production\n", "  - name: production\n    four_eyes: true\n")
    commit(shop.clone, "Four eyes", environments__pipeline_yaml=changed)
    push(shop.clone)
    release = shop.release()
    assert run(shop, place).is_healthy("staging")
    shop.squash(shop.branch(release))
    merged = None if approvers is None else Merged(7, Review("ann", approvers))
    production = Place(place.file.with_name("production.json"))
    asked: list[str] = []
    at = desk(
        shop,
        production,
        "production",
        review=lambda world, main: asked.append(main) or merged,  # type: ignore[func-returns-value]
    )
    report = deploy(at)
    assert report.action == action
    assert asked
    assert production.applied == ([release.release] if action == "deploy" else [])
    if action == "deploy":
        (deployment,) = shop.world().facts.history("production")
        assert (deployment.intent.by, deployment.intent.pull_request) == ("ann", 7)
        assert deployment.intent.approvers == ("ben",)


def test_a_manifest_that_main_does_not_agree_with_is_refused(shop: Shop, place: Place) -> None:
    unknown = made("e" * 40, "f" * 64, 99, 1)
    shop.release()
    run(shop, place)
    shop.squash(shop.branch(unknown))
    production = Place(place.file.with_name("production.json"))
    report = deploy(desk(shop, production, "production"))
    assert (report.action, report.is_red, production.applied) == ("refuse", True, [])
