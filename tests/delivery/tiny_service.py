"""A service that answers as the template's does, without a model: for images that have to be built in a second.

It is a file of its own that needs nothing but Python, so that it runs in a container too. The environment says what
it is (RELEASE_ID, IMAGE_DIGEST, RELEASE_COMMIT, MODEL_HASH, DATA_HASH) and what is wrong with it (FAULT).
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

EXAMPLE = {"records": [{"x": 1.5}, {"x": 2.5}]}
DESCRIBED = {
    "paths": {"/predict": {"post": {"requestBody": {"content": {"application/json": {"example": EXAMPLE}}}}}}
}
# By the name of a fault: what GET of a path, or POST of a good or a bad row, answers instead.
FAULTS: dict[str, dict[str, tuple[int, Any]]] = {
    "": {},
    "never ready": {"/v2/health/ready": (503, {"error": "starting"})},
    "no version": {"/version": (404, {"error": "not found"})},
    "version is text": {"/version": (200, "r-1")},
    "no description": {"/openapi.json": (404, {"error": "not found"})},
    "no example": {"/openapi.json": (200, {"paths": {"/predict": {"post": {}}}})},
    "predicts nothing": {"good": (200, {"predictions": []})},
    "fails": {"good": (500, {"error": "the service failed"})},
    "takes nonsense": {"bad": (200, {"predictions": [{"prediction": 0}]})},
    "breaks on nonsense": {"bad": (500, {"error": "the service failed"})},
}


def identity(environ: Mapping[str, str]) -> dict[str, str]:
    """What `/version` says; a fault `other <key>` makes one part of it wrong."""
    said = {
        "release": environ.get("RELEASE_ID", "unreleased"),
        "image_digest": environ.get("IMAGE_DIGEST", "unknown"),
        "commit": environ.get("RELEASE_COMMIT", "unknown"),
        "model_hash": environ.get("MODEL_HASH", "unknown"),
        "data_hash": environ.get("DATA_HASH", "unknown"),
    }
    fault = environ.get("FAULT", "")
    if fault.startswith("other "):
        said[fault.removeprefix("other ")] = "something-else"
    return said


def serve(environ: Mapping[str, str], host: str = "127.0.0.1", port: int = 0) -> ThreadingHTTPServer:
    """Listen; port 0 is one that the kernel chooses. The caller calls `serve_forever`."""
    fault = environ.get("FAULT", "")
    changed = FAULTS.get(fault, {})
    if fault not in FAULTS and not fault.startswith(("other ", "no header")):
        raise ValueError(f"unknown fault {fault!r}")
    release = environ.get("RELEASE_ID", "unreleased")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            pages: dict[str, tuple[int, Any]] = {
                "/version": (200, identity(environ)),
                "/openapi.json": (200, DESCRIBED),
                "/v2/health/ready": (200, {}),
            }
            self.answer(*(pages | changed).get(self.path, (404, {"error": "not found"})))

        def do_POST(self) -> None:
            rows = json.loads(self.rfile.read(int(self.headers["content-length"])))["records"]
            if any("x" not in row for row in rows):
                self.answer(*changed.get("bad", (422, {"error": "row 0, column 'x' is missing"})))
                return
            answers = [{"prediction": row["x"] * 2} for row in rows]
            self.answer(*changed.get("good", (200, {"release": release, "predictions": answers})))

        def answer(self, status: int, body: Any) -> None:
            content = json.dumps(body).encode()
            self.send_response(status)
            if fault != "no header":
                self.send_header("X-Release", release)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *words: Any) -> None:
            """Say nothing."""

    return ThreadingHTTPServer((host, port), Handler)


def main() -> None:
    if os.environ.get("FAULT") == "dies":
        sys.exit("the model file does not fit its hash")
    host, port = os.environ.get("SERVING_HOST", "0.0.0.0"), int(os.environ.get("SERVING_PORT", "8000"))
    server = serve(os.environ, host, port)
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    server.serve_forever()


if __name__ == "__main__":
    main()
