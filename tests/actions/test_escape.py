"""Escaped text shows what was written and does nothing."""

from __future__ import annotations

import string

import pytest
from gitops_ml.escape import ELLIPSIS, code, label, link, prose, visible
from hypothesis import given
from hypothesis import strategies as st

from tests.actions.reading import read

PLACES = {
    "line": "{}",
    "item": "- {}",
    "heading": "### {}",
    "cell": "| a |\n| --- |\n| {} |",
    "quote": "> - {}",
    "fold": "<details><summary>t</summary>\n\n{}\n\n</details>",
}
OURS = {"p", "li", "ul", "h3", "table", "thead", "tbody", "tr", "th", "td", "blockquote", "details", "summary", "code",
        "span"}  # fmt: skip
# Dense in what Markdown, HTML and GitHub react to.
HOSTILE = st.text(
    alphabet=st.sampled_from("|`<>&\\[]()!#@*_~-+=:.$\n\r\t 0123aGHww.http//:x\"'{}%^\u202e\u200b"),
    max_size=60,
)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("escape", [prose, code])
@given(text=HOSTILE)
def test_any_text_is_inert_in_any_place(escape: object, place: str, text: str) -> None:
    assert callable(escape)
    page = read(PLACES[place].format(escape(text)))
    assert set(page.elements) <= OURS
    assert page.attributes == set()
    assert page.active == []
    # A table stays one column and one row wide.
    assert all(len(row) == 1 for table in page.tables for row in table)


@pytest.mark.parametrize("escape", [prose, code])
@given(text=st.text(alphabet=string.printable, min_size=1, max_size=80))
def test_printable_text_is_shown_as_it_is(escape: object, text: str) -> None:
    assert callable(escape)
    shown = read(f"x {escape(text)} x").text.strip().removeprefix("x").removesuffix("x").strip()
    expected = visible(text, 80) if escape is code else visible(text, 300)
    assert shown == (expected or "(empty)")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\n\nb\t c\u2028d", "a b c d"),
        ("a\u202eb\u2066c", "a[U+202E]b[U+2066]c"),
        ("\x1b[31mred\x00", "[U+001B][31mred[U+0000]"),
        ("zero\u200bwidth\ufeff", "zero[U+200B]width[U+FEFF]"),
        ("tag\U000e0041", "tag[U+E0041]"),
        ("z" + "\u0301" * 50, "z\u0301\u0301"),
        ("\ud800", "[U+D800]"),
        ("", ""),
    ],
    ids=ascii,
)
def test_nothing_is_invisible(text: str, shown: str) -> None:
    assert visible(text, 80) == shown


@pytest.mark.parametrize("length", [10, 11, 1000, 10**6])
def test_text_is_capped_and_says_so(length: int) -> None:
    shown = visible("a" * length, 10)
    assert len(shown) == 10
    assert shown.endswith(ELLIPSIS) == (length > 10)


def test_the_cap_holds_for_text_that_grows_when_spelled_out() -> None:
    assert len(visible("\u202e" * 100, 20)) == 20


@pytest.mark.parametrize("text", ["@octocat", "see #12", "GH-3", ":shipit:", "octo/model#4", "a@b.co", "$x$"])
def test_what_github_links_after_markdown_is_cut_in_two(text: str) -> None:
    # Each of these acts when only Markdown's own marks are escaped: the judge must be able to see it ...
    if text != "$x$":
        assert read("".join(f"&#{ord(character)};" for character in text)).active != []
    # ... and finds nothing in the escaped text.
    assert read(prose(text)).active == []


def test_a_dollar_stands_alone_in_a_span() -> None:
    assert prose("$x$") == "<span>&#36;</span>x<span>&#36;</span>"


@given(text=st.text(max_size=100))
def test_a_label_cannot_leave_its_quotes(text: str) -> None:
    shown = label(text)
    assert 0 < len(shown) <= 40
    assert not set(shown) & set("\"'`{}[]<>#;&%\\|\n\r:@$")


@pytest.mark.parametrize(
    ("address", "written"),
    [
        ("https://github.com/octo/model/commit/0f", "[run](https://github.com/octo/model/commit/0f)"),
        ("http://[::1]:3000/octo/model", "[run](http://[::1]:3000/octo/model)"),
        ("", "run"),
        ("/octo/model", "run"),
        ("javascript:alert(1)", "run"),
        ("https://ann@evil.example/octo", "run"),
        ("https://evil.example/a?b=c", "run"),
        ("https://evil.example/a) [b](https://c", "run"),
        ("https://evil.example/a\n", "run"),
    ],
)
def test_only_a_plain_address_of_a_page_is_linked(address: str, written: str) -> None:
    assert link("run", address) == written
