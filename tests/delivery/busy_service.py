"""The tiny service with clients: it keeps connections, counts its latency, and may go wrong under traffic (TROUBLE).

Beside `tiny_service` in an image; both need nothing but Python.
"""

from __future__ import annotations

import itertools
import os
import signal
import socket
import sys
import threading
import time
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))
import tiny_service

# A release is proven with a few predictions; what goes wrong later is what traffic alone can show.
PROVEN = 4
# Long enough for a careless deployment to have taken the old release away. It ends in the middle of a request.
CRASHES_AFTER_S = 0.5
BOUNDS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)


class Histogram:
    """As the template's service writes it."""

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS) + 1)
        self.lock = threading.Lock()

    def observe(self, seconds: float) -> None:
        with self.lock:
            self.counts[sum(seconds > bound for bound in BOUNDS)] += 1

    def text(self) -> str:
        with self.lock:
            totals = itertools.accumulate(self.counts)
        names = [*map(str, BOUNDS), "+Inf"]
        line = 'serving_request_seconds_bucket{{le="{}",route="/predict"}} {}.0\n'
        return "".join(line.format(name, total) for name, total in zip(names, totals, strict=True))


def serve(host: str, port: int) -> ThreadingHTTPServer:
    server = tiny_service.serve(os.environ, host, port)
    server.socket.listen(512)
    trouble = os.environ.get("TROUBLE", "")
    seconds = Histogram()
    doomed: dict[str, float] = {}
    number = itertools.count(1)
    plain: Any = server.RequestHandlerClass

    class Handler(plain):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:  # noqa: N802 -- named by http.server
            if self.path != "/metrics":
                super().do_GET()
                return
            content = seconds.text().encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def do_POST(self) -> None:  # noqa: N802 -- named by http.server
            began, late = time.monotonic(), next(number) > PROVEN
            if late and trouble == "crashes":
                doomed.setdefault("at", began + CRASHES_AFTER_S)
                if began >= doomed["at"]:
                    print("cannot allocate memory", file=sys.stderr, flush=True)
                    os._exit(3)
            if late and trouble == "fails":
                self.rfile.read(int(self.headers["content-length"]))
                self.answer(500, {"error": "the service failed"})
            else:
                # `slow` is a release of which every answer takes longer, `lasting` one with long requests.
                time.sleep({"slow": 0.5, "lasting": 4.0 if "lasting" in self.path else 0}.get(trouble, 0))
                super().do_POST()
            seconds.observe(time.monotonic() - began)

    server.RequestHandlerClass = Handler
    # A check that hangs up is no news, and the log's last line is what a test looks for.
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    return server


def main() -> None:
    if os.environ.get("FAULT") == "dies":
        sys.exit("the model file does not fit its hash")
    server = serve(os.environ.get("SERVING_HOST", "0.0.0.0"), int(os.environ.get("SERVING_PORT", "8000")))
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    server.serve_forever()
    server.socket.shutdown(socket.SHUT_RDWR)


if __name__ == "__main__":
    main()
