"""The HTML report for those who see little or have a keyboard only; and that what judges it is able to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from gitops_ml.html import render_html

from tests.actions import samples
from tests.fakes.accessibility import assert_accessible, judged, without_keyboard
from tests.fakes.browser_session import Session
from tests.tools.required import need

PLOT = b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><rect width="9" height="9"/></svg>'
SOUND = """<!doctype html><html lang="en"><head><title>A page</title></head><body style="background: #fff">
<main><h1>Head</h1><p>Text</p><img src="data:," alt="nothing"><button>Press</button>
<svg width="90" height="20"><text y="15">drawn</text></svg></main></body></html>"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    need("axe")
    with Session(tmp_path_factory.mktemp("browser") / "profile") as session:
        yield session


def opened(browser: Session, html: str, folder: Path) -> Session:
    page = folder / "page.html"
    page.write_text(html, encoding="utf-8")
    browser.open(page.as_uri())
    return browser


@pytest.mark.parametrize("report", [samples.report(), samples.passing()], ids=["failing", "passing"])
def test_the_report_is_accessible(report: samples.Report, browser: Session, tmp_path: Path) -> None:
    assert_accessible(opened(browser, render_html(report, {"roc.svg": PLOT}), tmp_path))


def test_a_page_in_order_is_left_alone(browser: Session, tmp_path: Path) -> None:
    assert_accessible(opened(browser, SOUND, tmp_path))


@pytest.mark.parametrize(
    ("good", "bad", "rule"),
    [
        ("<p>", '<p style="color: #aaa">', "color-contrast (serious): p"),
        (' alt="nothing"', "", "image-alt (critical): img"),
        (' lang="en"', "", "html-has-lang (serious): html"),
        ("<text ", '<text fill="#bbb" ', "drawn text (serious): drawn"),
        ("<button>Press", "<button>", "button-name (critical): button"),
    ],
)
def test_what_is_planted_is_found(good: str, bad: str, rule: str, browser: Session, tmp_path: Path) -> None:
    assert good in SOUND
    violations, _ = judged(opened(browser, SOUND.replace(good, bad), tmp_path))
    assert [one for one in violations if one.startswith(rule)] == violations != []


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ('<button style="outline: none">', "no focus to be seen: <button"),
        ('<button onfocus="this.blur()">', "out of reach: <button"),
    ],
)
def test_what_the_keyboard_does_not_reach_or_show_is_found(
    bad: str, words: str, browser: Session, tmp_path: Path
) -> None:
    opened(browser, SOUND.replace("<button>", bad), tmp_path)
    assert [one[: len(words)] for one in without_keyboard(browser)] == [words]
