"""One HTTP request with credentials in it: no redirect, which they must not follow, no retry, a bounded answer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import urllib3

from gitops_ml.errors import UserError


@dataclass(frozen=True)
class Answer:
    """One response, names of headers in lower case. What it says may be a secret."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)

    def value(self) -> dict[str, Any]:
        """The JSON object; an empty one where there is none."""
        try:
            found = json.loads(self.body)
        except (ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}

    def text(self, *keys: str) -> str:
        """The text at the end of `keys`, or an empty one."""
        found: Any = self.value()
        for key in keys:
            found = found.get(key) if isinstance(found, dict) else None
        return found if isinstance(found, str) else ""


def ask(
    pool: urllib3.PoolManager,
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: bytes | None,
    timeout: urllib3.Timeout,
    limit: int,
) -> Answer:
    """The answer, of at most `limit` bytes; raises urllib3's `HTTPError` where there is none, else `UserError`."""
    response = pool.request(
        method,
        url,
        body=body,
        headers={"User-Agent": "gitops-ml", **headers},
        timeout=timeout,
        redirect=False,
        retries=False,
        preload_content=False,
    )
    try:
        content = response.read(limit + 1)
    finally:
        response.close()
    if len(content) > limit:
        raise UserError(f"{urlsplit(url).netloc} sent more than {limit:,} bytes.")
    return Answer(response.status, {name.lower(): value for name, value in response.headers.items()}, content)
