"""One request to the forge, as the routes of every noun get it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from tests.fakes.troubles import Answer

PAGE = 30
BOT = "github-actions[bot]"


@dataclass(frozen=True)
class Request:
    """`login` is whose token came with it, the bot's for the token of a run; `address` is the API's own."""

    method: str
    path: str
    address: str
    login: str
    asked: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    # A forge that does not know the filters of a list answers with all of it, as Gitea 1.22 does.
    ignores_filters: bool = False

    @property
    def by_bot(self) -> bool:
        return self.login == BOT

    def wants(self, name: str, value: str | None, default: str | None = None) -> bool:
        """Whether the filter `name` lets `value` through."""
        return self.ignores_filters or self.asked.get(name, default) in (None, value)

    def page(self, items: list[Any], key: str | None = None) -> Answer:
        """One page of at most 30 items, whatever was asked for, with the address of the next."""
        number = int(self.asked.get("page", "1"))
        length = min(int(self.asked.get("per_page", PAGE)), PAGE)
        shown = items[(number - 1) * length : number * length]
        headers = {}
        if number * length < len(items):
            following = f"{self.address}{self.path}?{urlencode({**self.asked, 'page': number + 1})}"
            first = f"{self.address}{self.path}?{urlencode({**self.asked, 'page': 1})}"
            headers["Link"] = f'<{first}>; rel="first", <{following}>; rel="next"'
        return Answer(200, shown if key is None else {"total_count": len(items), key: shown}, headers)


# A route: method, pattern of the path after `/repos/<owner>/<name>`, and what answers; groups are passed on.
Route = tuple[str, str, Callable[..., Answer]]
