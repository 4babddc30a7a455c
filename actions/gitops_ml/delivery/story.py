"""What lies between two releases on main: commits with the pull requests that brought them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from gitops_ml.catalogue import look_up
from gitops_ml.delivery.git import Git
from gitops_ml.errors import UserError
from gitops_ml.reading import read_document

MOST = 20
_NUMBER = re.compile(r" \(#([0-9]{1,9})\)$")


@dataclass(frozen=True)
class Commit:
    """One commit of main; `number` is the pull request that a squash names at the end of its subject."""

    sha: str
    subject: str
    number: int | None = None


@dataclass(frozen=True)
class Story:
    """The newest `MOST` commits that a move brings, and those that it takes back; `total` counts all of either."""

    brings: tuple[Commit, ...] = ()
    brings_total: int = 0
    takes_back: tuple[Commit, ...] = ()
    takes_back_total: int = 0
    known: bool = True


def between(git: Git, here: str | None, there: str) -> Story:
    """What lies between the commits `here` and `there`, without what only moves environments; newest first."""
    if here is None or git.resolve(here) is None or git.resolve(there) is None:
        return Story(known=False)
    brings, takes_back = _commits(git, here, there), _commits(git, there, here)
    return Story(tuple(brings[:MOST]), len(brings), tuple(takes_back[:MOST]), len(takes_back))


def _commits(git: Git, old: str, new: str) -> list[Commit]:
    words = ("log", "--first-parent", "--no-show-signature", "--format=%H %s", "-z", f"{old}..{new}")
    listed = git.run(*words, "--", ":/", ":(top,exclude)environments").output.decode(errors="replace")
    return [_commit(line) for line in listed.split("\0") if line]


def _commit(line: str) -> Commit:
    sha, _, subject = line.partition(" ")
    found = _NUMBER.search(subject)
    return Commit(sha, subject[: found.start()], int(found[1])) if found else Commit(sha, subject)


def directions(git: Git, main: str, names: Mapping[str, float]) -> dict[str, str]:
    """What is better of each metric, `higher` or `lower`: as gates.yaml on main says, else as its name tells."""
    stated: Mapping[str, object] = {}
    content = git.blobs([f"{main}:gates.yaml"])[0]
    if content is not None:
        try:
            value = read_document(content, "gates.yaml").value
            metrics = value.get("metrics") if isinstance(value, dict) else None
            stated = metrics if isinstance(metrics, dict) else {}
        except UserError:
            stated = {}  # what is wrong with it is said where it counts, in the pull request that changes it
    found: dict[str, str] = {}
    for name in names:
        rule = stated.get(name)
        said = rule.get("direction") if isinstance(rule, dict) else None
        direction = said if said in ("higher", "lower") else look_up(name).direction
        if direction is not None:
            found[name] = str(direction)
    return found
