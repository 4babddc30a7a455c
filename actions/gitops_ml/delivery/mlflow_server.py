"""Requests to an MLflow server, by its REST API; MLflow itself is not needed for them."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlencode, urlsplit, urlunsplit

import urllib3

from gitops_ml.errors import UserError
from gitops_ml.escape import visible

MAX_ANSWER_BYTES = 5 * 1024 * 1024
# A server that is slower is treated as one that is down; nothing waits for it.
_TIMEOUT = urllib3.Timeout(connect=5.0, read=20.0)
_ABSENT = ("RESOURCE_DOES_NOT_EXIST",)


class ServerError(UserError):
    """The server can't be reached or refuses; `code` is MLflow's own name of the error, where it gave one."""

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class MlflowServer:
    """One server; `url` is without credentials, which stand in `headers` alone."""

    url: str
    headers: Mapping[str, str] = field(repr=False)
    pool: urllib3.PoolManager = field(default_factory=urllib3.PoolManager, repr=False)

    def get(self, path: str, **query: str | int) -> dict[str, Any]:
        """The object at `path`; raises `ServerError`."""
        return self._ask("GET", f"{path}?{urlencode(query)}" if query else path, None)

    def find(self, path: str, absent: tuple[str, ...] = _ABSENT, **query: str) -> dict[str, Any] | None:
        """Like `get`, but None where the server knows no such thing, which it says with one of the codes `absent`."""
        try:
            return self.get(path, **query)
        except ServerError as error:
            if error.code in absent:
                return None
            raise

    def post(self, path: str, **body: object) -> dict[str, Any]:
        """What the server answers to `body`; raises `ServerError`."""
        return self._ask("POST", path, json.dumps(body).encode())

    def _ask(self, method: str, path: str, body: bytes | None) -> dict[str, Any]:
        what = f"{method} {path.partition('?')[0]} at {urlsplit(self.url).netloc}"
        headers = {"User-Agent": "gitops-ml", "Content-Type": "application/json", **self.headers}
        try:
            response = self.pool.request(
                method,
                f"{self.url}/api/2.0/mlflow/{path}",
                body=body,
                headers=headers,
                timeout=_TIMEOUT,
                # Credentials follow no redirect.
                redirect=False,
                retries=False,
                preload_content=False,
            )
            try:
                content = response.read(MAX_ANSWER_BYTES + 1)
            finally:
                response.close()
        except urllib3.exceptions.HTTPError as error:
            raise ServerError(f"{what} gets no answer ({type(error).__name__})") from None
        value = _object(content)
        if response.status >= 300:
            known = value or {}
            said = visible(str(known.get("message", "")), 200)
            code = str(known.get("error_code", ""))
            raise ServerError(
                f"{what} is answered with status {response.status}{f', {said}' if said else ''}", code
            )
        if value is None:
            raise ServerError(f"{what} is answered with something that is no JSON object")
        return value


def server_of(environ: Mapping[str, str]) -> MlflowServer | None:
    """The server that MLFLOW_TRACKING_URI names; None when it names none, such as a file. Raises `UserError`."""
    given = environ.get("MLFLOW_TRACKING_URI", "")
    if not given.startswith(("http://", "https://")):
        return None
    try:
        parts = urlsplit(given)
        place = parts.hostname or ""
        place = (f"[{place}]" if ":" in place else place) + (f":{parts.port}" if parts.port else "")
    except ValueError:
        place = ""
    if not place:
        raise UserError("MLFLOW_TRACKING_URI is no web address.")
    url = urlunsplit((parts.scheme, place, parts.path.rstrip("/"), "", ""))
    user = environ.get("MLFLOW_TRACKING_USERNAME") or unquote(parts.username or "")
    password = environ.get("MLFLOW_TRACKING_PASSWORD") or unquote(parts.password or "")
    headers = {}
    if token := environ.get("MLFLOW_TRACKING_TOKEN", ""):
        headers["Authorization"] = f"Bearer {token}"
    elif user:
        headers["Authorization"] = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode("ascii")
    if not all(value.isascii() and value.isprintable() for value in headers.values()):
        raise UserError("MLFLOW_TRACKING_TOKEN holds characters that no token has.")
    return MlflowServer(url, headers)


def _object(content: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
