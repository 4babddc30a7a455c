"""The text of a promotion or a rollback: it says what is known, and nothing in it acts."""

from __future__ import annotations

import dataclasses
import datetime as dt
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from gitops_ml.delivery.deployment import Deployment, Intent, Outcome
from gitops_ml.delivery.environment import render
from gitops_ml.delivery.evidence import Evidence
from gitops_ml.delivery.facts import Facts
from gitops_ml.delivery.letter import LIMIT, Letter
from gitops_ml.delivery.move import Kind, Move
from gitops_ml.delivery.pipeline import Pipeline, read_pipeline
from gitops_ml.delivery.pulls import Pull, marker
from gitops_ml.delivery.release import Manifest
from gitops_ml.delivery.revoked import Revocation, Revoked
from gitops_ml.delivery.story import Commit, Story
from gitops_ml.delivery.timetable import Freeze
from gitops_ml.delivery.typed import Run
from gitops_ml.delivery.world import Desired, World
from gitops_ml.reading import read_document

from tests.actions.hostile import makers
from tests.actions.reading import Page, read
from tests.delivery.repositories import PIPELINE, made
from tests.delivery.truth import START, WORKFLOW

CORPUS = yaml.safe_load((Path(makers.__file__).parent / "corpus.yaml").read_text(encoding="utf-8"))
TEXTS = sorted({text for texts in CORPUS["texts"].values() for text in texts})
RUN_URL = "https://github.com/octo/model/actions/runs/7"
PAGE = "https://github.com/octo/model"
OLD = made("a" * 40, "a" * 64, 1, 1)
NEW = made("b" * 40, "b" * 64, 2, 2)


def with_(manifest: Manifest, **changes: Any) -> Manifest:
    return manifest.model_copy(update=changes)


def deployed(environment: str, manifest: Manifest, generation: int) -> Deployment:
    place = {"environment": environment, "generation": generation, "attempt": 1, "release": manifest.release}
    outcome = Outcome(**place, healthy=True, digest=manifest.artifacts.digest, at=START)
    return Deployment(Intent(**place, fence=generation, at=START), outcome)


def proof(pipeline: Pipeline, manifest: Manifest, url: str = RUN_URL) -> Evidence:
    return Evidence(
        environment="staging",
        release=manifest.release,
        generation=2,
        attempt=1,
        digest=manifest.artifacts.digest,
        checks={"smoke": False, "version": True},
        policy=pipeline.policy("staging"),
        eval_hash=manifest.eval_hash,
        run=Run(workflow=WORKFLOW, url=url),
        at=START,
    )


def letter(
    kind: Kind = "promote",
    old: Manifest | None = OLD,
    new: Manifest = NEW,
    policy: str = PIPELINE,
    url: str = RUN_URL,
    revoked: str = "",
    frozen: str = "",
    **more: Any,
) -> Letter:
    """A move of production from `old` to `new`, of which staging has proof."""
    pipeline = read_pipeline(read_document(policy.encode(), "pipeline.yaml"))
    if frozen:
        freeze = Freeze.model_validate({"from": START.date(), "to": START.date(), "reason": frozen})
        last = pipeline.step("production").model_copy(update={"freeze": (freeze,)})
        pipeline = pipeline.model_copy(update={"environments": (pipeline.step("staging"), last)})
    facts = Facts(
        releases={manifest.release: manifest for manifest in (old, new) if manifest is not None},
        deployments={
            "staging": [deployed("staging", new, 2)],
            "production": [deployed("production", old, 1)] if old else [],
        },
        evidence={("staging", new.release): [proof(pipeline, new, url)]},
    )
    entries = (Revocation(release=new.release, reason=revoked),) if revoked else ()
    here = None if old is None else old.release
    world = World(
        pipeline,
        Revoked(schema=1, revoked=entries),
        facts,
        START + dt.timedelta(minutes=1),
        {"production": Desired("production", here, 1, 1), "staging": Desired("staging", new.release, 1, 1)},
    )
    move = Move(kind, "production", new.release, render("production", new.artifacts), "A title", "A message")
    return Letter(move, world, **{"page": PAGE, **more})


def test_it_says_from_where_to_where_and_what_is_proven() -> None:
    page = read(letter(directions={"roc_auc": "higher"}).body)
    assert f"moves production from {OLD.release[:10]} to {NEW.release[:10]}" in page.text
    assert page.tables[1] == [
        ["in", "checks", "when", "run"],
        ["staging", "❌ smoke, ✅ version", f"{START:%Y-%m-%d %H:%M} UTC", "run"],
    ]
    assert RUN_URL in page.links
    assert NEW.artifacts.image in page.text
    assert "\u2060" not in letter().body.split("<details>")[1]  # to be copied


@pytest.mark.parametrize(
    ("old", "new", "cell", "said"),
    [
        ("e" * 64, "e" * 64, "+0.0010, better", "evaluated on the same rows"),
        ("e" * 64, "f" * 64, "not comparable", "evaluated on different rows"),
        (None, None, "not comparable", "not on record which rows"),
        ("e" * 64, None, "not comparable", "not on record which rows"),
    ],
)
def test_metrics_are_compared_on_the_same_rows_only(
    old: str | None, new: str | None, cell: str, said: str
) -> None:
    page = read(
        letter(
            old=with_(OLD, eval_hash=old), new=with_(NEW, eval_hash=new), directions={"roc_auc": "higher"}
        ).body
    )
    assert page.tables[0][1] == ["roc_auc (primary)", "0.9010", "0.9020", cell]
    assert said in page.text


def test_a_change_for_the_worse_is_called_so_and_an_unknown_direction_is_not_judged() -> None:
    same = {"eval_hash": "e" * 64, "metrics": {"roc_auc": 0.5, "strange": 2.0, "only_now": 1.0}}
    old = with_(OLD, eval_hash="e" * 64, metrics={"roc_auc": 0.75, "strange": 1.0, "gone": 1.0})
    page = read(letter(old=old, new=with_(NEW, **same), directions={"roc_auc": "higher"}).body)
    cells = {row[0]: row[3] for row in page.tables[0][1:]}
    assert cells == {"roc_auc (primary)": "−0.25, worse", "only_now": "-", "strange": "+1.0"}


def test_a_first_promotion_has_nothing_to_compare_with() -> None:
    page = read(letter(old=None).body)
    assert "moves production to " in page.text
    assert "Nothing runs there yet" in page.text
    assert page.tables[0][1][1:] == ["-", "0.9020", "-"]


def test_what_the_gates_still_ask_is_listed_and_whose_approval_does_not_count() -> None:
    policy = PIPELINE.replace("[version]", "[version, smoke]") + "    four_eyes: true\n    soak: 2h\n"
    page = read(letter(policy=policy, requested_by="ann").body)
    assert "proven in staging: failed in staging: smoke" in page.text
    assert "soaked: served staging for 0:01:00 of 2:00:00" in page.text
    assert "that of ann, who asked for this, does not count" in page.text
    assert page.text.rstrip().endswith("Requested-By: ann")


def test_the_note_on_waiting_checks_is_for_pull_requests_of_runs_only() -> None:
    assert "Approve workflows to run" in letter(by_run=True).body
    assert "Approve workflows to run" not in letter(by_run=False).body


def test_commits_are_listed_with_their_pull_requests_and_the_rest_is_counted() -> None:
    commits = tuple(Commit(f"{number:040x}", f"Change {number}", number) for number in range(20))
    page = read(letter(story=Story(commits, 1234, commits[:1], 1)).body)
    assert "What it brings (1,234 commits)" in page.text
    assert "Change 19 (#19)" in page.text
    assert "… and 1,214 more" in page.text
    assert "What it takes back (1 commit)" in page.text
    assert f"{PAGE}/commit/{19:040x}" in page.links


def full_of(text: str) -> list[Letter]:
    """A promotion and a rollback with `text` in every place that takes text."""
    name = text[:80]
    metrics = {name: 1.0, "other": 2.0}
    old, new = with_(OLD, metrics=metrics, primary=name), with_(NEW, metrics=metrics, primary=name)
    story = Story((Commit("c" * 40, text),), 1, (Commit("d" * 40, text),), 1)
    more: dict[str, Any] = {"story": story, "reason": text, "revoked": text[:300], "requested_by": "ann"}
    more["frozen"] = text[:200]
    return [letter("promote", old, new, url=text[:300], **more), letter("rollback", old, new, **more)]


@cache
def harmless() -> list[Page]:
    return [read(one.body) for one in full_of("x")]


@pytest.mark.parametrize("text", TEXTS, ids=[ascii(text)[1:60] for text in TEXTS])
def test_text_in_every_place_is_inert(text: str) -> None:
    for one, plain in zip(full_of(text), harmless(), strict=True):
        body = one.body
        page = read(body)
        kept = {name: count for name, count in page.elements.items() if name != "span"}
        assert kept == {name: count for name, count in plain.elements.items() if name != "span"}
        assert page.attributes == plain.attributes
        assert [link for link in page.links if link.startswith(f"{PAGE}/commit/")] == page.links
        assert page.active == []
        assert [list(map(len, table)) for table in page.tables] == [
            list(map(len, table)) for table in plain.tables
        ]
        pull = Pull.model_validate(
            {
                "number": 1,
                "state": "open",
                "title": "x",
                "body": body,
                "head": {"ref": "x", "sha": "a" * 40},
                "base": {"ref": "main"},
            }
        )
        assert (pull.requested_by, pull.asked) == ("ann", True)


def test_a_text_that_would_be_too_long_keeps_its_first_and_last_lines() -> None:
    commits = tuple(Commit(f"{number:040x}", "|" * 500, number) for number in range(120))
    whole = letter(story=Story(commits, 120), requested_by="ann")
    assert len(whole.body) <= LIMIT
    assert whole.body.startswith(marker("promote", "production", True))
    assert whole.body.rstrip().endswith("Requested-By: ann")
    assert dataclasses.replace(whole, story=Story()).body != whole.body
