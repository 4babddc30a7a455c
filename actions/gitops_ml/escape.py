"""Text from a pull request made inert: it can show characters, and nothing else.

GitHub turns a comment into a page in two steps. First Markdown becomes HTML; every mark of Markdown or HTML is
therefore written as a numeric character reference, which is text whatever stands around it. Then filters look for
mentions, issue numbers, emoji and addresses in the *finished* text, where a reference no longer helps; those are
cut in two by a word joiner, or stand in `<code>`, where the filters do not look.
"""

from __future__ import annotations

import re
import unicodedata

# Invisible and without width; the filters for mentions, references and addresses do not match across it.
WORD_JOINER = "\u2060"
ELLIPSIS = "…"
MAX_COMBINING = 2

# ASCII that could be a mark of Markdown or HTML: everything but letters, digits and spaces, and in prose a few more.
_ANY_MARK = re.compile(r"[\x21-\x2f\x3a-\x40\x5b-\x60\x7b-\x7e]")
_MARKS = re.compile(r"(?![,;'%(/=])" + _ANY_MARK.pattern)
# Where emoji (`:x:`) and addresses (`x://y`, `www.x`) are cut.
_AFTER_COLON = re.compile(r"(?<=:)(?=[A-Za-z0-9+_/-])")
_WWW = re.compile(r"(?<=www)(?=\.)", re.IGNORECASE)
# An address without query, fragment, user or anything that Markdown could read.
_PAGE = re.compile(r"https?://[A-Za-z0-9.:\[\]-]+(?:/[A-Za-z0-9._~%-]+)*/?")
_ISSUE = re.compile(r"\b(GH)(?=-\d)", re.IGNORECASE)


def visible(text: str, cap: int) -> str:
    """One line of at most `cap` characters in which nothing is invisible.

    White space becomes single spaces. Control, format (bidi among them), private and unassigned characters are shown
    by their number, and more than two combining marks in a row are dropped.
    """
    # Twice the cap leaves room for white space that is folded; the rest is never looked at.
    start = text[: 2 * cap + 2]
    line = " ".join((start if start.isascii() and start.isprintable() else _spell_out(start)).split())
    longer = len(line) > cap or len(text) > len(start)
    return line[: cap - 1].rstrip() + ELLIPSIS if longer else line


def _spell_out(text: str) -> str:
    shown: list[str] = []
    combining = 0
    for character in text:
        category = unicodedata.category(character)
        combining = combining + 1 if category in ("Mn", "Me") else 0
        if combining > MAX_COMBINING:
            continue
        if character.isspace() or category in ("Zl", "Zp"):
            shown.append(" ")
        elif category in ("Cc", "Cf", "Co", "Cs", "Cn"):
            shown.append(f"[U+{ord(character):04X}]")
        else:
            shown.append(character)
    return "".join(shown)


def _reference(character: str) -> str:
    if character == "$":
        # GitHub reads $...$ as mathematics after Markdown; a dollar alone in a span is its documented way out.
        return "<span>&#36;</span>"
    return f"&#{ord(character)};"


def _is_plain(line: str, index: int) -> bool:
    """Whether the ASCII punctuation at `index` is harmless where it stands: in `0.95`, in `well-known`, in `end. `"""
    before = line[index - 1] if index else ""
    after = line[index + 1 : index + 2]
    match line[index]:
        case ".":
            return (before.isdigit() and after.isdigit()) or (before.isalpha() and after in ("", " "))
        case ":":
            return after in ("", " ") and before != ":"
        case "-":
            return before.isalnum() and after.isalnum()
        case ")":
            return not before.isdigit() or "(" in line[:index]
        case _:
            return False


def prose(text: str, cap: int = 300) -> str:
    """`text` as one line of Markdown prose, safe at the start of a line, in a list and in a table cell."""
    line = visible(text, cap) or ("(empty)" if text else "")
    line = _WWW.sub(WORD_JOINER, _AFTER_COLON.sub(WORD_JOINER, line))
    line = _ISSUE.sub(rf"\1{WORD_JOINER}", line)
    line = line.replace("@", "@" + WORD_JOINER).replace("#", "#" + WORD_JOINER)
    return _MARKS.sub(lambda mark: mark[0] if _is_plain(line, mark.start()) else _reference(mark[0]), line)


def code(text: str, cap: int = 80) -> str:
    """`text` as inline code, for names and values; safe in prose and in a table cell.

    A `<code>` element and not backticks: inside backticks references stay as they are typed, and a table cell
    ends at a bar even there.
    """
    line = visible(text, cap) or "(empty)"
    # Addresses of mail are linked by the Markdown parser itself, which does not know of the element around them.
    line = line.replace("@", "@" + WORD_JOINER)
    inner = "".join(
        character
        if character.isalnum() or character == " " or not character.isascii()
        else _reference(character)
        for character in line
    )
    return f"<code>{inner}</code>"


def link(shown: str, address: str) -> str:
    """`shown`, which is inert already, as a link to `address` where that is the plain address of a page."""
    return f"[{shown}]({address})" if _PAGE.fullmatch(address) else shown


def label(text: str, cap: int = 40) -> str:
    """`text` as the inside of a quoted Mermaid string: letters, digits and a few marks; the rest become spaces."""
    # Slices are often called `<30`; the wide signs look alike and are no marks.
    line = visible(text, 2 * cap).replace("<", "\uff1c").replace(">", "\uff1e")
    kept = "".join(
        character if character.isalnum() or character in " _.,()/+-=\uff1c\uff1e" else " "
        for character in line
    )
    kept = " ".join(kept.split())
    return kept[: cap - 1].rstrip() + ELLIPSIS if len(kept) > cap else kept or "-"
