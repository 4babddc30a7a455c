"""What a reader sees of a comment: Markdown turned into HTML by markdown-it, read by Python's HTML parser.

Both are independent of the code under test. `Page` also lists everything by which text could act.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser

from markdown_it import MarkdownIt

# What GitHub's filters make of finished text, outside of code. Written from GitHub's documentation, not from `escape`.
_ACTIVE = {
    "mention": re.compile(r"(?<![A-Za-z0-9_])@[A-Za-z0-9]"),
    "issue": re.compile(r"(?<![A-Za-z0-9&])(?:#|GH-)\d|[\w.-]+/[\w.-]+#\d", re.IGNORECASE),
    "emoji": re.compile(r":[a-z0-9+_-]+:", re.IGNORECASE),
    "address": re.compile(
        r"https?://|www\.[^\s.]|ftp://|mailto:[A-Za-z0-9]|[A-Za-z0-9._+-]@[A-Za-z0-9-]+\.", re.IGNORECASE
    ),
}
_HIDDEN = re.compile("[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e"
                     "\u2061-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e0fff]")  # fmt: skip


@dataclass
class Page:
    """A rendered comment."""

    elements: dict[str, int] = field(default_factory=dict)
    attributes: set[str] = field(default_factory=set)
    links: list[str] = field(default_factory=list)
    heading: str = ""
    text: str = ""
    active: list[str] = field(default_factory=list)
    tables: list[list[list[str]]] = field(default_factory=list)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.page = Page()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        page = self.page
        page.elements[tag] = page.elements.get(tag, 0) + 1
        page.attributes |= {f"{tag}.{name}" for name, _ in attrs}
        page.links += [value or "" for name, value in attrs if name in ("href", "src")]
        if tag == "table":
            page.tables.append([])
        elif tag == "tr":
            page.tables[-1].append([])
        elif tag in ("td", "th"):
            page.tables[-1][-1].append("")
        if tag not in ("br", "hr", "img", "input"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in self.open:
            while self.open.pop() != tag:
                pass

    def handle_comment(self, data: str) -> None:
        self.page.elements["comment"] = self.page.elements.get("comment", 0) + 1

    def handle_data(self, data: str) -> None:
        page = self.page
        plain = data.replace("\u2060", "").replace("\u00a0", " ")
        page.text += plain
        if "h3" in self.open:
            page.heading += plain
        if {"td", "th"} & set(self.open):
            page.tables[-1][-1][-1] += plain
        if not {"code", "pre", "a"} & set(self.open):
            page.active += [
                f"{kind}: {found[0]}" for kind, look in _ACTIVE.items() if (found := look.search(data))
            ]
        page.active += [f"hidden: U+{ord(found[0]):04X}" for found in [_HIDDEN.search(data)] if found]


def read(markdown: str) -> Page:
    """`markdown` as GitHub would lay it out: CommonMark with tables, raw HTML allowed through."""
    html = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render(markdown)
    return read_html(html)


def read_html(html: str) -> Page:
    """`html` taken apart."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    return reader.page
