"""A report as one HTML file that asks no other address for anything and runs no script but its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gitops_ml import pictures, wording
from gitops_ml.page import Cell, bullets, code, document, section, table, text
from gitops_ml.report import Comparison, GateResult, Metric, Report

MAX_PICTURES = 20


def render_html(report: Report, plots: Mapping[str, bytes]) -> str:
    """`report` with its `plots` (SVG files by name) as a page that needs nothing else."""
    head = wording.headline(report)
    return document(head.title, _sections(report, plots))


def _sections(report: Report, plots: Mapping[str, bytes]) -> list[str]:
    base = wording.find(report, "merge base")
    production = wording.find(report, "production")
    return [
        _header(report),
        _loosened(report),
        bullets("Problems", report.problems),
        _metrics(report, base, "Metrics against the merge base"),
        _metrics(report, production, "Metrics against production"),
        _gates(report.gates),
        _slices(report, base),
        _charts(report),
        _plots(plots),
        _suites(report),
        _costs(report),
        _changes(report),
        bullets("Notes", report.notes),
        "<footer>Made by gitops-ml from report.json. Press a column's title to sort by it.</footer>",
    ]


def _header(report: Report) -> str:
    head = wording.headline(report)
    compared = "".join(f"<li>{text(line)}</li>" for line in wording.compared(report))
    return (
        f'<header class="{report.verdict}"><h1>{text(head.title)}</h1>'
        f"<p>{text(head.primary)}</p><ul>{compared}</ul></header>"
    )


def _loosened(report: Report) -> str:
    loose = [each for each in report.changes if each.kind == "gate" and each.loosens]
    if not loose:
        return ""
    items = "".join(f"<li>{code(each.name)}: {code(each.before)} → {code(each.after)}</li>" for each in loose)
    return (
        '<div class="alarm"><strong>This pull request loosens its own gates.</strong> '
        f"It is judged by the gates of the merge base all the same.<ul>{items}</ul></div>"
    )


def _metrics(report: Report, comparison: Comparison | None, title: str) -> str:
    if comparison is None or not comparison.metrics:
        return ""
    columns = ["Metric", "Better", f">{comparison.baseline.capitalize()}", ">Head", ">Change"]
    columns += [f">{wording.percent(report.confidence)} interval", "Picture", "Verdict", "Why"]
    rows: list[tuple[str, Sequence[Cell]]] = []
    for metric in wording.sorted_metrics(report, comparison.metrics):
        name = f"{code(metric.name)}{' <b>primary</b>' if metric.name == report.primary else ''}"
        better = {"higher": "<span>↑ higher</span>", "lower": "<span>↓ lower</span>", None: ""}[
            metric.direction
        ]
        rows.append((_quiet(metric), [name, better, *_numbers(metric), _verdict(metric), text(metric.why)]))
    toggle = '<label><input type="checkbox" id="only-changes"> only what changed</label>'
    first = comparison.baseline == "merge base"
    return section(title, (toggle if first else "") + table(columns, rows))


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
                code(gate.subject),
                code(gate.rule),
                _number(gate.limit),
                _number(gate.actual),
                text(gate.message),
            ],
        )
        for gate in wording.sorted_gates(gates)
    ]
    return section("Gates", table(["Gate", "Of", "Rule", ">Limit", ">Actual", "Why"], rows))


def _number(value: float | None) -> Cell:
    return "-" if value is None else (wording.plain(value), value)


def _slices(report: Report, comparison: Comparison | None) -> str:
    rows: list[tuple[str, Sequence[Cell]]] = [
        (
            _quiet(each.metric),
            [
                f"{code(each.column)} = {code(each.value)}",
                (f"{each.rows:,}", float(each.rows)),
                *_numbers(each.metric),
                _verdict(each.metric),
            ],
        )
        for each in wording.sorted_slices(comparison.slices if comparison else ())
    ]
    columns = ["Slice", ">Rows", ">Merge base", ">Head", ">Change"]
    columns += [f">{wording.percent(report.confidence)} interval", "Picture", "Verdict"]
    return section("Slices, worst first", table(columns, rows))


def _charts(report: Report) -> str:
    drawn = "".join(pictures.curve(each) for each in report.curves)
    return section("Curves", f'<div class="pictures">{drawn}</div>' if drawn else "")


def _plots(plots: Mapping[str, bytes]) -> str:
    figures = []
    for name, svg in sorted(plots.items())[:MAX_PICTURES]:
        address = pictures.embed(svg)
        inside = (
            f'<img alt="{text(name, 100)}" src="{address}">'
            if address
            else "<p>Not shown: it is not a plain SVG file under 1 MiB.</p>"
        )
        figures.append(f"<figure><figcaption>{text(name, 100)}</figcaption>{inside}</figure>")
    if len(plots) > MAX_PICTURES:
        figures.append(f"<p>{len(plots) - MAX_PICTURES} more pictures were left out.</p>")
    return section(
        "Pictures of the run", f'<div class="pictures">{"".join(figures)}</div>' if figures else ""
    )


def _suites(report: Report) -> str:
    rows: list[tuple[str, Sequence[Cell]]] = [
        (
            "fail" if suite.failed else "",
            [
                code(suite.name),
                *((f"{part:,}", float(part)) for part in (suite.passed, suite.failed, suite.skipped)),
                "<br>".join(f"{code(each.name)} {text(each.message)}" for each in suite.failures),
            ],
        )
        for suite in report.suites
    ]
    return section("Tests", table(["Suite", ">Passed", ">Failed", ">Skipped", "Failures"], rows))


def _costs(report: Report) -> str:
    rows: list[tuple[str, Sequence[Cell]]] = []
    for cost in report.costs:
        base, head, change = wording.cost_values(cost)
        rows.append(("", [code(cost.name), (base, cost.base), (head, cost.head), change]))
    return section("Training cost", table(["Cost", ">Merge base", ">Head", ">Change"], rows))


def _changes(report: Report) -> str:
    rows: list[tuple[str, Sequence[Cell]]] = [
        (
            "fail" if each.loosens else "",
            [
                f"{each.kind}{' <b>loosened</b>' if each.loosens else ''}",
                code(each.name),
                code(each.before),
                code(each.after),
            ],
        )
        for each in report.changes
    ]
    return section("What changed", table(["Kind", "Name", "Before", "After"], rows))
