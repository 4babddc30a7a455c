"""`environments/revoked.yaml`: releases that may not go anywhere any more."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from gitops_ml.delivery.typed import ReleaseId, Strict
from gitops_ml.reading import read_typed, tupled
from gitops_ml.strict_yaml import Document


class Revocation(Strict):
    release: ReleaseId
    reason: Annotated[str, Field(min_length=1, max_length=300)]


class Revoked(Strict):
    """The content of `revoked.yaml`."""

    schema_version: Literal[1] = Field(alias="schema")
    revoked: Annotated[tuple[Revocation, ...], tupled, Field(max_length=10_000)] = ()

    def reason(self, release: str) -> str | None:
        """Why `release` was revoked, or None when it was not."""
        return next((entry.reason for entry in self.revoked if entry.release == release), None)


def read_revoked(document: Document) -> Revoked:
    """Check `document`; raises `UserError` that names file, line and key."""
    found = read_typed(document, Revoked)
    names = [entry.release for entry in found.revoked]
    for index, name in enumerate(names):
        if name in names[:index]:
            raise document.error(
                ("revoked", index, "release"), "this release stands twice.", "Keep one entry."
            )
    return found
