"""What happens around every request: an id, the release in a header, one log line, and the counters."""

from __future__ import annotations

import re
import time
import uuid

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .core import Service

_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
# Asked every few seconds; a line for each would bury the others.
QUIET = frozenset({"/metrics", "/v2/health/live", "/v2/health/ready"})
# FastAPI does not name the route of its own page.
PAGES = frozenset({"/openapi.json"})


class Frame:
    """The outermost ASGI application."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app = app
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        request_id = given if _ID.fullmatch(given) else uuid.uuid4().hex
        state = scope.setdefault("state", {})
        state["request_id"] = request_id
        started, status = time.perf_counter(), 0

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["x-release"] = self._service.version.release
                headers["x-request-id"] = request_id
                if self._service.leaving:
                    headers["connection"] = "close"
            await send(message)

        try:
            await self._app(scope, receive, answer)
        except Exception as error:  # answered with status 500 by then; the reason is for the log alone
            self._service.log.failure(error, request_id=request_id)
        finally:
            self._note(scope, request_id, status, time.perf_counter() - started)

    def _note(self, scope: Scope, request_id: str, status: int, seconds: float) -> None:
        # The pattern, not the path: paths that callers make up may not become time series.
        route = getattr(scope.get("route"), "path", None) or (scope["path"] if scope["path"] in PAGES else "unmatched")
        metrics = self._service.metrics
        method = scope["method"] if scope["method"] in {"GET", "POST", "HEAD", "OPTIONS"} else "other"
        metrics.requests.labels(route, method, str(status)).inc()
        metrics.seconds.labels(route).observe(seconds)
        state = scope["state"]
        if state.get("refused"):
            metrics.refused.labels(state["refused"]).inc()
        if route in QUIET and status == 200:
            return
        self._service.log.write(
            "request",
            "error" if status >= 500 and status != 503 else "info",
            request_id=request_id,
            method=scope["method"],
            path=scope["path"][:200],
            route=route,
            status=status,
            duration_ms=round(seconds * 1000, 3),
            rows=state.get("rows", 0),
            refused=state.get("refused"),
            client=(scope.get("client") or [None])[0],
        )
