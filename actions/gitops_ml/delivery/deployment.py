"""What happened in an environment: intents before anything is touched, outcomes after health, observations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from gitops_ml.delivery.typed import (
    Count,
    Digest,
    EnvironmentName,
    Moment,
    Ordinal,
    Person,
    ReleaseId,
    Run,
    Strict,
    Text,
)

Kind = Literal["deploy", "restore"]


class Intent(Strict):
    """`deployments/<env>/<generation>-<attempt>.intent.json`: written before the target is touched.

    `fence` is the first-parent count of main when the desired state was read. A `restore` brings back what served
    before a release that could not become healthy.
    """

    schema_version: Literal[1] = Field(default=1, alias="schema")
    environment: EnvironmentName
    generation: Count
    attempt: Ordinal
    fence: Ordinal
    kind: Kind = "deploy"
    release: ReleaseId
    previous: ReleaseId | None = None
    by: Person | None = None
    pull_request: Ordinal | None = None
    approvers: Annotated[tuple[Person, ...], Field(max_length=20)] = ()
    run: Run = Run()
    at: Moment


class Outcome(Strict):
    """`deployments/<env>/<generation>-<attempt>.outcome.json`: what the service itself said afterwards."""

    schema_version: Literal[1] = Field(default=1, alias="schema")
    environment: EnvironmentName
    generation: Count
    attempt: Ordinal
    release: ReleaseId
    healthy: bool
    digest: Digest | None = None
    reason: Text = ""
    at: Moment


@dataclass(frozen=True)
class Deployment:
    """One attempt: its intent, and its outcome unless the run died before."""

    intent: Intent
    outcome: Outcome | None = None

    @property
    def release(self) -> str:
        return self.intent.release

    @property
    def order(self) -> tuple[int, int]:
        return (self.intent.generation, self.intent.attempt)

    @property
    def healthy(self) -> bool:
        return self.outcome is not None and self.outcome.healthy

    @property
    def failed(self) -> bool:
        return self.outcome is not None and not self.outcome.healthy


class Observation(Strict):
    """`observed/<env>/<number>.json`: what an environment said of itself; written when it differs from the last."""

    schema_version: Literal[1] = Field(default=1, alias="schema")
    environment: EnvironmentName
    number: Ordinal
    # The deployment that this observation came after, so that it has a place in the order without a clock.
    after: tuple[Count, Count]
    release: ReleaseId | None
    digest: Digest | None = None
    healthy: bool
    reason: Text = ""
    at: Moment


@dataclass(frozen=True)
class Live:
    """What a target says at this moment.

    `fence` is the highest of all deployments that the target was asked to apply, whether they became healthy or not;
    an adapter refuses to apply anything with a lower one.
    """

    release: str | None = None
    digest: str | None = None
    healthy: bool = False
    fence: int = 0
