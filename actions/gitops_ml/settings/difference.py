"""What differs between settings as they are wanted and as they are."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# By which keys an item of a list is the same as another one; other lists are compared as sets of values.
_IDENTITIES = (("type",), ("context",), ("actor_type", "actor_id"))


@dataclass(frozen=True)
class Difference:
    """`place` is the path of keys; None stands for absent."""

    place: str
    actual: Any
    wanted: Any

    @property
    def line(self) -> str:
        return f"{self.place}: {_text(self.actual)} -> {_text(self.wanted)}"


def differences(wanted: Any, actual: Any, place: str = "") -> Iterator[Difference]:
    """Every place where `actual` is not as `wanted`. Keys that nobody asked for don't matter, items of lists do."""
    if isinstance(wanted, Mapping) and isinstance(actual, Mapping):
        for name, value in wanted.items():
            yield from differences(value, actual.get(name), f"{place}.{name}" if place else name)
    elif _are_lists(wanted, actual):
        yield from _of_lists(wanted, actual, place)
    elif wanted != actual:
        yield Difference(place, actual, wanted)


def _of_lists(wanted: Sequence[Any], actual: Sequence[Any], place: str) -> Iterator[Difference]:
    by = _identity(wanted, actual)
    if not by:
        if sorted(map(_text, wanted)) != sorted(map(_text, actual)):
            yield Difference(place, actual, wanted)
        return
    there = {_key(one, by): one for one in actual}
    asked = {_key(one, by): one for one in wanted}
    for name, value in asked.items():
        if name in there:
            yield from differences(value, there[name], f"{place}[{name}]")
        else:
            yield Difference(f"{place}[{name}]", None, value)
    for name in there:
        if name not in asked:
            yield Difference(f"{place}[{name}]", there[name], None)


def _are_lists(*values: Any) -> bool:
    return all(isinstance(value, Sequence) and not isinstance(value, str) for value in values)


def _identity(wanted: Sequence[Any], actual: Sequence[Any]) -> tuple[str, ...]:
    items = [*wanted, *actual]
    for keys in _IDENTITIES:
        if items and all(isinstance(one, Mapping) and keys[0] in one for one in items):
            return keys
    return ()


def _key(one: Mapping[str, Any], by: tuple[str, ...]) -> str:
    return " ".join(str(one.get(name)) for name in by)


def _text(value: Any) -> str:
    return "absent" if value is None else json.dumps(value, sort_keys=True)
