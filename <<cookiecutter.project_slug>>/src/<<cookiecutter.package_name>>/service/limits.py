"""What one request, and all of them together, may take: bytes, seconds, places."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from starlette.requests import Request

from .errors import Refusal
from .settings import Settings

RETRY_SECONDS = 1


class Places:
    """A number of places for requests; who finds none is sent away at once instead of waiting in a queue without end.

    Used by one event loop, so counting needs no lock.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.taken = 0

    @contextmanager
    def one(self) -> Iterator[None]:
        if self.taken >= self.size:
            message = f"{self.size} requests are being answered already; try again in {RETRY_SECONDS} s"
            raise Refusal(503, message, "overload", retry_after=str(RETRY_SECONDS))
        self.taken += 1
        try:
            yield
        finally:
            self.taken -= 1


async def body_of(request: Request, settings: Settings) -> bytes:
    """Read a JSON body within the limits of size and time.

    Raises:
        Refusal: 408, 413 or 415. The connection is closed where the rest of the body may still come.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in ("application/json", ""):  # some clients of the inference protocol declare nothing
        message = f"the content type is {kind[:60]!r}; send application/json"
        raise Refusal(415, message, "content_type", connection="close")
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise Refusal(415, "compressed bodies are not taken", "content_type", connection="close")
    most = settings.max_body_bytes
    told = request.headers.get("content-length", "0")
    if told.isdigit() and int(told[:20]) > most:
        raise _too_large(most)
    parts, size = [], 0
    try:
        async with asyncio.timeout(settings.body_timeout_seconds):
            async for part in request.stream():
                size += len(part)
                if size > most:
                    raise _too_large(most)
                parts.append(part)
    except TimeoutError:
        message = f"the body did not arrive within {settings.body_timeout_seconds:g} s"
        raise Refusal(408, message, "slow_body", connection="close") from None
    return b"".join(parts)


def _too_large(most: int) -> Refusal:
    message = f"the body has more than {most} bytes; send fewer rows, or use the batch command"
    return Refusal(413, message, "body_too_large", connection="close")
