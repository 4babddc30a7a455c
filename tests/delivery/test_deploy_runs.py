"""Runs of the deploy loop that end too early, come too late, or meet each other, on a real repository."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from gitops_ml import cli
from gitops_ml.delivery import deploying
from gitops_ml.delivery.deploying import Desk, deploy
from gitops_ml.delivery.deployment import Live
from gitops_ml.delivery.merged import Merged

from tests.delivery.places import Place, desk, run, state
from tests.delivery.shop import Shop
from tests.tools.required import ROOT


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "staging.json")


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
from dataclasses import replace
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


class Hesitant(Place):
    """Answers the first questions after an apply not at all, as on a busy machine."""

    silent = 0

    def live(self) -> Live:
        found = super().live()
        if self.silent and found.release in self.applied:
            self.silent -= 1
            return replace(found, healthy=False)
        return found


def test_one_question_without_an_answer_takes_no_release_back(shop: Shop, tmp_path: Path) -> None:
    release = shop.release()
    place = Hesitant(tmp_path / "staging.json")
    place.silent = 2
    report = run(shop, place)
    assert (place.silent, place.applied) == (0, [release.release])
    assert (report.is_red, report.is_healthy("staging"), state(shop)) == (False, True, "in sync")


def test_a_release_that_never_answers_as_itself_is_red_and_says_so(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deploying, "PATIENCE_S", 0.0)
    shop.release()
    place = Hesitant(tmp_path / "staging.json")
    place.silent = 1000
    report = run(shop, place)
    assert report.is_red
    assert report.attempts[0].outcome.reason == "it was applied, but did not answer as itself within 0 s"


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


def test_the_way_back_is_gone_however_busy_main_is(shop: Shop, place: Place) -> None:
    """The last of the releases that one run applies is sick and took the place of the one before."""
    place.in_place = True
    releases = [shop.release().release]

    def merge(moment: str) -> None:
        if moment == "applied" and len(releases) < 3:
            releases.append(shop.release().release)
            if len(releases) == 3:
                place.sick.add(releases[-1])

    place.at = merge
    report = run(shop, place)
    assert [one.action for one in report.attempts] == ["deploy", "deploy", "deploy", "roll back"]
    assert (place.live().release, place.live().healthy) == (releases[1], True)
    assert report.is_red
