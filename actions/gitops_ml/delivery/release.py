"""A release: what was built once from one commit, named by the hash of what it consists of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from gitops_ml.delivery.typed import (
    Commit,
    Image,
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


class Manifest(Strict):
    """`releases/<id>.json`: a release and what is known of its making. Written once, never changed.

    `sequence` is `git rev-list --first-parent --count <commit>`: which of two releases is older is decided by
    main's history, never by a clock. `trained` says where the model came from.
    """

    schema_version: Literal[1] = Field(default=1, alias="schema")
    release: ReleaseId
    artifacts: Artifacts
    sequence: Ordinal
    eval_hash: Sha256 | None = None
    primary: Annotated[str, Field(max_length=80)] | None = None
    metrics: Annotated[Mapping[str, Number], Field(max_length=200)] = Field(default_factory=dict)
    trained: Literal["pull request", "run cache", "main"] = "main"
    pull_request: Ordinal | None = None
    run: Run = Run()
    at: Moment
    note: Text = ""

    @model_validator(mode="after")
    def _name_is_hash(self) -> Self:
        if self.release != release_id(self.artifacts):
            raise ValueError("the release is not the hash of its artifacts")
        return self
