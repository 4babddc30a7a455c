"""`python -m tools.document_actions [--check]`: write the tables of actions/README.md from the action.yml files."""

from __future__ import annotations

import argparse
import difflib
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tools.template_files import ROOT

BEGIN = "<!-- made by `make docs` from the action.yml files: begin -->"
END = "<!-- made by `make docs` from the action.yml files: end -->"


class DocumentError(Exception):
    """An action.yml does not say what the table needs; the message names file and key."""


@dataclass(frozen=True)
class Field:
    """An input or an output of an action."""

    name: str
    description: str
    required: bool = False


@dataclass(frozen=True)
class Action:
    """What the tables show of one action."""

    folder: str
    name: str
    description: str
    inputs: tuple[Field, ...]
    outputs: tuple[Field, ...]


def read_action(path: Path) -> Action:
    """Read one action.yml; raises DocumentError when a description is missing."""
    value = yaml.safe_load(path.read_text(encoding="utf-8"))
    for key in ("name", "description"):
        if not isinstance(value.get(key), str):
            raise DocumentError(f"{path}: has no {key}")
    return Action(
        folder=path.parent.name,
        name=value["name"],
        description=value["description"],
        inputs=_fields(path, "inputs", value),
        outputs=_fields(path, "outputs", value),
    )


def _fields(path: Path, kind: str, value: dict[str, Any]) -> tuple[Field, ...]:
    found = []
    for name, item in (value.get(kind) or {}).items():
        description = item.get("description")
        if not isinstance(description, str) or not description.strip():
            raise DocumentError(f"{path}: {kind}.{name} has no description")
        found.append(Field(name, " ".join(description.split()), item.get("required") is True))
    return tuple(found)


def cell(text: str) -> str:
    return text.replace("|", "\\|")


def table(kind: str, fields: Sequence[Field]) -> list[str]:
    if not fields:
        return []
    rows = [
        f"| `{field.name}`{' (required)' if field.required else ''} | {cell(field.description)} |"
        for field in fields
    ]
    return ["", f"| {kind} | what it is and does |", "| --- | --- |", *rows]


def section(action: Action) -> list[str]:
    lines = ["", f"### `{action.folder}`", "", action.description]
    return [*lines, *table("input", action.inputs), *table("output", action.outputs)]


def document(actions: Sequence[Action]) -> str:
    """Everything between the two marks."""
    overview = [
        f"| [`{action.folder}`](#{action.folder}) | {cell(action.description)} |" for action in actions
    ]
    lines = ["| action | what it does |", "| --- | --- |", *overview]
    for action in actions:
        lines += section(action)
    return "\n".join(lines)


def rewrite(readme: str, tables: str) -> str:
    """`readme` with `tables` between the marks; raises DocumentError when each does not stand there once."""
    if readme.count(BEGIN) != 1 or readme.count(END) != 1:
        raise DocumentError(f"README.md needs each of these lines once:\n{BEGIN}\n{END}")
    before, rest = readme.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n\n{tables}\n\n{END}{after}"


def main(arguments: Sequence[str] | None = None, root: Path = ROOT) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.document_actions", description=__doc__)
    parser.add_argument(
        "--check", action="store_true", help="change nothing; 1 when the tables are not up to date"
    )
    check: bool = parser.parse_args(arguments).check
    readme = root / "actions" / "README.md"
    now = readme.read_text(encoding="utf-8")
    try:
        actions = [read_action(path) for path in sorted((root / "actions").glob("*/action.yml"))]
        wanted = rewrite(now, document(actions))
    except DocumentError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if not check:
        readme.write_text(wanted, encoding="utf-8")
        return 0
    difference = difflib.unified_diff(
        now.splitlines(), wanted.splitlines(), "actions/README.md", "what make docs writes", lineterm=""
    )
    lines = list(difference)
    print("\n".join(lines), end="\n" if lines else "")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
