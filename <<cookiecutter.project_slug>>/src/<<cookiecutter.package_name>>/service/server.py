"""The process: one uvicorn server that leaves without dropping a request."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from types import FrameType

import prometheus_client
import uvicorn
from threadpoolctl import threadpool_limits

from ..errors import UserError
from . import app, core
from .core import Service
from .settings import Settings


class Server(uvicorn.Server):
    """On the first SIGTERM or SIGINT: not ready and `Connection: close` for `drain_seconds`, then stop accepting.

    Load balancers learn within the drain that no new request should come; what came is answered. A second signal
    ends the drain.
    """

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self._service = service
        self._loop: asyncio.AbstractEventLoop | None = None

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        await super().serve(sockets)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if sockets and not self.should_exit:
            host, port = sockets[0].getsockname()[:2]
            served = self._service.version
            self._service.log.write(
                "ready", host=host, port=port, model=served.model_name, model_hash=served.model_hash
            )

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self._service.leaving or self._loop is None:
            super().handle_exit(sig, frame)
            return
        self._service.leaving = True
        self._loop.call_soon_threadsafe(self._drain, sig)

    def _drain(self, sig: int) -> None:
        name, seconds = signal.Signals(sig).name, self._service.settings.drain_seconds
        self._service.log.write("leaving", signal=name, drain_seconds=seconds)
        asyncio.get_running_loop().call_later(seconds, super().handle_exit, sig, None)


def run(settings: Settings) -> None:
    """Serve until a signal comes.

    Raises:
        UserError: the model does not fit, or the address is taken.
    """
    prometheus_client.disable_created_metrics()  # they double the series, and nothing here asks for them
    service = core.start(settings, os.environ)
    service.log.adopt()
    listening = _listen(settings)
    config = uvicorn.Config(
        app.of(service),
        log_config=None,
        access_log=False,
        server_header=False,
        lifespan="off",
        timeout_graceful_shutdown=settings.shutdown_seconds,
    )
    # One thread for arithmetic: rows are few, and threads that wait for each other take longer.
    with threadpool_limits(1):
        # uvicorn raises the signal anew after a graceful end, when it has done its work; one that comes before uvicorn
        # listens to signals ends the start.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda sent, _: None if service.leaving else sys.exit(128 + sent))
        Server(config, service).run(sockets=[listening])
    service.log.write("stopped")


def _listen(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((settings.host, settings.port))
    except OSError as error:
        raise UserError(
            f"environment: cannot listen on {settings.host}:{settings.port} ({error.strerror}); set SERVING_PORT"
        ) from None
    return listening
