"""Reading files that a stranger may have written: regular files only, capped, and strict about what JSON means."""

from __future__ import annotations

import json
import math
import os
import stat
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gitops_ml.errors import UserError

JSON_LIMIT_BYTES = 5 * 1024 * 1024
MAX_DEPTH = 20
MAX_NAME = 80


def read_bytes(path: Path, limit: int) -> bytes:
    """The bytes of the regular file `path`, at most `limit` of them.

    Raises `UserError` for a missing file, a symbolic link, a folder, a device, or more than `limit` bytes.
    """
    check_regular(path, limit)
    try:
        # O_NONBLOCK: a FIFO that took the file's place after the check must not make us wait for a writer.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
        with os.fdopen(descriptor, "rb") as file:
            content = file.read(limit + 1)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.") from None
    if len(content) > limit:
        raise _too_large(path, len(content), limit)
    return content


def check_regular(path: Path, limit: int) -> int:
    """The size of the regular file `path` in bytes; raises `UserError` like `read_bytes`."""
    try:
        found = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(f"{path} does not exist.", "Let the training command write it.") from None
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read: {error}.") from None
    if stat.S_ISLNK(found.st_mode):
        raise UserError(f"{path} is a symbolic link.", "Write the file itself; links are not followed.")
    if not stat.S_ISREG(found.st_mode):
        raise UserError(f"{path} is not a regular file.")
    if found.st_size > limit:
        raise _too_large(path, found.st_size, limit)
    return found.st_size


def _too_large(path: Path, size: int, limit: int) -> UserError:
    return UserError(f"{path} has {size:,} bytes; at most {limit:,} are read.", "Write less into it.")


def decode(content: bytes, path: Path) -> str:
    """`content` as UTF-8 text; raises `UserError` with the line of the first byte that is not."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UserError(f"{path}, line {line}: not valid UTF-8.", "Save the file as UTF-8.") from None


def load_json(path: Path, limit: int = JSON_LIMIT_BYTES) -> Any:
    """The value in the JSON file `path`.

    Stricter than `json.load`: duplicate keys, NaN, infinities, numbers beyond a float (`1e400`) and nesting over
    `MAX_DEPTH` raise `UserError` with the place.
    """
    return parse_json(decode(read_bytes(path, limit), path), path)


def parse_json(text: str, path: Path) -> Any:
    """The value of the JSON `text`; `path` is only named in errors, which are those of `load_json`."""

    def refuse_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in pairs:
            if key in found:
                raise UserError(
                    f"{path}: the key {shown(key)} stands twice in one object.", "Keep one of them."
                )
            found[key] = value
        return found

    try:
        # NaN and overflow become floats here and are refused below, where the key is known.
        value = json.loads(text, object_pairs_hook=refuse_duplicates, parse_constant=float)
    except json.JSONDecodeError as error:
        raise UserError(f"{path}, line {error.lineno}, column {error.colno}: {error.msg}.") from None
    except RecursionError:
        raise UserError(f"{path}: nested deeper than {MAX_DEPTH} levels.") from None
    except ValueError:  # an integer of more than 4,300 digits
        raise UserError(f"{path}: holds a number with too many digits.") from None
    check_text(value, path)
    for place, leaf, depth in _leaves(value):
        if depth > MAX_DEPTH:
            raise UserError(f"{path}: nested deeper than {MAX_DEPTH} levels.")
        if isinstance(leaf, float) and not math.isfinite(leaf):
            raise UserError(
                f"{path}, key {shown(place)}: not a finite number.", "Write a finite number or leave it out."
            )
    return value


def check_text(value: Any, path: Path) -> None:
    """Raise `UserError` when a text in `value` is half a surrogate pair, which no file could hold again."""
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        raise UserError(f"{path}: holds half a surrogate pair.", "Write whole characters.") from None
    except RecursionError:
        raise UserError(f"{path}: nested deeper than {MAX_DEPTH} levels.") from None


def _leaves(value: Any) -> Iterator[tuple[str, Any, int]]:
    """Every value that is no container, as (dotted place, value, depth), without recursion."""
    waiting: list[tuple[str, Any, int]] = [("", value, 0)]
    while waiting:
        place, item, depth = waiting.pop()
        children: list[tuple[str, Any]] = []
        if isinstance(item, dict):
            children = list(item.items())
        elif isinstance(item, list):
            children = [(str(index), child) for index, child in enumerate(item)]
        if not children or depth > MAX_DEPTH:
            yield place, item, depth
            continue
        waiting.extend((f"{place}.{key}" if place else key, child, depth + 1) for key, child in children)


def check_name(name: str, place: str) -> str:
    """`name` if it can name a metric or a column: 1 to 80 visible characters; else a `UserError` naming `place`."""
    if not name.strip():
        raise UserError(f"{place}: a name is empty.")
    if len(name) > MAX_NAME:
        raise UserError(f"{place}: the name {shown(name)} has more than {MAX_NAME} characters.")
    if any(unicodedata.category(character)[0] == "C" or character in "\u2028\u2029" for character in name):
        raise UserError(f"{place}: the name {shown(name)} holds control or direction characters.")
    return name


def shown(text: str, limit: int = 60) -> str:
    """`text` in quotes for a message: one line, ASCII, at most `limit` characters."""
    return ascii(text if len(text) <= limit else text[: limit - 3] + "...")
