"""Charts and pages in a real browser: Mermaid draws what we write, and report.html runs its script and no other."""

from __future__ import annotations

import json
import re
from html import escape, unescape
from pathlib import Path
from typing import Any

import pytest
from gitops_ml.html import render_html
from gitops_ml.markdown import render_comment
from gitops_ml.report import Curve, Report

from tests.actions import samples
from tests.fakes.browser import Opened, open_page
from tests.tools.required import need

FENCE = re.compile(r"```mermaid\n(.*?)\n```", re.S)
# Draws every chart, and writes down what Mermaid made of it.
DRAW = """
mermaid.initialize({startOnLoad: false, securityLevel: "strict"});
(async () => {
  const results = [];
  for (const [number, source] of sources.entries()) {
    try {
      const {svg} = await mermaid.render("chart" + number, source);
      const holder = document.createElement("div");
      holder.innerHTML = svg;
      document.body.append(holder);
      results.push({texts: [...holder.querySelectorAll("text")].map((text) => text.textContent),
                    colours: [...holder.querySelectorAll("path")].map((path) => path.getAttribute("stroke")),
                    bars: holder.querySelectorAll("rect").length, svg});
    } catch (error) {
      results.push({error: String(error)});
    }
  }
  const result = document.createElement("pre");
  result.id = "result";
  result.textContent = JSON.stringify(results);
  document.body.append(result);
})();
"""


def draw(sources: list[str], folder: Path) -> list[dict[str, Any]]:
    """What Mermaid makes of `sources`."""
    listed = json.dumps(sources).replace("</", "<\\/")
    page = folder / "charts.html"
    page.write_text(
        f'<!doctype html><meta charset="utf-8"><body><script src="{need("mermaid").as_uri()}"></script>'
        f"<script>const sources = {listed};{DRAW}</script>",
        encoding="utf-8",
    )
    document = open_page(page, folder / "profile", "--allow-file-access-from-files").document
    found = re.search(r'<pre id="result">(.*?)</pre>', document, re.S)
    assert found, "the page did not finish"
    return list(json.loads(unescape(found[1])))


def charts(report: Report) -> list[str]:
    """The charts in the comment on `report`."""
    return FENCE.findall(render_comment(report))


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Charts of all kinds drawn in one browser."""
    steps = (0.0, 0.5, 0.5, 1.0)
    hostile = 'x" %%{init: {}}%% ```\n<script>alert(1)</script>;end#quot;'
    flat = Curve(title="flat", x_label="x", y_label="y", x=(0.0, 1.0), head=(2.0, 2.0))
    odd = Curve(
        title=hostile, x_label=hostile, y_label=hostile, x=steps, head=(-1.0, 0.0, 5.0, 1e6), base=(0.0,) * 4
    )
    tiny = Curve(title="tiny", x_label="x", y_label="y", x=(0.0, 1e-5), head=(1e-7, 2e-7))
    sources = {
        "curve": charts(samples.report())[0],
        "slices": charts(samples.report())[1],
        "flat": charts(samples.passing(curves=(flat,)))[0],
        "hostile": charts(samples.passing(curves=(odd,)))[0],
        "tiny": charts(samples.passing(curves=(tiny,)))[0],
        "broken": "xychart-beta\n    line [1, 2",
    }
    results = draw(list(sources.values()), tmp_path_factory.mktemp("mermaid"))
    return dict(zip(sources, results, strict=True))


@pytest.mark.parametrize("name", ["curve", "slices", "flat", "hostile", "tiny"])
def test_mermaid_draws_the_chart(drawn: dict[str, dict[str, Any]], name: str) -> None:
    assert "error" not in drawn[name]
    assert drawn[name]["svg"].startswith("<svg")


def test_mermaid_refuses_what_is_no_chart(drawn: dict[str, dict[str, Any]]) -> None:
    assert "error" in drawn["broken"]


def test_the_curve_has_both_lines_in_the_colours_that_the_comment_names(
    drawn: dict[str, dict[str, Any]],
) -> None:
    colours = drawn["curve"]["colours"]
    assert {"#3b82f6", "#f59e0b"} <= set(colours)
    assert {"ROC curve", "false positive rate", "true positive rate"} <= set(drawn["curve"]["texts"])
    assert "Blue is head, orange is the merge base" in render_comment(samples.report())


def test_slices_are_bars_with_their_names(drawn: dict[str, dict[str, Any]]) -> None:
    assert drawn["slices"]["bars"] >= 3
    assert {"＜30", "30-50", "＞50"} <= set(drawn["slices"]["texts"])


def test_hostile_titles_draw_no_element(drawn: dict[str, dict[str, Any]]) -> None:
    assert "<script" not in drawn["hostile"]["svg"]
    assert "href" not in drawn["hostile"]["svg"]


SVG = b'<svg xmlns="http://www.w3.org/2000/svg" onload="console.error(1)"><script>console.error(2)</script></svg>'
# Presses the title of the second column, then the box, and writes down what the page shows.
PRESS = """
const table = document.querySelector("table.sortable");
const order = () => [...table.tBodies[0].rows].map((row) => row.cells[0].textContent);
const before = order();
table.querySelectorAll("th button")[3].click();
const up = order();
table.querySelectorAll("th button")[3].click();
const down = order();
document.getElementById("only-changes").click();
const shown = [...table.tBodies[0].rows].filter((row) => getComputedStyle(row).display !== "none").length;
const result = document.createElement("pre");
result.id = "result";
result.textContent = JSON.stringify({before, up, down, shown});
document.body.append(result);
"""


def opened(html: str, folder: Path) -> Opened:
    page = folder / "report.html"
    page.write_text(html, encoding="utf-8")
    return open_page(page, folder / "profile")


def test_report_html_opens_without_a_word_on_the_console(tmp_path: Path) -> None:
    page = opened(render_html(samples.report(), {"roc.svg": SVG, "no.svg": b"<html>"}), tmp_path)
    assert page.console == []
    assert "Metrics against the merge base" in page.document


def test_the_console_is_really_read(tmp_path: Path) -> None:
    assert opened('<!doctype html><script>console.error("seen")</script>', tmp_path).console == ["seen"]


def test_a_script_that_got_into_the_page_would_not_run(tmp_path: Path) -> None:
    html = render_html(samples.report(), {})
    planted = html.replace(
        "</body>", "<script>document.title='planted'</script><img src=x onerror=alert(1)></body>"
    )
    page = opened(planted, tmp_path)
    assert "<title>planted" not in page.document
    assert any("Content Security Policy" in line for line in page.console)


def test_titles_sort_and_the_box_hides_what_did_not_change(tmp_path: Path) -> None:
    html = render_html(samples.report(), {})
    # The policy forbids this test's own script, so it is taken out for this one page.
    open_policy = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", html)
    page = opened(open_policy.replace("</body>", f"<script>{PRESS}</script></body>"), tmp_path)
    found = re.search(r'<pre id="result">(.*?)</pre>', page.document, re.S)
    assert found, page.console
    result = json.loads(unescape(found[1]))
    # Numbers sort as numbers: fit_seconds has the largest value of head, brier the smallest.
    assert result["before"][0].startswith("roc_auc")
    assert (result["up"][0], result["up"][-1]) == ("brier", "fit_seconds")
    assert result["down"] == result["up"][::-1]
    assert result["shown"] == len(result["before"]) - 2


def test_the_comments_html_is_read_the_same_by_a_browser(tmp_path: Path) -> None:
    from markdown_it import MarkdownIt

    text = "<img src=x onerror=console.error(1)>"
    source = render_comment(samples.report(notes=(text,), primary=text[:80]))
    page = opened(MarkdownIt("commonmark", {"html": True}).enable("table").render(source), tmp_path)
    assert page.console == []
    assert "<img" not in page.document
    assert escape(text).replace("&quot;", '"') in page.document
