"""A small, strict YAML reader: plain values with their lines; no anchors, no tags, no surprises of YAML 1.1."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from gitops_ml.errors import UserError
from gitops_ml.inputs import MAX_DEPTH, check_text, decode, read_bytes, shown

YAML_LIMIT_BYTES = 256 * 1024
Place = tuple[str | int, ...]

_INTEGER = re.compile(r"[-+]?[0-9]{1,18}")
_NUMBER = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.?(inf|infinity|nan)", re.IGNORECASE)
_PLAIN = {"": None, "~": None, "null": None, "true": True, "false": False}


@dataclass(frozen=True)
class Document:
    """The value of one YAML file and the line (from 1) of every place in it."""

    path: Path
    value: Any
    lines: dict[Place, int]

    def error(self, place: Place, problem: str, fix: str = "") -> UserError:
        """A `UserError` that names file, line and key of `place`, or of its nearest known parent."""
        known = place
        while known and known not in self.lines:
            known = known[:-1]
        key = ".".join(str(part) for part in place)
        where = f"{self.path}, line {self.lines.get(known, 1)}"
        return UserError(f"{where}, key {shown(key)}: {problem}" if key else f"{where}: {problem}", fix)


def load_yaml(path: Path) -> Document:
    """Read the YAML file `path`; raises `UserError` with the line of the first thing that is refused."""
    return parse_yaml(decode(read_bytes(path, YAML_LIMIT_BYTES), path), path)


def parse_yaml(text: str, path: Path) -> Document:
    """The YAML `text`; `path` is only named in errors, which are those of `load_yaml`."""
    try:
        # Events come before any node is built: aliases, which make bombs, never get that far.
        depth = 0
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            line = _line(event)
            anchor = getattr(event, "anchor", None)
            if isinstance(event, yaml.AliasEvent) or anchor:
                raise UserError(
                    f"{path}, line {line}: anchors and aliases are not read.", "Write the value out."
                )
            if getattr(event, "tag", None):
                raise UserError(f"{path}, line {line}: tags are not read.", "Write the plain value.")
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if depth > MAX_DEPTH:
                raise UserError(f"{path}, line {line}: nested deeper than {MAX_DEPTH} levels.")
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise UserError(
            f"{path}, line {mark.line + 1 if mark else 1}: {error.problem or error.context}."
        ) from None
    except yaml.YAMLError:
        raise UserError(f"{path}: holds characters that YAML does not allow.") from None
    lines: dict[Place, int] = {}
    value = None if node is None else _value(node, (), path, lines)
    check_text(value, path)
    return Document(path, value, lines)


def _value(node: yaml.Node, place: Place, path: Path, lines: dict[Place, int]) -> Any:
    lines.setdefault(place, _line(node))
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, place, path, lines)
    if isinstance(node, yaml.SequenceNode):
        return [_value(child, (*place, index), path, lines) for index, child in enumerate(node.value)]
    return _scalar(node, path)


def _line(thing: yaml.Event | yaml.Node) -> int:
    return thing.start_mark.line + 1 if thing.start_mark is not None else 1


def _mapping(node: yaml.MappingNode, place: Place, path: Path, lines: dict[Place, int]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key_node, value_node in node.value:
        line = _line(key_node)
        if not isinstance(key_node, yaml.ScalarNode):
            raise UserError(f"{path}, line {line}: a key must be a word.")
        key = str(key_node.value)
        if key == "<<":
            raise UserError(f"{path}, line {line}: merge keys are not read.", "Write the values out.")
        if key in found:
            raise UserError(
                f"{path}, line {line}, key {shown(key)}: the key stands twice.", "Keep one of them."
            )
        lines[(*place, key)] = line
        found[key] = _value(value_node, (*place, key), path, lines)
    return found


def _scalar(node: yaml.Node, path: Path) -> Any:
    """Quoted text is text; plain text is null, a boolean (`true`, `false` only), a number, or text."""
    text = str(node.value)
    if getattr(node, "style", None) is not None:
        return text
    line = _line(node)
    if text.lower() in _PLAIN:
        return _PLAIN[text.lower()]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _NUMBER.fullmatch(text) or _NOT_FINITE.fullmatch(text):
        number = float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
        if not math.isfinite(number):
            raise UserError(
                f"{path}, line {line}: {shown(text)} is not a finite number.", "Write a finite number."
            )
        return number
    return text
