"""report.html: one file, no request, no foreign script, everything in it."""

from __future__ import annotations

import base64
import hashlib
import re

import pytest
from gitops_ml.html import MAX_PICTURES, render_html
from gitops_ml.pictures import MAX_PICTURE_BYTES, embed
from gitops_ml.report import Comparison, Curve, Report
from hypothesis import given
from hypothesis import strategies as st

from tests.actions import samples
from tests.actions.reading import read_html

HTML = render_html(samples.report(), {"roc.svg": b"<svg xmlns='http://www.w3.org/2000/svg'/>"})
PLAIN = b'<svg xmlns="http://www.w3.org/2000/svg"><path d="M0 0"/></svg>'


def test_nothing_is_loaded_from_anywhere() -> None:
    page = read_html(HTML)
    assert page.links
    assert all(link.startswith("data:") for link in page.links)
    style_and_script = "".join(re.findall(r"<(?:style|script)>(.*?)</(?:style|script)>", HTML, re.S))
    assert not re.search(r"url\(|@import|fetch\(|XMLHttpRequest|WebSocket|https?:", style_and_script)


def test_the_policy_allows_exactly_the_script_and_the_style_of_the_page() -> None:
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', HTML)
    assert policy
    for tag in ("script", "style"):
        (inside,) = re.findall(rf"<{tag}>(.*?)</{tag}>", HTML, re.S)
        digest = base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy[1]
    assert policy[1].startswith("default-src 'none'; ")
    assert "unsafe" not in policy[1]


def test_no_attribute_holds_a_script_or_a_style() -> None:
    names = {name.split(".")[1] for name in read_html(HTML).attributes}
    assert not {name for name in names if name.startswith("on") or name == "style"}


def test_every_part_of_the_report_is_there() -> None:
    text = read_html(HTML).text
    for words in (
        "Fails: roc_auc is 0.9631, floor 0.97",
        "This pull request loosens its own gates.",
        "Metrics against production",
        "age_group = <30",
        "waived until 2027-01-01",
        "test_monotone_in_age",
        "scikit-learn",
        "peak memory",
        "Trained with Python 3.12.",
        "ROC curve",
    ):
        assert words in text


@pytest.mark.parametrize(
    "report",
    [
        samples.passing(),
        samples.passing(model="unchanged", comparisons=(), gates=(), curves=(), costs=(), notes=()),
        samples.passing(
            comparisons=(Comparison(baseline="merge base", available=False, reason="Never trained."),)
        ),
        samples.report(model="failed", problems=("No metrics.",), comparisons=(), gates=()),
    ],
    ids=["passing", "unchanged", "no baseline", "failed"],
)
def test_empty_parts_leave_no_empty_heading(report: Report) -> None:
    html = render_html(report, {})
    assert not re.search(r"</h2>(?:<ul></ul>|<div[^>]*></div>)?</section>", html)


@given(text=st.text(min_size=1, max_size=80))
def test_any_text_shows_and_adds_no_element(text: str) -> None:
    def of(words: str) -> str:
        return render_html(
            samples.passing(notes=(words,), changes=({"kind": "data", "name": words},)), {words: PLAIN}
        )

    assert read_html(of(text)).elements == read_html(of("x")).elements


@pytest.mark.parametrize(
    "picture",
    [
        PLAIN,
        b'<?xml version="1.0" encoding="utf-8"?>\n' + PLAIN,
        b'<?xml version="1.0"?>\n<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN"\n  "http://x/svg11.dtd">\n'
        + PLAIN,
        b"\xef\xbb\xbf<!-- made by a plot -->" + PLAIN,
        b'<svg onload="alert(1)"><script>alert(1)</script></svg>',
    ],
)
def test_an_svg_is_embedded_as_a_picture_only(picture: bytes) -> None:
    address = embed(picture)
    assert base64.b64decode(address.removeprefix("data:image/svg+xml;base64,")) == picture
    html = render_html(samples.passing(), {"p.svg": picture})
    assert f'<img alt="p.svg" src="{address}">' in html
    assert read_html(html).elements["script"] == 1


@pytest.mark.parametrize(
    "picture",
    [
        b"",
        b"<html><svg></svg></html>",
        b"\x89PNG\r\n",
        PLAIN.decode().encode("utf-16"),
        b'<!DOCTYPE svg [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><svg>&b;</svg>',
        b"<svg>" + b" " * MAX_PICTURE_BYTES + b"</svg>",
        b"<svg>\xff</svg>",
        b"<svgx></svgx>",
    ],
    ids=lambda picture: ascii(picture[:20]),
)
def test_what_is_no_plain_svg_is_not_embedded(picture: bytes) -> None:
    assert embed(picture) == ""
    html = render_html(samples.passing(), {"p.svg": picture})
    assert "<img" not in html
    assert "Not shown: it is not a plain SVG file" in html


def test_pictures_are_counted() -> None:
    html = render_html(samples.passing(), {f"{number}.svg": PLAIN for number in range(MAX_PICTURES + 3)})
    assert html.count("<img") == MAX_PICTURES
    assert "3 more pictures were left out" in html


@pytest.mark.parametrize("value", [0.0, -1e308, 1e308, 5e-324, 1e-300, 123456789.123])
def test_extreme_numbers_are_drawn_without_overflow(value: float) -> None:
    curve = Curve(
        title="t", x_label="x", y_label="y", x=(-1e308, 1e308), head=(value, -value), base=(value, value)
    )
    metric = samples.metric("m", 0.0, value, "improved", 0.0)
    html = render_html(samples.passing(curves=(curve,), comparisons=(samples.compared(metric),)), {})
    assert not re.search(r'="[^"]*\b(?:nan|inf)\b', html)
