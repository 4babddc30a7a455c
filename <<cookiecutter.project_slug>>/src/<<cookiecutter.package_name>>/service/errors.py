"""What a caller is told when a request is refused: one line, and for bad values where and what was expected."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from pydantic_core import to_json
from starlette.responses import Response

# Responses by status, as FastAPI describes them.
Answers = dict[int | str, dict[str, Any]]
MOST_DETAILS = 20
LONGEST_VALUE = 80


@dataclass(frozen=True)
class Detail:
    """One bad value; `row` counts from 0, `column` is None when the trouble is not in a column."""

    row: int | None
    column: str | None
    value: str | None
    expected: str


class Refusal(Exception):  # noqa: N818 (the service works as it should)
    """A request that is not answered, with the HTTP status that says whose turn it is."""

    def __init__(
        self, status: int, message: str, reason: str, details: list[Detail] | None = None, **headers: str
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.reason = reason  # for the metric: few different words
        self.details = details or []
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


def invalid(details: list[Detail]) -> Refusal:
    """422: at least one value does not fit the contract."""
    first = details[0]
    place = ", ".join(
        part
        for part in (
            None if first.row is None else f"row {first.row}",
            None if first.column is None else f"column {first.column!r}",
        )
        if part
    )
    said = "is missing" if first.value is None else f"is {first.value}"
    more = f" (and {len(details) - 1} more)" if len(details) > 1 else ""
    message = f"{place or 'the request'} {said}; expected {first.expected}{more}"
    return Refusal(422, message, "invalid", details[:MOST_DETAILS])


def shown(value: Any) -> str:
    """A value as it can be shown: short, and whatever it holds, text that JSON can carry."""
    text = repr(value)
    text = text if len(text) <= LONGEST_VALUE else text[: LONGEST_VALUE - 3] + "..."
    return text.encode("utf-8", "replace").decode()


@dataclass(frozen=True)
class Body:
    error: str
    request_id: str
    details: list[dict[str, Any]] = field(default_factory=list)


def response(refusal: Refusal, request_id: str) -> Response:
    body = Body(refusal.message, request_id, [asdict(detail) for detail in refusal.details])
    return Response(to_json(body), refusal.status, refusal.headers, "application/json")


ERROR_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["error", "request_id", "details"],
    "properties": {
        "error": {"type": "string", "description": "What is wrong, in one line."},
        "request_id": {"type": "string"},
        "details": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "row": {"type": ["integer", "null"]},
                    "column": {"type": ["string", "null"]},
                    "value": {"type": ["string", "null"]},
                    "expected": {"type": "string"},
                },
            },
        },
    },
}
