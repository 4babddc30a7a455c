"""When an environment may change: weekly windows and days of freeze."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Sequence
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, Field

from gitops_ml.delivery.typed import Strict
from gitops_ml.reading import tupled

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def _clock(value: object) -> object:
    if isinstance(value, str) and re.fullmatch(r"([01][0-9]|2[0-3]):[0-5][0-9]", value):
        return dt.time.fromisoformat(value)
    raise ValueError("must be a time of day such as 08:30")


def _day(value: object) -> object:
    try:
        return dt.date.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        raise ValueError("must be a day such as 2026-12-24") from None


def _known_zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (KeyError, OSError, ValueError):  # each of them, depending on what is wrong with the name
        raise ValueError("is not a time zone that this machine knows; such as Europe/Berlin or UTC") from None
    return value


Clock = Annotated[dt.time, BeforeValidator(_clock)]
Day = Annotated[dt.date, BeforeValidator(_day)]
Zone = Annotated[str, Field(max_length=60), AfterValidator(_known_zone)]


class Window(Strict):
    """A part of some days in which changes may go in; `to` itself is outside."""

    days: Annotated[
        tuple[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"], ...], tupled, Field(min_length=1)
    ] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
    start: Clock = Field(alias="from")
    end: Clock = Field(alias="to")
    timezone: Zone = "UTC"

    def holds(self, now: dt.datetime) -> bool:
        """Whether `now`, with its zone, is inside."""
        local = now.astimezone(ZoneInfo(self.timezone))
        return DAYS[local.weekday()] in self.days and self.start <= local.time() < self.end


class Freeze(Strict):
    """Whole days, first and last included, on which nothing goes forward."""

    first: Day = Field(alias="from")
    last: Day = Field(alias="to")
    timezone: Zone = "UTC"
    reason: Annotated[str, Field(max_length=200)] = ""

    def holds(self, now: dt.datetime) -> bool:
        """Whether `now`, with its zone, is inside."""
        return self.first <= now.astimezone(ZoneInfo(self.timezone)).date() <= self.last


def closed(windows: Sequence[Window], freezes: Sequence[Freeze], now: dt.datetime) -> str | None:
    """Why nothing goes forward at `now`, or None when it may; with no window at all every time is open."""
    for freeze in freezes:
        if freeze.holds(now):
            why = f" ({freeze.reason})" if freeze.reason else ""
            return f"frozen until the end of {freeze.last}{why}"
    if windows and not any(window.holds(now) for window in windows):
        said = "; ".join(
            f"{' '.join(window.days)} {window.start:%H:%M}-{window.end:%H:%M} {window.timezone}"
            for window in windows
        )
        return f"outside the windows ({said})"
    return None
