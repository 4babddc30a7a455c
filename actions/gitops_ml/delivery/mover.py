"""Carrying a move to the forge: one branch, one pull request, whoever else is at it at the same moment."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from gitops_ml.delivery.access import Place
from gitops_ml.delivery.branch import Branches
from gitops_ml.delivery.letter import Letter
from gitops_ml.delivery.move import Kind, Move, Rival, Settlement, settle
from gitops_ml.delivery.pulls import Pull, Pulls
from gitops_ml.delivery.release import short
from gitops_ml.delivery.world import World
from gitops_ml.errors import UserError

# Somebody who is faster is met by looking again; two rounds settle it, the rest is margin.
_ROUNDS = 6
Outcome = Literal["opened", "adopted", "gave way", "nothing"]


@dataclass(frozen=True)
class Submitted:
    """What became of a move: the pull request that stays open, if any."""

    outcome: Outcome
    pull: Pull | None = None


@dataclass
class Mover:
    """One environment's pull requests on the forge, and the branches behind them. `main` is the tip they start from."""

    pulls: Pulls
    branches: Branches
    place: Place
    world: World
    main: str
    made: dict[int, Pull] = field(default_factory=dict)

    def submit(self, kind: Kind, environment: str, letter: Letter | None) -> Submitted:
        """Leave the pull request of `letter`'s move open and no other of its kind; with None, tidy up only."""
        move = None if letter is None else letter.move
        for _ in range(_ROUNDS):
            open_ = self._open(kind, environment)
            settled = settle(self.world, environment, move, self._rivals(open_, move))
            self._tidy(settled, open_)
            stays = open_[settled.use.number] if settled.use is not None else None
            if move is None or letter is None or settled.ending in ("nothing", "give way"):
                return Submitted("nothing" if move is None else "gave way", stays)
            if settled.ending == "adopt" and stays is not None and settled.use is not None:
                if not settled.use.approved:
                    self._keep_true(stays, letter)
                return Submitted("opened" if stays.number in self.made else "adopted", stays)
            if settled.ending == "rewrite" and stays is not None:
                self._rewrite(stays, move)
            else:
                self._propose(letter)
        raise UserError(
            f"Others change the pull requests of {environment} faster than this run.",
            "Run it again in a minute.",
        )

    def make_way(self, environment: str, rollback: Pull) -> None:
        """Close the open promotions of `environment`, which a rollback makes pointless; approved ones are told."""
        for pull in self.pulls.open_ones(f"promote/{environment}/"):
            why = f"{environment} is rolled back by #{rollback.number}. `make promote` asks for a release again."
            if self.pulls.is_approved(pull.number):
                self.pulls.tell(pull.number, f"Don't merge this now: {why}")
            else:
                self._close(pull, why)

    def sweep(self, environment: str) -> None:
        """Delete the branches by which `environment` came where it is, where GitHub is not set to do that itself."""
        here = self.world.desired[environment].release
        for kind in ("promote", "rollback") if here else ():
            name = f"{kind}/{environment}/{(here or '')[2:10]}"
            tip = self.branches.tip(name)
            if tip is not None and not self.pulls.open_ones(name):
                self.branches.drop(name, tip)

    def _open(self, kind: Kind, environment: str) -> dict[int, Pull]:
        """The open pull requests of this kind. A list that is read from a copy may not show what was just made."""
        prefix = f"{kind}/{environment}/"
        found = [
            pull
            for pull in self.pulls.open_ones(prefix)
            if re.fullmatch(r"[0-9a-f]{8}", pull.head.ref[len(prefix) :])
        ]
        return self.made | {pull.number: pull for pull in found}

    def _rivals(self, open_: dict[int, Pull], move: Move | None) -> Sequence[Rival]:
        return [self._rival(pull, move) for pull in open_.values()]

    def _rival(self, pull: Pull, move: Move | None) -> Rival:
        digits = pull.head.ref.rpartition("/")[2]
        releases = [name for name in self.world.facts.releases if name[2:10] == digits]
        release = releases[0] if len(releases) == 1 else None
        tip = self.branches.tip(pull.head.ref) if move is not None and release == move.release else None
        exact = tip is not None and move is not None and self.branches.is_exact(self.main, tip, move)
        return Rival(pull.number, release, self.pulls.is_approved(pull.number), pull.asked, exact)

    def _tidy(self, settled: Settlement, open_: dict[int, Pull]) -> None:
        for rival, text in settled.tell:
            self.pulls.tell(rival.number, text)
        for rival, why in settled.close:
            self._close(open_[rival.number], why)

    def _close(self, pull: Pull, why: str) -> None:
        self.made.pop(pull.number, None)
        self.pulls.close(pull.number, why)
        self.branches.drop(pull.head.ref, pull.head.sha)

    def _propose(self, letter: Letter) -> None:
        self.branches.bring(self.main, letter.move)
        by_hand = self.place.new_pull(letter.move.branch, letter.move.title)
        made = self.pulls.create(letter.move.branch, letter.move.title, letter.body, by_hand)
        if made is not None:
            self.made[made.number] = made

    def _rewrite(self, pull: Pull, move: Move) -> None:
        """Write the branch anew, from main; somebody's commit on it stays to be found in the comment."""
        if self.branches.write(self.main, move, self.branches.tip(move.branch)):
            text = f"Written anew from main; {pull.head.sha[:7]} was not what promotes {short(move.release)} any more."
            self.pulls.tell(pull.number, text)

    def _keep_true(self, pull: Pull, letter: Letter) -> None:
        """Bring title and body up to date. Who asked first stays named: the name decides whose approval counts."""
        if letter.move.kind == "rollback" and pull.number not in self.made:
            return  # its reason is that of the person who opened it
        now = replace(
            letter,
            move=replace(
                letter.move, asked=letter.move.asked or (pull.asked and pull.number not in self.made)
            ),
            requested_by=pull.requested_by or letter.requested_by,
            by_run=pull.by_run,
        )
        self.pulls.edit(pull, now.move.title, now.body)
