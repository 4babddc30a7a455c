"""The proof that a release did what it has to do in one environment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from gitops_ml.delivery.typed import (
    CheckName,
    Count,
    Digest,
    EnvironmentName,
    Moment,
    Ordinal,
    ReleaseId,
    Run,
    Sha256,
    Strict,
)


class Evidence(Strict):
    """`evidence/<env>/<id>/<generation>-<attempt>.json`.

    `digest` is what the running service said, not what was asked for. `policy` is the hash of what was required
    when the checks ran (`Pipeline.policy`); evidence for another policy does not count.
    """

    schema_version: Literal[1] = Field(default=1, alias="schema")
    environment: EnvironmentName
    release: ReleaseId
    generation: Count
    attempt: Ordinal
    digest: Digest
    checks: Annotated[Mapping[CheckName, bool], Field(min_length=1, max_length=50)]
    policy: Sha256
    eval_hash: Sha256 | None = None
    run: Run = Run()
    at: Moment
