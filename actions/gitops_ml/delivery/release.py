"""A release: what was built once from one commit, named by the hash of what it consists of."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from gitops_ml.delivery.typed import (
    Commit,
    Image,
    ModelName,
    Moment,
    Number,
    Ordinal,
    ReleaseId,
    Run,
    RunId,
    Sha256,
    Strict,
    Text,
    fingerprint,
)
from gitops_ml.errors import UserError

# What a person types of a release: as many digits as tell it from the others, and enough not to be a slip.
_TYPED = re.compile(r"(?:r-)?([0-9a-f]{4,64})")


class Artifacts(Strict):
    """What a release consists of. Two releases with the same parts are the same release."""

    commit: Commit
    build_key: Sha256
    image: Image
    model: Sha256
    data: Sha256
    run: RunId
    contract: Sha256

    @property
    def digest(self) -> str:
        """The image's digest, `sha256:` and 64 hexadecimal digits."""
        return self.image.partition("@")[2]


def release_id(artifacts: Artifacts) -> str:
    """`r-` and the sha256 of the canonical JSON of `artifacts`."""
    return "r-" + fingerprint(artifacts.model_dump(mode="json"))


def short(release: str | None) -> str:
    """A release for people: `r-` and 8 digits."""
    return "none" if release is None else release[:10]


# Where the model of a release was trained.
Origin = Literal["pull request", "run cache", "main"]


class Manifest(Strict):
    """`releases/<id>.json`: a release and what is known of its making. Written once, never changed.

    `sequence` is `git rev-list --first-parent --count <commit>`: which of two releases is older is decided by
    main's history, never by a clock. `trained` says where the model came from, `model_name` how it is called.
    """

    schema_version: Literal[1] = Field(default=1, alias="schema")
    release: ReleaseId
    artifacts: Artifacts
    sequence: Ordinal
    eval_hash: Sha256 | None = None
    primary: Annotated[str, Field(max_length=80)] | None = None
    metrics: Annotated[Mapping[str, Number], Field(max_length=200)] = Field(default_factory=dict)
    model_name: ModelName | None = None
    trained: Origin = "main"
    pull_request: Ordinal | None = None
    # Unpacked and with its base.
    image_bytes: Annotated[int, Field(ge=0, le=10**15)] | None = None
    run: Run = Run()
    at: Moment
    note: Text = ""

    @model_validator(mode="after")
    def _name_is_hash(self) -> Self:
        if self.release != release_id(self.artifacts):
            raise ValueError("the release is not the hash of its artifacts")
        return self


def named(releases: Mapping[str, Manifest], typed: str) -> str:
    """The release that a person means by `typed`, its name or the first digits of it; raises `UserError`."""
    digits = _TYPED.fullmatch(typed.strip().lower())
    if digits is None:
        raise UserError(
            f"{typed[:80]!r} is not a release.",
            "Give r- and at least 4 digits of it, as in: RELEASE=r-1a2b3c4d",
        )
    found = sorted(name for name in releases if name.startswith("r-" + digits[1]))
    if len(found) == 1:
        return found[0]
    if not found:
        raise UserError(
            f"No release on deploy-state begins with r-{digits[1]}.", "See what there is: make status"
        )
    names = ", ".join(short(name) for name in found[:5])
    raise UserError(f"{len(found)} releases begin with r-{digits[1]}: {names}.", "Give more digits.")
