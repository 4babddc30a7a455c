"""Pages that ask no other address for anything and run no script but their own: the frame, and parts to fill it."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Sequence
from html import escape
from pathlib import Path

from gitops_ml.escape import visible

_ASSETS = Path(__file__).with_name("assets")

# One cell: its text as HTML, and the number it sorts by where that differs from the text.
Cell = str | tuple[str, float | None]
Rows = Sequence[tuple[str, Sequence[Cell]]]


def document(title: str, body: Sequence[str]) -> str:
    """A page called `title` with the parts of `body`, which are HTML already.

    The policy in the page allows the script and the style that are hashed there, and pictures that are inside it.
    """
    style = (_ASSETS / "report.css").read_text(encoding="utf-8")
    script = (_ASSETS / "report.js").read_text(encoding="utf-8")
    policy = (
        f"default-src 'none'; style-src 'sha256-{_digest(style)}'; script-src 'sha256-{_digest(script)}'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="referrer" content="no-referrer">\n<link rel="icon" href="data:,">\n'
        f"<title>{text(title)}</title>\n<style>{style}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(part for part in body if part)
        + f"\n</main>\n<script>{script}</script>\n</body>\n</html>\n"
    )


def _digest(content: str) -> str:
    return b64encode(hashlib.sha256(content.encode()).digest()).decode()


def text(content: str, cap: int = 500) -> str:
    """`content` as HTML that shows it and does nothing, at most `cap` characters of it."""
    return escape(visible(content, cap))


def code(content: str | None) -> str:
    return "absent" if content is None else f"<code>{text(content, 200)}</code>"


def section(title: str, inside: str) -> str:
    return f"<section><h2>{title}</h2>{inside}</section>" if inside else ""


def bullets(title: str, texts: Sequence[str]) -> str:
    """A section with one line for each of `texts`; nothing when there are none."""
    items = "".join(f"<li>{text(each)}</li>" for each in texts)
    return section(title, f"<ul>{items}</ul>" if items else "")


def table(columns: Sequence[str], rows: Rows) -> str:
    """A sortable table of rows with a class; a column whose title starts with `>` holds numbers."""
    if not rows:
        return ""
    numeric = [' class="n"' if column.startswith(">") else "" for column in columns]
    titles = "".join(
        f'<th scope="col"{kind}><button type="button">{column.lstrip(">")}</button></th>'
        for kind, column in zip(numeric, columns, strict=True)
    )
    body = "".join(
        f'<tr class="{name}">' + "".join(map(_cell, numeric, cells)) + "</tr>" for name, cells in rows
    )
    return (
        f'<div class="scroll" tabindex="0"><table class="sortable"><thead><tr>{titles}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _cell(kind: str, cell: Cell) -> str:
    shown, key = cell if isinstance(cell, tuple) else (cell, None)
    return f"<td{kind}>{shown}</td>" if key is None else f'<td{kind} data-sort="{key!r}">{shown}</td>'
