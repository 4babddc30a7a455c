"""A report as one HTML file that asks no other address for anything and runs no script but its own."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

from gitops_ml import pictures, wording
from gitops_ml.escape import visible
from gitops_ml.report import Comparison, GateResult, Metric, Report

_ASSETS = Path(__file__).with_name("assets")
MAX_PICTURES = 20

# One cell: its text as HTML, and the number it sorts by where that differs from the text.
Cell = str | tuple[str, float | None]


def render_html(report: Report, plots: Mapping[str, bytes]) -> str:
    """`report` with its `plots` (SVG files by name) as a page that needs nothing else.

    The policy in the page allows the script and the style that are hashed there, and pictures that are inside it.
    """
    style = (_ASSETS / "report.css").read_text(encoding="utf-8")
    script = (_ASSETS / "report.js").read_text(encoding="utf-8")
    policy = (
        f"default-src 'none'; style-src 'sha256-{_digest(style)}'; script-src 'sha256-{_digest(script)}'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )
    head = wording.headline(report)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="referrer" content="no-referrer">\n<link rel="icon" href="data:,">\n'
        f"<title>{_text(head.title)}</title>\n<style>{style}</style>\n</head>\n<body>\n"
        + "\n".join(part for part in _sections(report, plots) if part)
        + f"\n<script>{script}</script>\n</body>\n</html>\n"
    )


def _digest(text: str) -> str:
    return b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _text(text: str, cap: int = 500) -> str:
    return escape(visible(text, cap))


def _code(text: str | None) -> str:
    return "absent" if text is None else f"<code>{_text(text, 200)}</code>"


def _sections(report: Report, plots: Mapping[str, bytes]) -> list[str]:
    base = wording.find(report, "merge base")
    production = wording.find(report, "production")
    return [
        _header(report),
        _loosened(report),
        _list("Problems", report.problems),
        _metrics(report, base, "Metrics against the merge base"),
        _metrics(report, production, "Metrics against production"),
        _gates(report.gates),
        _slices(report, base),
        _charts(report),
        _plots(plots),
        _suites(report),
        _costs(report),
        _changes(report),
        _list("Notes", report.notes),
        "<footer>Made by gitops-ml from report.json. Press a column's title to sort by it.</footer>",
    ]


def _header(report: Report) -> str:
    head = wording.headline(report)
    compared = "".join(f"<li>{_text(line)}</li>" for line in wording.compared(report))
    return (
        f'<header class="{report.verdict}"><h1>{_text(head.title)}</h1>'
        f"<p>{_text(head.primary)}</p><ul>{compared}</ul></header>"
    )


def _loosened(report: Report) -> str:
    loose = [each for each in report.changes if each.kind == "gate" and each.loosens]
    if not loose:
        return ""
    items = "".join(
        f"<li>{_code(each.name)}: {_code(each.before)} → {_code(each.after)}</li>" for each in loose
    )
    return (
        '<div class="alarm"><strong>This pull request loosens its own gates.</strong> '
        f"It is judged by the gates of the merge base all the same.<ul>{items}</ul></div>"
    )


def _section(title: str, inside: str) -> str:
    return f"<section><h2>{title}</h2>{inside}</section>" if inside else ""


def _list(title: str, texts: Sequence[str]) -> str:
    items = "".join(f"<li>{_text(text)}</li>" for text in texts)
    return _section(title, f"<ul>{items}</ul>" if items else "")


def _table(columns: Sequence[str], rows: Sequence[tuple[str, Sequence[Cell]]]) -> str:
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
        f'<div class="scroll"><table class="sortable"><thead><tr>{titles}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _cell(kind: str, cell: Cell) -> str:
    text, key = cell if isinstance(cell, tuple) else (cell, None)
    return f"<td{kind}>{text}</td>" if key is None else f'<td{kind} data-sort="{key!r}">{text}</td>'


def _metrics(report: Report, comparison: Comparison | None, title: str) -> str:
    if comparison is None or not comparison.metrics:
        return ""
    columns = ["Metric", "Better", f">{comparison.baseline.capitalize()}", ">Head", ">Change"]
    columns += [f">{wording.percent(report.confidence)} interval", "Picture", "Verdict", "Why"]
    rows: list[tuple[str, Sequence[Cell]]] = []
    for metric in wording.sorted_metrics(report, comparison.metrics):
        name = f"{_code(metric.name)}{' <b>primary</b>' if metric.name == report.primary else ''}"
        better = {"higher": "<span>↑ higher</span>", "lower": "<span>↓ lower</span>", None: ""}[
            metric.direction
        ]
        rows.append((_quiet(metric), [name, better, *_numbers(metric), _verdict(metric), _text(metric.why)]))
    toggle = '<label><input type="checkbox" id="only-changes"> only what changed</label>'
    first = comparison.baseline == "merge base"
    return _section(title, (toggle if first else "") + _table(columns, rows))


def _quiet(metric: Metric) -> str:
    return "quiet" if metric.verdict in ("unchanged", "within noise") else ""


def _numbers(metric: Metric) -> list[Cell]:
    base, head, change, interval = wording.metric_values(metric)
    bar = pictures.interval_bar(metric)
    return [(base, metric.base), (head, metric.head), (change, metric.delta), interval, bar]


def _verdict(metric: Metric) -> str:
    kind = metric.verdict.replace(" ", "-")
    return f'<span class="{kind}">{metric.verdict}</span>'


def _gates(gates: Sequence[GateResult]) -> str:
    rows: list[tuple[str, Sequence[Cell]]] = [
        (
            "quiet" if gate.outcome == "pass" else gate.outcome,
            [
                f"<b>{gate.outcome}</b>",
                _code(gate.subject),
                _code(gate.rule),
                _number(gate.limit),
                _number(gate.actual),
                _text(gate.message),
            ],
        )
        for gate in wording.sorted_gates(gates)
    ]
    return _section("Gates", _table(["Gate", "Of", "Rule", ">Limit", ">Actual", "Why"], rows))


def _number(value: float | None) -> Cell:
    return "-" if value is None else (wording.plain(value), value)


def _slices(report: Report, comparison: Comparison | None) -> str:
    rows: list[tuple[str, Sequence[Cell]]] = [
        (
            _quiet(each.metric),
            [
                f"{_code(each.column)} = {_code(each.value)}",
                (f"{each.rows:,}", float(each.rows)),
                *_numbers(each.metric),
                _verdict(each.metric),
            ],
        )
        for each in wording.sorted_slices(comparison.slices if comparison else ())
    ]
    columns = ["Slice", ">Rows", ">Merge base", ">Head", ">Change"]
    columns += [f">{wording.percent(report.confidence)} interval", "Picture", "Verdict"]
    return _section("Slices, worst first", _table(columns, rows))


def _charts(report: Report) -> str:
    drawn = "".join(pictures.curve(each) for each in report.curves)
    return _section("Curves", f'<div class="pictures">{drawn}</div>' if drawn else "")


def _plots(plots: Mapping[str, bytes]) -> str:
    figures = []
    for name, svg in sorted(plots.items())[:MAX_PICTURES]:
        address = pictures.embed(svg)
        inside = (
            f'<img alt="{_text(name, 100)}" src="{address}">'
            if address
            else "<p>Not shown: it is not a plain SVG file under 1 MiB.</p>"
        )
        figures.append(f"<figure><figcaption>{_text(name, 100)}</figcaption>{inside}</figure>")
    if len(plots) > MAX_PICTURES:
        figures.append(f"<p>{len(plots) - MAX_PICTURES} more pictures were left out.</p>")
    return _section(
        "Pictures of the run", f'<div class="pictures">{"".join(figures)}</div>' if figures else ""
    )


def _suites(report: Report) -> str:
    rows: list[tuple[str, Sequence[Cell]]] = [
        (
            "fail" if suite.failed else "",
            [
                _code(suite.name),
                *((f"{part:,}", float(part)) for part in (suite.passed, suite.failed, suite.skipped)),
                "<br>".join(f"{_code(each.name)} {_text(each.message)}" for each in suite.failures),
            ],
        )
        for suite in report.suites
    ]
    return _section("Tests", _table(["Suite", ">Passed", ">Failed", ">Skipped", "Failures"], rows))


def _costs(report: Report) -> str:
    rows: list[tuple[str, Sequence[Cell]]] = []
    for cost in report.costs:
        base, head, change = wording.cost_values(cost)
        rows.append(("", [_code(cost.name), (base, cost.base), (head, cost.head), change]))
    return _section("Training cost", _table(["Cost", ">Merge base", ">Head", ">Change"], rows))


def _changes(report: Report) -> str:
    rows: list[tuple[str, Sequence[Cell]]] = [
        (
            "fail" if each.loosens else "",
            [
                f"{each.kind}{' <b>loosened</b>' if each.loosens else ''}",
                _code(each.name),
                _code(each.before),
                _code(each.after),
            ],
        )
        for each in report.changes
    ]
    return _section("What changed", _table(["Kind", "Name", "Before", "After"], rows))
