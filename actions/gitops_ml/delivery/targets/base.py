"""What the deploy loop needs of a place where releases run, and nothing more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from gitops_ml.delivery.deployment import Live
from gitops_ml.delivery.release import Manifest
from gitops_ml.errors import UserError


class FencedError(UserError):
    """The target was asked for something newer already; the run that asks now is late, and stops."""


def late(place: str, fence: int, known: int) -> FencedError:
    """`place` was asked for something by a run that read `fence` commits of main; this one `known` of them."""
    return FencedError(
        f"{place} was asked for something newer already: {fence} commits of main, and this run knows {known}.",
        "Nothing has to be done: the newer run decides what serves.",
    )


@dataclass(frozen=True)
class Order:
    """One release for one environment. `fence` is the first-parent count of main when the desired state was read."""

    environment: str
    release: Manifest
    fence: int

    @property
    def variables(self) -> dict[str, str]:
        """What the container is given, because its image can't hold it."""
        return {"RELEASE_ID": self.release.release, "IMAGE_DIGEST": self.release.artifacts.digest}


def refuse_late(fence: int, order: Order) -> None:
    """Raise `FencedError` when `fence`, the highest that the environment was asked for, is above that of `order`."""
    if fence > order.fence:
        raise late(order.environment, fence, order.fence)


@dataclass(frozen=True)
class Request:
    """A question to the service; `body` is JSON when there is one."""

    path: str
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def method(self) -> str:
        return "GET" if self.body is None else "POST"


@dataclass(frozen=True)
class Reply:
    """What it answered; header names in lower case. Status 0: there was no answer, and `body` says why."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


class Service(Protocol):
    """A running service, however it is reached. Never raises for a service that does not answer."""

    def ask(self, request: Request) -> Reply: ...


class Target(Protocol):
    """One environment. Every method raises `UserError` when the place itself can't be reached or refuses."""

    def live(self) -> Live:
        """What the environment itself says: release and digest that serve, whether they are well, highest fence."""
        ...

    def apply(self, order: Order) -> str:
        """Make `order` serve, by digest; returns why it does not, or an empty text.

        It blocks until the release serves and is healthy, or was given up. A release that can't become healthy
        leaves what served before serving, where the place can do that. The fence is remembered in both cases, and
        a lower one than any before raises `FencedError` and changes nothing. Applying what serves moves nothing.
        """
        ...

    def prove(self, order: Order) -> Mapping[str, bool]:
        """The checks of the release that serves, by name: `version` and `smoke` at least."""
        ...
