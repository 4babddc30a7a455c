"""Spans of time as people write them in YAML."""

from __future__ import annotations

import datetime as dt
import re
from typing import Annotated

from pydantic import BeforeValidator

_DURATION = re.compile(r"([0-9]{1,5})(m|h|d)")
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


def _duration(value: object) -> object:
    """`45m`, `2h`, `7d` or 0."""
    if isinstance(value, dt.timedelta):
        return value
    if value == 0 and not isinstance(value, bool):
        return dt.timedelta()
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError("must be a whole number of minutes, hours or days, such as 45m, 2h or 7d")
    return dt.timedelta(**{_UNITS[match[2]]: int(match[1])})


Duration = Annotated[dt.timedelta, BeforeValidator(_duration)]
