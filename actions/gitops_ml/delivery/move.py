"""A move of one environment to one release: the one file that changes, its branch, and what becomes of its rivals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from gitops_ml.delivery.environment import file_of
from gitops_ml.delivery.propose import left
from gitops_ml.delivery.release import short
from gitops_ml.delivery.world import World
from gitops_ml.escape import prose

Kind = Literal["promote", "rollback"]


@dataclass(frozen=True)
class Move:
    """What one pull request does: it writes `content` into `path` and nothing else.

    `asked`: a person wants it, by name; automation gives way to that.
    """

    kind: Kind
    environment: str
    release: str
    content: bytes
    title: str
    message: str
    asked: bool = True

    @property
    def path(self) -> str:
        return file_of(self.environment)

    @property
    def branch(self) -> str:
        return f"{self.kind}/{self.environment}/{self.release[2:10]}"


@dataclass(frozen=True)
class Rival:
    """An open pull request about the same environment, as far as deciding needs it.

    `release` is None where it is not known. `exact`: its branch still is what would be written now, and merges.
    """

    number: int
    release: str | None
    approved: bool = False
    asked: bool = True
    exact: bool = True

    @property
    def rank(self) -> tuple[bool, bool, float]:
        """Who stays: what is approved, then what a person asked for, then what came last."""
        return (self.approved, self.asked, self.number)


Ending = Literal["open", "adopt", "rewrite", "reopen", "give way", "nothing"]


@dataclass(frozen=True)
class Settlement:
    """What to do: `close` and `tell` say why; `ending` is about `use`, the pull request that stays."""

    ending: Ending
    use: Rival | None = None
    close: tuple[tuple[Rival, str], ...] = ()
    tell: tuple[tuple[Rival, str], ...] = ()


def settle(world: World, environment: str, move: Move | None, rivals: Sequence[Rival]) -> Settlement:
    """Leave at most one open pull request of a kind for `environment`: the one of `move`, if nothing outranks it.

    `rivals` are the open ones of the same kind. What is approved is never changed; a promotion that became pointless
    is closed all the same. With no `move` what is open and not pointless stays.
    """
    reasons = {rival.number: pointless(world, environment, rival) for rival in rivals}
    close = [(rival, why) for rival in rivals if (why := reasons[rival.number]) is not None]
    rest = [rival for rival in rivals if reasons[rival.number] is None]
    if move is None:
        return Settlement("nothing", max(rest, key=lambda one: one.rank, default=None), tuple(close))
    mine = max((one for one in rest if one.release == move.release), key=lambda one: one.rank, default=None)
    others = [one for one in rest if one is not mine]
    rank = (False, move.asked, math.inf) if mine is None else mine.rank
    best = max(others, key=lambda one: one.rank, default=None)
    # An emergency waits for nobody's approval: the last person who asked for a way back decides.
    if best is not None and best.rank > rank and move.kind == "promote":
        if mine is not None:
            close.append((mine, f"#{best.number} is open and stays; there is one promotion at a time."))
        newer = (
            f"{short(move.release)} could be promoted to {environment} too: close this one, and ask again."
        )
        return Settlement("give way", best, tuple(close), ((best, newer),))
    instead = f"{short(move.release)} takes its place."
    close += [(one, instead) for one in others if not one.approved or move.kind == "rollback"]
    tell = tuple((one, instead) for one in others if one.approved and move.kind == "promote")
    if mine is None:
        return Settlement("open", None, tuple(close), tell)
    if mine.exact:
        return Settlement("adopt", mine, tuple(close), tell)
    if mine.approved:
        why = "Main has moved this environment since, so this can't be merged any more; it is proposed anew."
        return Settlement("reopen", mine, (*close, (mine, why)), tell)
    return Settlement("rewrite", mine, tuple(close), tell)


def pointless(world: World, environment: str, rival: Rival) -> str | None:
    """Why nobody needs to merge `rival` any more, as Markdown, or None."""
    desired, release = world.desired[environment], rival.release
    if release is None:
        return None  # made from a release that is unknown here; the promotion check judges it
    name = short(release)
    if desired.release == release:
        return f"{environment} is at {name} already."
    revoked = world.revoked.reason(release)
    if revoked is not None:
        return f"{name} is revoked: {prose(revoked)}"
    if rival.asked:
        return None
    if release in left(world, environment):
        return f"{environment} was rolled back from {name}; `make promote RELEASE={name}` asks for it again."
    if world.sequence(release) <= world.sequence(desired.release):
        return f"{environment} is at {short(desired.release)}, which is newer than {name}."
    before = world.pipeline.earlier(environment)[-1].name
    if world.sequence(world.desired[before].release) < world.sequence(release):
        return f"{before} has gone back to {short(world.desired[before].release)}: {name} was taken back."
    return None
