"""Each promise's code is broken in one way, and the random histories have to notice: they are able to fail.

The breakage is put into the decisions while they run. Left: its name; then where it goes, what goes there, and the
promise that the first failing history has to name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import pytest
from gitops_ml.delivery.check import Finding
from gitops_ml.delivery.deployment import Live, Outcome
from gitops_ml.delivery.facts import Facts
from gitops_ml.delivery.release import Manifest

from tests.delivery import machine

FEW = 1500


@dataclass(frozen=True)
class Mutation:
    name: str
    where: Any
    what: str
    instead: Callable[..., Any]
    promise: str


def passed(*_: object, **__: object) -> Finding:
    return Finding("mutated", "passed", "")


def proven_by_any(original: Callable[..., Finding]) -> Callable[..., Finding]:
    return lambda view, earlier, step, manifest: passed()


def of_build_never(self: Facts, build_key: str) -> Manifest | None:
    return None


def finish_always_healthy(original: Callable[..., Outcome]) -> Callable[..., Outcome]:
    return lambda intent, live, reason, now: original(
        intent, Live(intent.release, live.digest or "sha256:" + "0" * 64, True), reason, now
    )


def followed_blindly(build_keys: Iterable[str], facts: Facts, revoked: object) -> str | None:
    return next((found.release for key in build_keys if (found := facts.of_build(key))), None)


MUTATIONS: list[Mutation] = []


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_histories_notice(mutation: Mutation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mutation.where, mutation.what, mutation.instead)
    with pytest.raises(AssertionError, match=mutation.promise):
        machine.run(FEW)
