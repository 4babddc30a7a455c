"""A report as the Markdown of a pull-request comment or of a job summary.

The order is the reader's: does anything fail and why, what happened to the primary metric, what was compared, the
numbers; the rest is folded. What does not fit is dropped in the order of `PLAN`, and a line says so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gitops_ml import wording
from gitops_ml.escape import code, link, prose
from gitops_ml.mermaid import charts
from gitops_ml.report import Comparison, GateResult, Metric, Report
from gitops_ml.runner import SUMMARY_LIMIT_BYTES

# GitHub refuses a comment of more than 65,536 characters; the marker and a margin come on top of this.
COMMENT_LIMIT = 59_000
# GitHub drops a summary over 1 MiB whole, and other steps of the job write into the same one.
SUMMARY_LIMIT = SUMMARY_LIMIT_BYTES // 2
_UNBROKEN = "\u00a0"


@dataclass(frozen=True)
class Context:
    """What the renderer knows beside the report, from the trusted side only."""

    run_url: str = ""  # page of the run that made the report
    head: str = ""  # commit of the pull request that the run was for
    # Workflows and actions that the pull request changes; None when nobody could say.
    own_judges: tuple[str, ...] | None = ()


@dataclass(frozen=True)
class Detail:
    """How much is shown: with or without charts and folded parts, rows per table, characters per message."""

    dropped: str = ""
    charts: bool = True
    folded: bool = True
    rows: int = 500
    cap: int = 500


# What is given up when the text is too long, least important first; every step includes the ones before.
PLAN: tuple[Detail, ...] = (
    Detail(),
    Detail("the charts", charts=False),
    Detail("the charts and all but the first 60 rows of each table", charts=False, rows=60),
    Detail("the charts and all but the first 20 rows of each table", charts=False, rows=20, cap=300),
    Detail("the folded details and all but the first 20 rows of each table", False, False, 20, 300),
    Detail("the folded details and all but the first 6 rows of each table", False, False, 6, 100),
)


def render_comment(report: Report, context: Context = Context()) -> str:
    """The comment on `report`: at most `COMMENT_LIMIT` characters, everything from the report inert."""
    return _render(report, context, len, COMMENT_LIMIT)


def render_summary(report: Report, context: Context = Context()) -> str:
    """The same text for the job summary: at most `SUMMARY_LIMIT` bytes of UTF-8."""
    return _render(report, context, lambda text: len(text.encode()), SUMMARY_LIMIT)


def render_short(report: Report, context: Context = Context()) -> str:
    """The verdict and nothing more, for a server that takes less text than GitHub."""
    said = [_heading(report, PLAN[-1]), _own_judges(context, PLAN[-1])]
    return _join([*said, _footer(context, "everything but the verdict")])


def render_missing(
    conclusion: str, jobs: Sequence[tuple[str, str]], context: Context = Context(), why: str = ""
) -> str:
    """The comment on a run without a usable report: how it ended, and name and conclusion of the jobs not green."""
    ended = f"ended with {prose(conclusion.replace('_', ' '), 40)} before a report was made"
    found = "succeeded and left no report behind" if conclusion == "success" else ended
    reason = prose(why) if why else f"The run {found}."
    lines = [f"- {code(name)}: {prose(result.replace('_', ' '), 40)}" for name, result in jobs[:30]]
    lines += [f"- and {len(jobs) - 30:,} more"] if len(jobs) > 30 else []
    parts = [
        "### ❌ No report: the model of this commit was not judged",
        _own_judges(context, PLAN[-1]),
        reason,
        "**Jobs that did not succeed**\n\n" + "\n".join(lines) if lines else "",
        f"<sub>The log is in {_run_link(context)}. No report is never a pass.</sub>",
    ]
    return _join(parts)


def _render(report: Report, context: Context, measure: Callable[[str], int], limit: int) -> str:
    for detail in PLAN:
        text = _body(report, context, detail)
        if measure(text) <= limit:
            return text
    # Only text that is nothing but escapes gets here; the verdict alone always fits.
    return render_short(report, context)


def _body(report: Report, context: Context, detail: Detail) -> str:
    parts = [
        _heading(report, detail),
        _own_judges(context, detail),
        _summary_lines(report, context, detail),
        _loosened(report, detail),
        _problems(report, detail),
        _metrics(report, detail),
        _gates(report, detail),
        _failures(report, detail),
    ]
    if detail.folded:
        parts += [
            _fold(_slice_title(report), _slices(report, detail)),
            _fold("Charts", charts(report) if detail.charts else ""),
            _fold("Training cost", _costs(report)),
            _fold(f"What changed ({len(report.changes)})", _changes(report, detail)),
            _fold(_suite_title(report), _suites(report, detail)),
            _fold("Gates that pass", _green_gates(report, detail)),
            _fold("Notes", _list(report.notes, detail)),
        ]
    return _join([*parts, _footer(context, detail.dropped)])


def _join(parts: Sequence[str]) -> str:
    return "\n\n".join(part for part in parts if part) + "\n"


def _heading(report: Report, detail: Detail) -> str:
    head = wording.headline(report)
    return f"### {head.icon} {prose(head.title, min(detail.cap, 200))}"


def _own_judges(context: Context, detail: Detail) -> str:
    if context.own_judges is None:
        return (
            "> [!CAUTION]\n> **It could not be found out whether this pull request changes the workflows and actions "
            "that judge it.** Look at its files below `.github` before you believe what follows."
        )
    if not context.own_judges:
        return ""
    lines = [
        "> [!CAUTION]",
        "> **This pull request changes what measures and judges it.** Read that change before you believe the rest.",
    ]
    shown = context.own_judges[: min(detail.rows, 10)]
    lines += [f"> - {code(name)}" for name in shown]
    more = len(context.own_judges) - len(shown)
    return "\n".join([*lines, f"> - … and {more:,} more"] if more else lines)


def _summary_lines(report: Report, context: Context, detail: Detail) -> str:
    lines = [prose(wording.headline(report).primary, detail.cap)]
    lines += [f"<sub>{prose(line, detail.cap)}</sub>" for line in _sides(report, context)]
    return "\\\n".join(lines)


def _sides(report: Report, context: Context) -> list[str]:
    """What was compared; the commit of the pull request is named by the trusted side, not by the report."""
    first, *others = wording.compared(report)
    known, named = context.head, report.head.commit or ""
    if known and not (named and known.startswith(named)):
        merge = "; the report names a merge of it, or another commit" if named else ""
        first = f"{first} (pull request at {known[:7]}{merge})"
    # Of an unchanged model nothing was compared, so it is no news that there is no baseline.
    return [first] if report.model == "unchanged" else [first, *others]


def _loosened(report: Report, detail: Detail) -> str:
    loose = [change for change in report.changes if change.kind == "gate" and change.loosens]
    if not loose:
        return ""
    lines = [
        "> [!WARNING]",
        "> **This pull request loosens its own gates.** It is judged by the gates of the merge base all the same; "
        "after the merge the looser ones hold.",
    ]
    lines += [
        f"> - {code(each.name)}: {_value(each.before)} → {_value(each.after)}"
        for each in loose[: detail.rows]
    ]
    return "\n".join(lines)


def _problems(report: Report, detail: Detail) -> str:
    listed = _list(report.problems, detail)
    return f"**Problems**\n\n{listed}" if listed else ""


def _list(texts: Sequence[str], detail: Detail) -> str:
    lines = [f"- {prose(text, detail.cap)}" for text in texts[: detail.rows]]
    return "\n".join(lines + _more(len(texts), detail, "- {}"))


def _more(total: int, detail: Detail, form: str) -> list[str]:
    return [form.format(f"… and {total - detail.rows:,} more")] if total > detail.rows else []


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]], detail: Detail) -> str:
    """A Markdown table; a column whose title starts with `>` is set to the right."""
    if not rows:
        return ""
    titles = [column.lstrip(">") for column in columns]
    lines = [titles, ["--:" if column.startswith(">") else "---" for column in columns], *rows[: detail.rows]]
    lines += [[more] + [""] * (len(columns) - 1) for more in _more(len(rows), detail, "{}")]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _metrics(report: Report, detail: Detail) -> str:
    base = wording.find(report, "merge base")
    production = wording.find(report, "production")
    lead = base if base is not None and base.metrics else production
    if lead is None or not lead.metrics:
        return ""
    second = (
        production if production is not None and production.available and production is not lead else None
    )
    columns = ["Metric", "Better", f">{lead.baseline.capitalize()}", ">Head", ">Change"]
    columns += [f">{wording.percent(report.confidence)} interval", "Verdict"]
    columns += [">Production", "Against production"] if second else []
    rows = [_metric_row(report, metric, second) for metric in wording.sorted_metrics(report, lead.metrics)]
    return _join([_table(columns, rows, detail), _reasons(lead, detail)]).rstrip("\n")


def _metric_row(report: Report, metric: Metric, second: Comparison | None) -> list[str]:
    better = {"higher": "↑", "lower": "↓", None: ""}[metric.direction]
    name = code(metric.name) + (" **primary**" if metric.name == report.primary else "")
    row = [name, better, *_numbers(metric), _verdict(metric)]
    if second is not None:
        other = next((each for each in second.metrics if each.name == metric.name), None)
        row += [wording.metric_values(other)[0], _verdict(other, with_change=True)] if other else ["-", "-"]
    return row


def _numbers(metric: Metric) -> list[str]:
    """Base, head, change and interval; no cell of numbers is broken into lines."""
    return [cell.replace(" ", _UNBROKEN) for cell in wording.metric_values(metric)]


def _verdict(metric: Metric, with_change: bool = False) -> str:
    change = f" {wording.delta(metric)}" if with_change and metric.delta else ""
    return f"{wording.VERDICT_ICONS[metric.verdict]} {metric.verdict}{change}".replace(" ", _UNBROKEN)


def _reasons(comparison: Comparison, detail: Detail) -> str:
    """Why metrics cannot be compared, and other remarks: each once, with the metrics it holds for."""
    names: dict[str, list[str]] = {}
    for metric in comparison.metrics:
        if metric.why:
            names.setdefault(metric.why, []).append(metric.name)
    lines = []
    for why, which in list(names.items())[: min(5, detail.rows)]:
        shown = ", ".join(code(name) for name in which[:3]) + (
            f" and {len(which) - 3} more" if len(which) > 3 else ""
        )
        lines.append(f"- {shown}: {prose(why, detail.cap)}")
    return "\n".join(lines)


def _gates(report: Report, detail: Detail) -> str:
    notable = [gate for gate in wording.sorted_gates(report.gates) if gate.outcome != "pass"]
    rows = [
        [
            f"{wording.ICONS[gate.outcome]} {gate.outcome}",
            *_gate_cells(gate),
            prose(gate.message, detail.cap),
        ]
        for gate in notable
    ]
    return _table(["Gate", "Of", "Rule", ">Limit", ">Actual", "Why"], rows, detail)


def _green_gates(report: Report, detail: Detail) -> str:
    rows = [
        [*_gate_cells(gate), prose(gate.message, detail.cap)]
        for gate in report.gates
        if gate.outcome == "pass"
    ]
    return _table(["Of", "Rule", ">Limit", ">Actual", "Why"], rows, detail)


def _gate_cells(gate: GateResult) -> list[str]:
    return [code(gate.subject, 120), code(gate.rule), _number(gate.limit), _number(gate.actual)]


def _number(value: float | None) -> str:
    return "-" if value is None else wording.plain(value)


def _failures(report: Report, detail: Detail) -> str:
    lines = []
    for suite in report.suites:
        if suite.failed:
            lines.append(f"**{wording.count(suite.failed, 'test')} of** {code(suite.name)} **failed**")
            lines += [
                f"- {code(each.name, 120)}: {prose(each.message, detail.cap)}" for each in suite.failures
            ]
            lines.append("")
    return "\n".join(lines[: 3 * detail.rows]).rstrip("\n")


def _suites(report: Report, detail: Detail) -> str:
    rows = [
        [code(suite.name), f"{suite.passed:,}", f"{suite.failed:,}", f"{suite.skipped:,}"]
        for suite in report.suites
    ]
    return _table(["Suite", ">Passed", ">Failed", ">Skipped"], rows, detail)


def _slices(report: Report, detail: Detail) -> str:
    comparison = wording.find(report, "merge base")
    rows = [
        [
            f"{code(each.column)} = {code(each.value)}",
            f"{each.rows:,}",
            *_numbers(each.metric),
            _verdict(each.metric),
        ]
        for each in wording.sorted_slices(comparison.slices if comparison else ())
    ]
    columns = ["Slice", ">Rows", ">Merge base", ">Head", ">Change"]
    return _table([*columns, f">{wording.percent(report.confidence)} interval", "Verdict"], rows, detail)


def _slice_title(report: Report) -> str:
    comparison = wording.find(report, "merge base")
    slices = comparison.slices if comparison else ()
    worse = sum(each.metric.verdict == "regressed" for each in slices)
    subject = f"{code(slices[0].metric.name)} by slice" if slices else "Slices"
    return f"{subject}, worst first" + (f" ({worse} regressed)" if worse else "")


def _suite_title(report: Report) -> str:
    passed = sum(suite.passed for suite in report.suites)
    failed = sum(suite.failed for suite in report.suites)
    return f"Tests ({passed:,} passed, {failed:,} failed)"


def _costs(report: Report) -> str:
    rows = [[code(cost.name), *wording.cost_values(cost)] for cost in report.costs]
    return _table(["Cost", ">Merge base", ">Head", ">Change"], rows, Detail())


def _changes(report: Report, detail: Detail) -> str:
    rows = [
        [
            each.kind + (" **loosened**" if each.loosens else ""),
            code(each.name, 120),
            _value(each.before),
            _value(each.after),
        ]
        for each in report.changes
    ]
    return _table(["Kind", "Name", "Before", "After"], rows, detail)


def _value(text: str | None) -> str:
    return "absent" if text is None else code(text)


def _fold(title: str, inside: str) -> str:
    return f"<details><summary>{title}</summary>\n\n{inside}\n\n</details>" if inside else ""


def _footer(context: Context, dropped: str) -> str:
    left_out = f"Left out because GitHub limits the length: {dropped}. " if dropped else ""
    place = f"the artifact `gitops-ml-report` of {_run_link(context)}"
    return f"<sub>{left_out}The full report is `report.html` in {place}.</sub>"


def _run_link(context: Context) -> str:
    return link("this run", context.run_url)
