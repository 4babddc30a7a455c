"""Two colours, of which one serves: which of them a release is started as, and which one it takes the traffic from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gitops_ml.delivery.targets.base import Order
from gitops_ml.delivery.targets.docker_host import Container
from gitops_ml.delivery.targets.proxy import Server

COLOURS = ("blue", "green")


@dataclass(frozen=True)
class Colour:
    """A service of the Compose project, with its container if there is one, as the proxy sees it."""

    container: Container | None
    server: Server

    @property
    def name(self) -> str:
        return self.server.name

    @property
    def serves(self) -> bool:
        """Whether it gets traffic while it is healthy."""
        return self.container is not None and self.container.running and self.server.open

    @property
    def fence(self) -> int:
        return 0 if self.container is None else self.container.fence

    def runs(self, order: Order) -> bool:
        return self.container is not None and self.container.runs(order)


@dataclass(frozen=True)
class Move:
    """`new` is to serve alone, `old` served until now; `start`: a container of the release has to be started first."""

    new: str
    old: str | None
    start: bool

    @property
    def finished(self) -> bool:
        return self.old is None and not self.start


def serving(colours: Sequence[Colour]) -> Colour | None:
    """The one that serves. Of two, which a run that died or a proxy that was restarted can leave, the older order.

    That one served before, and was proven then.
    """
    return min((colour for colour in colours if colour.serves), key=lambda colour: colour.fence, default=None)


def decide(colours: Sequence[Colour], order: Order) -> Move:
    """From whatever state a run left, the way to `order` that takes no traffic from what is well."""
    taking = [colour for colour in colours if colour.serves]
    wanted = [colour for colour in taking if colour.runs(order)]
    if wanted:
        new = max(wanted, key=lambda colour: colour.fence)
        others = [colour.name for colour in taking if colour.name != new.name]
        return Move(new.name, others[0] if others else None, start=False)
    old = serving(colours)
    if old is not None:
        return Move(other(old.name), old.name, start=True)
    # Nothing serves. A container that was stopped keeps its log as long as there is another place.
    free = [colour.name for colour in colours if colour.container is None]
    return Move((free or [colours[0].name])[0], None, start=True)


def other(name: str) -> str:
    return COLOURS[1 - COLOURS.index(name)]
