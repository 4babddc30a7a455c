"""What a verb that moves environments works with: main and the records as the remote has them now, and the forge."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from gitops_ml.delivery.access import Place, find_github, find_place
from gitops_ml.delivery.branch import Branches, identity
from gitops_ml.delivery.checkout import open_repository, read_world
from gitops_ml.delivery.git import Git
from gitops_ml.delivery.letter import Letter
from gitops_ml.delivery.move import Move
from gitops_ml.delivery.mover import Mover
from gitops_ml.delivery.pulls import Pulls
from gitops_ml.delivery.release import Manifest
from gitops_ml.delivery.remote import fetch_main
from gitops_ml.delivery.state import StateBranch
from gitops_ml.delivery.story import between, directions
from gitops_ml.delivery.world import World
from gitops_ml.errors import UserError
from gitops_ml.github import GitHub
from gitops_ml.runner import Runner

_LOGIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,38}")


@dataclass
class Workshop:
    """One look at the remote. `github` is None on a laptop that has no token."""

    git: Git
    branches: Branches
    main: str
    world: World
    place: Place | None
    github: GitHub | None
    runner: Runner

    @cached_property
    def requested_by(self) -> str | None:
        """The person who runs this: as the runner says, else as the token's owner; None for a bot or nobody known."""
        on_runner = self.runner.on_actions
        login = self.runner.environ.get("GITHUB_ACTOR", "") if on_runner else self._owner()
        return login if _LOGIN.fullmatch(login) else None

    def _owner(self) -> str:
        try:
            found = self.github.get("/user") if self.github is not None else None
        except UserError:
            return ""  # a token without a person behind it
        return str(found.get("login", "")) if isinstance(found, dict) else ""

    def mover(self) -> Mover | None:
        """What brings moves to the forge; None where the API can't be asked."""
        if self.github is None or self.place is None:
            return None
        pulls = Pulls(self.github, self.place.repository)
        return Mover(pulls, self.branches, self.place, self.world, self.main)

    def letter(self, move: Move, manifest: Manifest, reason: str = "") -> Letter:
        """The text of `move`'s pull request; `manifest` is that of its release."""
        here = self.world.manifest(self.world.desired[move.environment].release)
        story = between(self.git, None if here is None else here.artifacts.commit, manifest.artifacts.commit)
        return Letter(
            move,
            self.world,
            story,
            directions(self.git, self.main, manifest.metrics),
            self.place.page if self.place is not None else "",
            self.requested_by if move.asked else None,
            self.runner.on_actions,
            reason,
        )

    def by_hand(self, move: Move) -> str:
        """Push the branch of `move`, and say where the pull request can be opened with two clicks."""
        self.branches.bring(self.main, move)
        if self.place is None:
            return f"The branch {move.branch} is pushed. Open a pull request of it into main."
        address = self.place.new_pull(move.branch, move.title)
        return f"The branch {move.branch} is pushed. Open its pull request:\n{address}"


def open_workshop(folder: Path, remote: str, runner: Runner, now: dt.datetime) -> Workshop:
    """Look at `remote` through the clone in `folder`; raises `UserError` when it can't be reached or read."""
    git = open_repository(folder, runner.environ)
    branches = Branches(git, remote, identity(runner.environ))
    main, state = fetch_main(git, remote), StateBranch(git, remote).fetch()
    place = find_place(git, remote, runner.environ)
    github = None if place is None else find_github(place, runner.environ)
    return Workshop(git, branches, main, read_world(git, main, state, now), place, github, runner)
