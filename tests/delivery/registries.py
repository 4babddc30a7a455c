"""Registries for tests: one with a login by password, and a fake one that gives tokens, lies and fails when told to."""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from gitops_ml.delivery.oci import Repository
from gitops_ml.trial import free_port

from tests.fakes.loopback import Answer, Loopback
from tests.tools.required import missing

USER, PASSWORD = "octo", "correct horse"
# As `htpasswd -B` would write it, with the smallest cost.
_HTPASSWD = "octo:$2b$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e\n"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def docker_config(folder: Path, host: str, user: str = USER, password: str = PASSWORD) -> dict[str, str]:
    """An environment in which docker is logged in at `host`."""
    auth = base64.b64encode(f"{user}:{password}".encode()).decode()
    return written(folder, {"auths": {host: {"auth": auth}}})


def written(folder: Path, config: object) -> dict[str, str]:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return {"DOCKER_CONFIG": str(folder)}


def push_image(host: str, repository: str, text: str, authorization: str = "") -> str:
    """Put an image of one file, which nothing could run, into a registry; returns its digest."""
    headers = {"Authorization": authorization} if authorization else {}
    connection = http.client.HTTPConnection(host, timeout=60)

    def ask(method: str, path: str, body: bytes = b"", **more: str) -> http.client.HTTPResponse:
        connection.request(method, path, body, {**headers, **more})
        response = connection.getresponse()
        response.read()
        assert response.status < 300, (method, path, response.status)
        return response

    def blob(content: bytes) -> dict[str, object]:
        digest = "sha256:" + hashlib.sha256(content).hexdigest()
        place = ask("POST", f"/v2/{repository}/blobs/uploads/").getheader("Location") or ""
        parts = urlsplit(place)
        octets = {"Content-Type": "application/octet-stream"}
        ask("PUT", f"{parts.path}?{parts.query}&digest={digest}", content, **octets)
        return {"digest": digest, "size": len(content)}

    config = {"mediaType": "application/vnd.oci.image.config.v1+json", **blob(b"{}")}
    layer = {"mediaType": "application/vnd.oci.image.layer.v1.tar", **blob(text.encode())}
    manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer]}
    content = json.dumps(
        manifest, indent=1
    ).encode()  # spelled in a way of its own, so that only copies are equal
    digest = "sha256:" + hashlib.sha256(content).hexdigest()
    ask("PUT", f"/v2/{repository}/manifests/{digest}", content, **{"Content-Type": MANIFEST})
    connection.close()
    return digest


@contextmanager
def locked_registry(folder: Path) -> Iterator[str]:
    """Debian's registry with a password, on a port of its own."""
    program = shutil.which("docker-registry")
    if program is None:
        missing("docker-registry is not on this machine: run tests/tools/docker-engine install")
    folder.mkdir()
    (folder / "htpasswd").write_text(_HTPASSWD, encoding="utf-8")
    port = free_port()
    settings = {
        "version": "0.1",
        "log": {"level": "warn"},
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}},
        "http": {"addr": f"127.0.0.1:{port}"},
        "auth": {"htpasswd": {"realm": "tests", "path": str(folder / "htpasswd")}},
    }
    (folder / "config.yaml").write_text(json.dumps(settings), encoding="utf-8")
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([program, "serve", str(folder / "config.yaml")], stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 60
        while not _answers(port):
            assert process.poll() is None, (folder / "log").read_text(encoding="utf-8")
            assert time.monotonic() < deadline, (folder / "log").read_text(encoding="utf-8")
            time.sleep(0.05)
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", "/v2/")
        return connection.getresponse().status == 401
    except OSError:
        return False
    finally:
        connection.close()


@dataclass
class TokenRegistry(Loopback):
    """A registry whose tokens come from a realm. `asked` are the tokens asked for, as (user or grant, scope)."""

    manifests: dict[str, bytes] = field(default_factory=dict)
    anonymous: bool = False  # gives a token, for reading only, to whoever asks
    realm: str = ""  # another address than its own
    lies: str = ""  # the digest it says, whatever it has
    troubles: list[int] = field(default_factory=list)  # statuses to answer with first
    media_type: str = MANIFEST
    asked: list[tuple[str, str]] = field(default_factory=list)

    def repository(self, environ: dict[str, str] | None = None) -> Repository:
        return Repository(f"{self.host}/octo/churn", environ or {}, sleep=lambda seconds: None)

    def respond(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Answer:
        parts = urlsplit(target)
        given = headers.get("Authorization", "")
        if parts.path == "/token":
            return self._token(parse_qs(parts.query or body.decode()), given)
        if self.troubles:
            return self.troubles.pop(0), {}, b"{}"
        if not given.startswith("Bearer "):
            realm = self.realm or f"http://{self.host}/token"
            scope = "repository:octo/churn:pull"
            return 401, {"WWW-Authenticate": f'Bearer realm="{realm}",service="tests",scope="{scope}"'}, b""
        name = re.fullmatch(r"/v2/octo/churn/manifests/([^/]+)", parts.path)
        if name is None:
            return 404, {}, b""
        return self._manifest(method, name[1], given.removeprefix("Bearer "), body)

    def _token(self, form: dict[str, list[str]], given: str) -> Answer:
        scope = form["scope"][0]
        basic = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        who = USER if given == basic else "identity" if form.get("refresh_token") == ["identity-1"] else ""
        self.asked.append((who, scope))
        if not who and not self.anonymous:
            return (
                401,
                {},
                json.dumps({"errors": [{"code": "UNAUTHORIZED", "message": "who are you"}]}).encode(),
            )
        return 200, {}, json.dumps({"token": scope if who else "read"}).encode()

    def _manifest(self, method: str, name: str, token: str, body: bytes) -> Answer:
        if method == "PUT":
            if not token.endswith("push"):
                return (
                    403,
                    {},
                    json.dumps({"errors": [{"code": "DENIED", "message": "may only read"}]}).encode(),
                )
            self.manifests[name] = body
            digest = "sha256:" + hashlib.sha256(body).hexdigest()
            return 201, {"Docker-Content-Digest": self.lies or digest}, b""
        if name not in self.manifests:
            return 404, {}, b""
        content = self.manifests[name]
        digest = self.lies or "sha256:" + hashlib.sha256(content).hexdigest()
        return 200, {"Docker-Content-Digest": digest, "Content-Type": self.media_type}, content
