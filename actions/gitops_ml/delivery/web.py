"""A service at a web address."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import urllib3

from gitops_ml.delivery.targets.base import Reply, Request

LIMIT_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True)
class WebService:
    """The service at `url`, without a slash at the end. Past any proxy, and without following redirects.

    `headers` go with every request, such as the one by which a proxy is told which colour is meant.
    """

    url: str
    timeout_s: float = 30
    headers: Mapping[str, str] = field(default_factory=dict)
    pool: urllib3.PoolManager = field(default_factory=urllib3.PoolManager, repr=False)

    def ask(self, request: Request) -> Reply:
        """One request; status 0 when nothing, no HTTP, or more than `LIMIT_BYTES` came back."""
        try:
            response = self.pool.request(
                request.method,
                self.url + request.path,
                body=request.body,
                # A connection kept open might be one to a container that has been replaced since.
                headers={"connection": "close", **self.headers, **request.headers},
                timeout=urllib3.Timeout(connect=self.timeout_s, read=self.timeout_s),
                redirect=False,
                retries=False,
                preload_content=False,
            )
            try:
                body = response.read(LIMIT_BYTES + 1)
            finally:
                response.close()
        except (urllib3.exceptions.HTTPError, OSError) as error:
            return Reply(0, type(error).__name__.encode())
        if len(body) > LIMIT_BYTES:
            return Reply(0, b"the answer is too long")
        return Reply(response.status, body, {name.lower(): value for name, value in response.headers.items()})
