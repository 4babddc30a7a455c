"""Places where releases run that are only a file, so that the loop can be stopped, fenced and lied to at will."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from gitops_ml.delivery.deploying import Desk, Report, deploy
from gitops_ml.delivery.deployment import Live
from gitops_ml.delivery.status import rows
from gitops_ml.delivery.targets.base import FencedError, Order
from gitops_ml.delivery.typed import Run

from tests.delivery.repositories import git
from tests.delivery.shop import Shop
from tests.delivery.truth import WORKFLOW


@dataclass
class Place:
    """One environment. `sick` are releases that can't become healthy, `failing` those that fail their smoke test.

    `in_place`: what served before is gone when a sick release was applied. `at` is called with the name of a moment:
    `apply` and `applied` around the change, `prove` before the checks.
    """

    file: Path
    sick: set[str] = field(default_factory=set)
    failing: set[str] = field(default_factory=set)
    in_place: bool = False
    at: Callable[[str], None] = lambda moment: None
    applied: list[str] = field(default_factory=list)

    def live(self) -> Live:
        return Live(**json.loads(self.file.read_text(encoding="utf-8"))) if self.file.exists() else Live()

    def put(self, live: Live) -> None:
        """What becomes of the environment; a whole file or none, as a process may be killed at any moment."""
        new = self.file.with_suffix(".new")
        new.write_text(json.dumps(asdict(live)), encoding="utf-8")
        new.replace(self.file)

    def apply(self, order: Order) -> str:
        self.at("apply")
        live, release = self.live(), order.release.release
        if live.fence > order.fence:
            raise FencedError("something newer was asked for")
        self.applied.append(release)
        well = release not in self.sick
        if well or self.in_place:
            self.put(Live(release, order.release.artifacts.digest, well, order.fence))
        else:
            self.put(replace(live, fence=order.fence))
        self.at("applied")
        return "" if well else "its log's last line: out of memory"

    def prove(self, order: Order) -> Mapping[str, bool]:
        self.at("prove")
        live = self.live()
        version = (live.release, live.digest) == (order.release.release, order.release.artifacts.digest)
        return {"version": version, "smoke": order.release.release not in self.failing}


def desk(shop: Shop, place: Place, environment: str = "staging", **changes: object) -> Desk:
    """What a run in the environment works with, which is `place`."""
    given: dict[str, object] = {
        "target": lambda world, main: place,
        "run": Run(workflow=WORKFLOW),
        "say": lambda line: None,
    }
    return Desk(shop.git, environment, **(given | changes))  # type: ignore[arg-type]


def run(shop: Shop, place: Place, asked: bool = False) -> Report:
    return deploy(desk(shop, place), asked)


def tip(shop: Shop) -> str:
    """The newest commit of deploy-state, by which it shows whether anything was written."""
    return git(shop.clone, "ls-remote", "origin", "refs/heads/deploy-state").split()[0]


def state(shop: Shop, name: str = "staging") -> str:
    """What `status` says of the environment."""
    return next(row.state for row in rows(shop.world()) if row.environment == name)
