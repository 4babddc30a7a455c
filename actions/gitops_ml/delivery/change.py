"""What a pull request does to `environments/`: one legal move, a change of policy, or what nobody may merge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from gitops_ml.delivery.check import is_return
from gitops_ml.delivery.environment import (
    FOLDER,
    Following,
    Promoted,
    environment_of,
    is_canonical,
    read_environment,
    wish_of,
)
from gitops_ml.delivery.pipeline import RESERVED, Pipeline
from gitops_ml.delivery.release import short
from gitops_ml.delivery.world import World
from gitops_ml.errors import UserError
from gitops_ml.reading import read_document

Kind = Literal["none", "promotion", "rollback", "revert", "pin", "policy", "tampering"]


@dataclass(frozen=True)
class Change:
    """A classified change. `release` is where it goes; `tampering` is whatever is no legal move, with the reason."""

    kind: Kind
    reason: str
    environment: str | None = None
    before: str | None = None
    release: str | None = None


def classify(
    world: World, paths: Sequence[str], before: Mapping[str, bytes], after: Mapping[str, bytes]
) -> Change:
    """Classify a change of `paths` by the policy of the base, which is `world`'s.

    `before` and `after` hold the content of every changed file under `environments/`; a file that is absent there
    does not exist on that side.
    """
    touched = [path for path in paths if path.startswith(FOLDER)]
    if not touched:
        return Change("none", "no file of environments/ changes")
    moved = [path for path in touched if environment_of(path) not in RESERVED]
    odd = [path for path in moved if "/" in environment_of(path) or not path.endswith(".yaml")]
    if odd:
        return Change("tampering", f"{odd[0]} is not the file of an environment")
    if not moved:
        return Change(
            "policy", f"changes {' and '.join(touched)}; the gates of main apply until it is merged"
        )
    names = world.pipeline.names
    if all(path not in before or path not in after or environment_of(path) not in names for path in moved):
        return _add_or_remove(moved, touched, before, after)
    if len(moved) > 1:
        return Change("tampering", f"moves {len(moved)} environments at once; a pull request moves one")
    others = [path for path in paths if path != moved[0]]
    if others:
        return Change("tampering", f"changes {moved[0]} together with {others[0]}; a move changes one file")
    return _move(world, moved[0], before, after)


def _add_or_remove(
    moved: Sequence[str], touched: Sequence[str], before: Mapping[str, bytes], after: Mapping[str, bytes]
) -> Change:
    """Environments come and go together with their place in pipeline.yaml, and come empty."""
    if FOLDER + "pipeline.yaml" not in touched:
        return Change("tampering", f"{moved[0]} comes or goes, but pipeline.yaml does not change")
    for path in moved:
        if b"\nrelease: r-" in after.get(path, b"") or b"\npin:" in after.get(path, b""):
            return Change(
                "tampering", f"{path} is new and names a release; add it with `release: none` first"
            )
    return Change("policy", f"changes which environments there are: {', '.join(moved)}")


def _move(world: World, path: str, before: Mapping[str, bytes], after: Mapping[str, bytes]) -> Change:
    name = environment_of(path)
    step = world.step(name)
    if path not in before or path not in after:
        return Change("tampering", f"{path} comes or goes, but its place in pipeline.yaml stays", name)
    desired = world.desired.get(name)
    here = desired.release if desired is not None else None
    try:
        found = read_environment(read_document(after[path], path), step)
    except UserError as error:
        return Change("tampering", error.message, name, here)
    if isinstance(found, Following):
        target = found.pin
        said = "follows main again" if target is None else f"holds {name} at {short(target)}"
        return Change("pin", said, name, here, target)
    if not is_canonical(after[path], found):
        reason = f"{path} is not written as `make promote` writes it, so a revert would not be exact"
        return Change("tampering", reason, name, here, found.wanted)
    return _direction(world, name, here, found)


def _direction(world: World, name: str, here: str | None, found: Promoted) -> Change:
    target = found.wanted
    if target == here:
        return Change("none", f"{name} stays at {short(here)}", name, here, target)
    if target is None:
        reason = f"{name} ran {short(here)} and can't go back to none; roll back to a release that served"
        return Change("tampering", reason, name, here)
    moved = f"{name} from {short(here)} to {short(target)}"
    manifest = world.manifest(target)
    if manifest is not None and found.artifacts != manifest.artifacts:
        return Change(
            "tampering", f"{short(target)} names other artifacts than its manifest", name, here, target
        )
    if not is_return(world, name, target):
        return Change("promotion", moved, name, here, target)
    history = world.desired[name].history
    kind: Kind = "revert" if len(history) > 1 and history[-2] == target else "rollback"
    return Change(kind, moved, name, here, target)


def check_policy(pipeline: Pipeline, files: Mapping[str, bytes]) -> None:
    """Raise `UserError` unless every environment of `pipeline` has its file in `files` and nothing else is there."""
    for step in pipeline.environments:
        wish_of(step, files)
    for path in files:
        if environment_of(path) not in (*pipeline.names, *RESERVED):
            raise UserError(
                f"{path} is no environment of pipeline.yaml.", "Give it a place in the order, or remove it."
            )
