"""A container engine in this process: its containers are threads that answer as a service of the template would."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from gitops_ml.engine import Build, Image, State
from gitops_ml.errors import UserError

IDENTITY = "sha256:" + "1" * 64


@dataclass
class Behaviour:
    """What the service in the image does, and its faults. `answers` are predictions by the value of column `x`."""

    answers: dict[float, dict[str, Any]]
    model_hash: str = "a" * 64
    data_hash: str = "d" * 64
    commit: str = "c" * 40
    ready_after: int = 0  # this many answers of 503 before
    crash: str = ""  # the last line of a container that ends at once
    bad_request_status: int = 422
    ignores_release: bool = False
    exit_code: int = 0


@dataclass
class FakeEngine:
    behaviour: Behaviour
    user: str = "65532:65532"
    labels: dict[str, str] = field(default_factory=dict)
    builds: list[Build] = field(default_factory=list)
    started: list[list[str]] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    secrets: dict[str, str] = field(default_factory=dict)
    _server: ThreadingHTTPServer | None = None
    _stopped: bool = False

    def build(self, build: Build) -> None:
        self.builds.append(build)
        # Secrets are gone when the build is over, so they are read now.
        self.secrets = {name: path.read_text(encoding="utf-8") for name, path in build.secrets.items()}

    def image(self, name: str) -> Image:
        return Image(IDENTITY, 528_000_000, self.user, self.labels)

    def start(self, options: Sequence[str], image: str) -> str:
        self.started.append([*options, image])
        if not self.behaviour.crash:
            self._server = serve(self.behaviour, environment(options))
        return "container"

    def state(self, container: str) -> State:
        ended = self._server is None or self._stopped
        code = 1 if self.behaviour.crash else self.behaviour.exit_code
        return State(running=not ended, exit_code=code if ended else 0)

    def port(self, container: str, inside: int) -> int:
        if self._server is None:
            raise UserError("no port is published")
        return int(self._server.server_address[1])

    def logs(self, container: str) -> str:
        return f"starting\n{self.behaviour.crash}\n"

    def stop(self, container: str, grace_s: int) -> None:
        self._stopped = True

    def remove(self, container: str) -> None:
        self.removed.append(container)
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()

    def push(self, image: str, target: str) -> None:
        raise UserError("this engine knows no registry")

    def pull(self, image: str) -> None:
        raise UserError("this engine knows no registry")


def environment(options: Sequence[str]) -> dict[str, str]:
    given = (option.removeprefix("--env=") for option in options if option.startswith("--env="))
    return dict(one.split("=", 1) for one in given)


def serve(behaviour: Behaviour, environ: Mapping[str, str]) -> ThreadingHTTPServer:
    """Answer on a port that the kernel chooses."""
    release = "fixed" if behaviour.ignores_release else environ["RELEASE_ID"]

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/version":
                said = {
                    "release": release,
                    "image_digest": environ["IMAGE_DIGEST"],
                    "commit": behaviour.commit,
                }
                said |= {"model_hash": behaviour.model_hash, "data_hash": behaviour.data_hash}
                self.answer(200, said)
            elif behaviour.ready_after > 0:
                behaviour.ready_after -= 1
                self.answer(503, {"error": "starting"})
            else:
                self.answer(200, None)

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            if any("x" not in record for record in body["records"]):
                self.answer(behaviour.bad_request_status, {"error": "row 0, column 'x' is missing"})
                return
            answers = [behaviour.answers[record["x"]] for record in body["records"]]
            self.answer(200, {"predictions": answers})

        def answer(self, status: int, body: Any) -> None:
            content = b"" if body is None else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("x-release", release)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *words: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    return server
