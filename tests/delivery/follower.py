"""What Argo CD or Flux and a cluster are to the target `gitops-pull`: a service that becomes what a branch says."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml
from gitops_ml.delivery.git import Git

from tests.delivery import tiny_service
from tests.fakes.cluster_pods import Pod


@dataclass
class Follower:
    """Serves on one port whatever the branch last wanted and could start. Images are as in the played cluster.

    `sync` is what the agent in the cluster does now and then; `slow` syncs come to nothing first.
    """

    origin: Path
    branch: str
    environment: str
    images: Mapping[str, Mapping[str, str]]
    slow: int = 0
    pod: Pod | None = None
    served: list[str] = field(default_factory=list)

    def __enter__(self) -> Follower:
        self._front = ThreadingHTTPServer(("127.0.0.1", 0), _front(lambda: self.pod))
        threading.Thread(
            target=self._front.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        ).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop()
        self._front.shutdown()
        self._front.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._front.server_port}"

    def sync(self) -> None:
        if self.slow > 0:
            self.slow -= 1
            return
        git = Git(self.origin)
        tip = git.resolve(f"refs/heads/{self.branch}")
        if tip is None:
            return
        paths = [path for path in git.entries(tip) if path.startswith(f"{self.environment}/deployment-")]
        (content,) = git.blobs([f"{tip}:{path}" for path in paths])
        container = yaml.safe_load(content or b"")["spec"]["template"]["spec"]["containers"][0]
        told = {one["name"]: one["value"] for one in container["env"] if "value" in one}
        inside = self.images.get(container["image"])
        if inside is None or inside.get("FAULT") or self.served[-1:] == [told["RELEASE_ID"]]:
            return  # a rolling update that gets nowhere leaves what served
        self._stop()
        server = tiny_service.serve({**inside, **told})
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        self.pod = Pod(server)
        self.served.append(told["RELEASE_ID"])

    def _stop(self) -> None:
        if self.pod is not None:
            self.pod.server.shutdown()
            self.pod.server.server_close()
            self.pod = None


def _front(current: Callable[[], Pod | None]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            pod = current()
            status, headers, content = pod.ask(self.command, self.path, body) if pod else (503, {}, b"")
            self.send_response(status)
            if "X-Release" in headers:
                self.send_header("X-Release", headers["X-Release"])
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = handle_any  # noqa: N815 - names that the base class wants

        def log_message(self, *words: Any) -> None:
            """Keep the test's output clean."""

    return Handler
