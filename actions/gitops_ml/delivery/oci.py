"""A small client of container registries: which image a tag means, and moving a tag to an image that is there already.

After the OCI distribution specification 1.1, with the token flow of Docker's registries. Nothing is up- or downloaded
but manifests, so moving a tag costs two requests, and the digest under the new name is the very same.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlencode, urlsplit

import urllib3

from gitops_ml.delivery.registry_login import Login, find_login
from gitops_ml.delivery.typed import as_digest
from gitops_ml.errors import UserError
from gitops_ml.inputs import shown
from gitops_ml.one_request import Answer, ask

MEDIA_TYPES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
# The specification lets a registry refuse anything larger.
LIMIT_BYTES = 4 * 1024 * 1024
ATTEMPTS = 4
_TIMEOUT = urllib3.Timeout(connect=10.0, read=60.0)
_PARAMETER = re.compile(r'([a-zA-Z_]+)="([^"]*)"')
_DOCKER_HUB = "docker.io"


@dataclass(frozen=True)
class Stored:
    """A manifest as the registry keeps it, byte for byte."""

    digest: str
    media_type: str
    content: bytes


@dataclass
class Repository:
    """One repository of images, such as `ghcr.io/octo/churn`; logged in as docker is, by `environ`."""

    name: str
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)
    sleep: Callable[[float], None] = time.sleep
    pool: urllib3.PoolManager = field(default_factory=urllib3.PoolManager, repr=False)
    _authorization: str = field(default="", repr=False)

    @property
    def host(self) -> str:
        """As docker names it: the first part when it looks like a host, else Docker Hub."""
        first, _, rest = self.name.partition("/")
        return (
            first if rest and (any(mark in first for mark in ".:") or first == "localhost") else _DOCKER_HUB
        )

    @property
    def path(self) -> str:
        return self.name.removeprefix(f"{self.host}/")

    @property
    def address(self) -> str:
        host = "registry-1.docker.io" if self.host == _DOCKER_HUB else self.host
        return f"{'http' if is_loopback(host) else 'https'}://{host}"

    def find(self, reference: str) -> Stored | None:
        """The manifest that a tag or a digest names, or None when there is none; raises `UserError`.

        What the registry sends is hashed, so that the digest is true whatever the registry says.
        """
        answer = self._send("GET", reference, {"Accept": ", ".join(MEDIA_TYPES)})
        if answer.status == 404:
            return None
        self._check(answer, 200, f"read {reference}")
        digest = "sha256:" + hashlib.sha256(answer.body).hexdigest()
        for said in (answer.headers.get("docker-content-digest"), reference):
            if as_digest(said) not in (None, digest):
                raise UserError(
                    f"{self.name} sent {digest} for {reference}, and says that it is {said}.",
                    "The registry, or something in front of it, changes images. Nothing was changed here.",
                )
        media_type = answer.headers.get("content-type", "").partition(";")[0].strip()
        if media_type not in MEDIA_TYPES:
            raise UserError(f"{self.name}: {reference} is {shown(media_type)}, which is not an image.")
        return Stored(digest, media_type, answer.body)

    def tag(self, image: Stored, name: str) -> None:
        """Let the tag `name` mean `image`; raises `UserError` unless the registry says that it got this very digest."""
        answer = self._send("PUT", name, {"Content-Type": image.media_type}, image.content)
        self._check(answer, 201, f"move the tag {name}")
        said = answer.headers.get("docker-content-digest", image.digest)
        if said != image.digest:
            raise UserError(
                f"{self.name}: the tag {name} was moved to {shown(said, 80)}, not to {image.digest}."
            )

    def _send(
        self, method: str, reference: str, headers: Mapping[str, str], body: bytes | None = None
    ) -> Answer:
        """One request for a manifest, with a login when the registry asks for it, again when it fails."""
        url = f"{self.address}/v2/{self.path}/manifests/{reference}"
        asked = False
        for attempt in range(1, ATTEMPTS + 1):
            given = {"Authorization": self._authorization} if self._authorization else {}
            try:
                answer = self._once(method, url, {**headers, **given}, body)
            except urllib3.exceptions.HTTPError as error:
                if attempt == ATTEMPTS:
                    fix = "Check the address in environments/pipeline.yaml, and the network."
                    raise UserError(f"{self.host} can't be reached ({type(error).__name__}).", fix) from None
            else:
                if answer.status == 401 and not asked:
                    asked = True
                    self._authorization = self._authorize(answer.headers.get("www-authenticate", ""))
                    if self._authorization:
                        answer = self._once(
                            method, url, {**headers, "Authorization": self._authorization}, body
                        )
                if answer.status < 500 and answer.status != 429:
                    return answer
                if attempt == ATTEMPTS:
                    raise UserError(
                        f"{self.host} failed with status {answer.status}.", "Run the job again later."
                    )
            self.sleep(2.0**attempt)
        raise AssertionError("the loop returns or raises")

    def _once(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> Answer:
        return ask(self.pool, method, url, headers, body, _TIMEOUT, LIMIT_BYTES)

    def _authorize(self, challenge: str) -> str:
        """The header that answers `challenge`, or an empty text when there is nothing to answer with."""
        login = find_login(self.host, self.environ)
        scheme, _, rest = challenge.partition(" ")
        if scheme.lower() == "basic":
            return login.basic if login is not None else ""
        if scheme.lower() != "bearer":
            return ""
        asked = dict(_PARAMETER.findall(rest))
        realm = asked.get("realm", "")
        parts = urlsplit(realm)
        if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.netloc)):
            raise UserError(
                f"{self.host} wants a login at {shown(realm)}, which is not encrypted. Nothing was sent."
            )
        # Both at once where they can be had: a challenge to a read would name no more than reading.
        scope = f"repository:{self.path}:{'pull' if login is None else 'pull,push'}"
        return self._token(realm, {"service": asked.get("service", ""), "scope": scope}, login)

    def _token(self, realm: str, query: Mapping[str, str], login: Login | None) -> str:
        if login is not None and login.identity:
            form = {"grant_type": "refresh_token", "client_id": "gitops-ml", "refresh_token": login.identity}
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            answer = self._once("POST", realm, headers, urlencode({**query, **form}).encode())
        else:
            given = {"Authorization": login.basic} if login is not None else {}
            separator = "&" if urlsplit(realm).query else "?"
            answer = self._once("GET", f"{realm}{separator}{urlencode(query)}", given, None)
        token = answer.text("token") or answer.text("access_token")
        if answer.status != 200 or not token or not token.isprintable():
            self._check(answer, 200, "log in")
            raise UserError(f"{self.host} answered a login without a token.")
        return f"Bearer {token}"

    def _check(self, answer: Answer, wanted: int, what: str) -> None:
        """Raises `UserError` unless the answer has the status `wanted`."""
        if answer.status == wanted:
            return
        errors = answer.value().get("errors")
        first = errors[0] if isinstance(errors, list) and errors and isinstance(errors[0], dict) else {}
        said = f" ({shown(str(first.get('message') or first.get('code')))})" if first else ""
        message = f"{self.name}: could not {what}: status {answer.status}{said}."
        if answer.status in (401, 403):
            raise UserError(
                message,
                f"Log in before: docker login {self.host}\nIn a workflow: registry-login, and for GitHub's own "
                "registry:\n\n    permissions:\n      packages: write\n",
            )
        if answer.status in (404, 405):
            raise UserError(message, f"Check `image:` in environments/pipeline.yaml: is it {self.name}?")
        raise UserError(message)


def is_loopback(host: str) -> bool:
    """Whether `host`, with or without a port, is this machine; docker speaks HTTP without TLS to no other."""
    name = host.rpartition(":")[0] if re.fullmatch(r".*:[0-9]{1,5}", host) else host
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False
