"""Pushing to a branch to which others push at the same moment: only on top of what is there, as often as it takes."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from gitops_ml.delivery.git import Git
from gitops_ml.errors import UserError

ATTEMPTS = 30
LONGEST_PAUSE_S = 4.0
# What git and GitHub say when somebody else was faster; anything else will not get better by trying again.
_MOVED = (
    "stale info",
    "fetch first",
    "non-fast-forward",
    "cannot lock ref",
    "failed to update ref",
    "incorrect old value",
    "reference already exists",
    "remote ref updated since checkout",
)
Result = TypeVar("Result")


@dataclass(frozen=True)
class Prepared(Generic[Result]):
    """A commit to push, None when there is nothing to do, and what to return once it is on the remote."""

    commit: str | None
    result: Result


def has_moved(said: str) -> bool:
    """Whether a push was refused, as git or the forge `said`, because the branch is not what was last seen of it."""
    return any(word in said for word in _MOVED)


def push_on_top(
    git: Git,
    remote: str,
    branch: str,
    prepare: Callable[[int], Prepared[Result]],
    pause: Callable[[float], None],
    refusal: str,
) -> Result:
    """Push what `prepare` makes on top of the branch as it is now; called anew whenever somebody else was faster.

    `prepare` gets the number of the attempt and refuses by raising. `pause` takes seconds; `refusal` says for the error
    what the branch did not do. Raises `UserError` when the remote refuses for good, or after `ATTEMPTS` pushes.
    """
    said = ""
    for attempt in range(1, ATTEMPTS + 1):
        prepared = prepare(attempt)
        if prepared.commit is None:
            return prepared.result
        pushed = git.try_("push", "--quiet", remote, f"{prepared.commit}:refs/heads/{branch}")
        if pushed.code == 0:
            return prepared.result
        said = pushed.problem
        if not has_moved(said):
            break
        # Full jitter: equal pauses would let the same writers collide again.
        pause(random.uniform(0, min(LONGEST_PAUSE_S, 0.05 * 2**attempt)))  # noqa: S311
    else:
        said = f"others were faster {ATTEMPTS} times; {said}"
    fix = "The token needs `contents: write`, and no ruleset may ask for pull requests on this branch."
    raise UserError(f"{branch} on {remote} {refusal}: {said}", fix)
