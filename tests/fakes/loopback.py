"""A server of this process on a port of the kernel's choice, for fakes that say only what is answered."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

# Status, headers, body.
Answer = tuple[int, Mapping[str, str], bytes]


class Loopback(ABC):
    """Serves while its block runs."""

    _server: ThreadingHTTPServer

    @abstractmethod
    def respond(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Answer:
        """What is answered to one request; `target` is its path with the query."""

    def __enter__(self) -> Self:
        respond = self.respond

        class Handler(BaseHTTPRequestHandler):
            def do_any(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                status, headers, content = respond(self.command, self.path, dict(self.headers.items()), body)
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(content))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_PUT = do_POST = do_any  # noqa: N815 - names that the base class wants

            def log_message(self, *words: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        ).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self._server.server_port}"
