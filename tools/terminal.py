"""A report's Markdown for a terminal: what GitHub shows before anything is unfolded, with tables in columns."""

from __future__ import annotations

import html
import re
import unicodedata

# Of what GitHub folds, the one block without which the rest can't be understood.
SHOWN = "What changed"
_FOLDED = re.compile(r"<details><summary>(.*?)</summary>\n(.*?)</details>\n+", re.DOTALL)
# Where a workflow keeps the page; here it lies in a folder.
_ARTIFACT = re.compile(r"^<sub>The full report is .* of this run\.</sub>$", re.MULTILINE)
_TABLE = re.compile(r"(?:^\|.*\|$\n?)+", re.MULTILINE)
_MARKS = re.compile(r"</?[a-z]+>|<!--.*?-->|\*\*|^#+ |\\$", re.MULTILINE)
_GAP = "  "


def plain(report: str) -> str:
    """`report` without folded blocks, HTML, entities and Markdown's marks."""
    unfolded = _FOLDED.sub(
        lambda block: f"{block[1]}\n{block[2]}\n" if block[1].startswith(SHOWN) else "", report
    )
    text = html.unescape(_MARKS.sub("", _ARTIFACT.sub("", unfolded)))
    return re.sub(r"\n{3,}", "\n\n", _TABLE.sub(lambda table: columns(table[0]), text)).strip()


def columns(table: str) -> str:
    """A table of Markdown as columns: its head, a line, and its rows; columns stand right where it says so."""
    head, rule, *rows = [cells(line) for line in table.splitlines()]
    right = [mark.endswith(":") for mark in rule]
    widths = [max(map(width, column)) for column in zip(head, *rows, strict=True)]
    lines = [_GAP.join(map(pad, row, widths, right)) for row in (head, *rows)]
    lines.insert(1, "-" * width(lines[0]))
    return "".join(f"{_GAP}{line.rstrip()}\n" for line in lines)


def cells(line: str) -> list[str]:
    return [cell.strip().replace(r"\|", "|") for cell in re.split(r"(?<!\\)\|", line.strip())[1:-1]]


def width(text: str) -> int:
    """Columns of a terminal that `text` takes; signs such as a red circle take two."""
    return sum(2 if unicodedata.east_asian_width(sign) == "W" else 1 for sign in text)


def pad(text: str, to: int, right: bool) -> str:
    blanks = " " * (to - width(text))
    return blanks + text if right else text + blanks
