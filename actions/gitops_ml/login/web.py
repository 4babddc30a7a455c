"""Requests to clouds, with credentials in them: over TLS, without redirects, again when one fails for a moment."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlencode, urlsplit

import urllib3

from gitops_ml.delivery.oci import is_loopback
from gitops_ml.errors import UserError
from gitops_ml.one_request import Answer, ask

LIMIT_BYTES = 1024 * 1024
ATTEMPTS = 4
_TIMEOUT = urllib3.Timeout(connect=10.0, read=30.0)


@dataclass(frozen=True)
class Web:
    """`sleep` and `pool` are arguments so that tests neither wait nor leave the machine."""

    pool: urllib3.PoolManager = field(default_factory=urllib3.PoolManager, repr=False)
    sleep: Callable[[float], None] = time.sleep

    def get(self, url: str, headers: Mapping[str, str] | None = None) -> Answer:
        return self.ask("GET", url, headers or {})

    def post_form(self, url: str, form: Mapping[str, str]) -> Answer:
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        return self.ask("POST", url, headers, urlencode(form).encode())

    def post_json(self, url: str, value: Mapping[str, object], authorization: str) -> Answer:
        headers = {"Content-Type": "application/json", "Authorization": authorization}
        return self.ask("POST", url, headers, json.dumps(value).encode())

    def ask(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None = None) -> Answer:
        """The answer, whatever its status; raises `UserError` when there is none that says anything."""
        parts = urlsplit(url)
        if parts.scheme != "https" and not is_loopback(parts.netloc):
            raise UserError(f"{parts.netloc} is not reached over TLS. Nothing was sent.")
        for attempt in range(1, ATTEMPTS + 1):
            try:
                answer = ask(self.pool, method, url, headers, body, _TIMEOUT, LIMIT_BYTES)
                trouble = f"{parts.netloc} failed with status {answer.status}."
                if answer.status < 500 and answer.status != 429:
                    return answer
            except urllib3.exceptions.HTTPError as error:
                trouble = f"{parts.netloc} can't be reached ({type(error).__name__})."
            if attempt < ATTEMPTS:
                self.sleep(2.0**attempt)
        raise UserError(trouble, "Check the name and the network, and run the job again later.")
