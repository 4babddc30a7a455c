"""The comment says the right thing first, and always fits."""

from __future__ import annotations

import re

import pytest
from gitops_ml.markdown import (
    COMMENT_LIMIT,
    PLAN,
    SUMMARY_LIMIT,
    Context,
    render_comment,
    render_missing,
    render_summary,
)
from gitops_ml.report import Change, Comparison, Failure, GateResult, Identity, Report, Slice
from gitops_ml.report import TestSuite as Suite

from tests.actions import samples
from tests.actions.reading import Page, read

CONTEXT = Context("https://forge.invalid/octo/model/actions/runs/7", "a1" * 20)


def page(report: Report, context: Context = CONTEXT) -> Page:
    return read(render_comment(report, context))


def test_first_line_names_the_red_gate_even_when_the_primary_metric_improved() -> None:
    red = GateResult(subject="recall", rule="floor", outcome="fail", limit=0.9, actual=0.85, message="below")
    shown = page(samples.passing(verdict="fail", gates=(samples.GREEN, red)))
    assert shown.heading == "❌ Fails: recall is 0.85, floor 0.9"
    assert "roc_auc improved: 0.950 → 0.970 (+0.020, 95 % interval +0.010 to +0.030)" in shown.text


@pytest.mark.parametrize(
    ("changes", "heading"),
    [
        ({}, "✅ Passes its only gate"),
        ({"gates": ()}, "✅ Passes; no gate applied"),
        (
            {"verdict": "warn", "gates": (samples.YELLOW,)},
            "⚠️ Passes with a warning: log_loss is 0.171, ceiling 0.15",
        ),
        ({"model": "unchanged"}, "✅ Model unchanged: nothing that goes into it was touched"),
        (
            {
                "verdict": "fail",
                "model": "failed",
                "problems": ("reports/metrics.json is missing.",),
                "gates": (),
            },
            "❌ Fails: reports/metrics.json is missing.",
        ),
        (
            {
                "verdict": "fail",
                "gates": (),
                "suites": (Suite(name="data", passed=0, failed=2, skipped=0),),
            },
            "❌ Fails: 2 tests of data failed",
        ),
        (
            {
                "gates": (
                    GateResult(subject="f1", rule="floor", outcome="waived", message="known"),
                    samples.GREEN,
                )
            },
            "✅ Passes, 1 gate waived",
        ),
        (
            {
                "verdict": "fail",
                "gates": (GateResult(subject="f1", rule="max_drop", outcome="fail", message="fell"),),
            },
            "❌ Fails: f1 – fell",
        ),
    ],
    ids=str,
)
def test_heading_is_the_verdict_and_its_reason(changes: dict[str, object], heading: str) -> None:
    assert page(samples.passing(**changes)).heading == heading


@pytest.mark.parametrize(
    ("metric", "words"),
    [
        (
            samples.NOISE,
            "did not change beyond noise: 0.9500 → 0.9510 (+0.0010, 95 % interval −0.0090 to +0.0110)",
        ),
        (samples.metric("roc_auc", 0.95, 0.95, "unchanged"), "roc_auc is unchanged at 0.9500"),
        (
            samples.metric("roc_auc", 0.9, 0.8, "not comparable", why="Other rows."),
            "not comparable with the merge base",
        ),
        (samples.metric("roc_auc", None, 0.8, "new"), "roc_auc is new"),
    ],
)
def test_primary_metric_is_told_in_words(metric: object, words: str) -> None:
    assert words in page(samples.passing(comparisons=(samples.compared(metric),))).text  # type: ignore[arg-type]


def test_without_a_baseline_it_says_so_and_why() -> None:
    absent = Comparison(baseline="merge base", available=False, reason="The merge base was never trained.")
    shown = page(samples.passing(comparisons=(absent,), verdict="warn", gates=()))
    assert "There is no baseline to compare with: The merge base was never trained." in shown.text
    assert "Merge base: none (The merge base was never trained.)" in shown.text


def test_nothing_given_as_baseline_is_said_too() -> None:
    assert "no merge base was given" in page(samples.passing(comparisons=())).text


def test_it_names_commits_age_seed_data_and_rows_of_both_sides() -> None:
    text = page(samples.report()).text
    assert "Head: commit a1a1a1a, seed 7, data abababab" in text
    assert (
        "Merge base: commit 0123abc, 3 days old, seed 7, data abababab (same as head), the same 570 evaluation"
        in text
    )
    assert "Production: " in text


def test_a_report_on_another_commit_is_named_by_the_trusted_side() -> None:
    shown = page(samples.report(head=Identity(commit="ffffff0")), CONTEXT)
    assert "pull request at a1a1a1a; the report names a merge of it, or another commit" in shown.text


def test_other_data_is_pointed_out() -> None:
    other = samples.BASE.model_copy(update={"data_hash": "99" * 32, "eval_hash": "88" * 32})
    text = page(samples.passing(comparisons=(samples.compared(samples.BETTER, identity=other),))).text
    assert "data 99999999 (differs from head), 570 evaluation rows" in text


def test_metrics_table_has_the_primary_first_and_production_beside_it() -> None:
    table = page(samples.report()).tables[0]
    assert table[0] == ["Metric", "Better", "Merge base", "Head", "Change", "95 % interval", "Verdict", "Production",
                        "Against production"]  # fmt: skip
    assert [row[0] for row in table[1:4]] == ["roc_auc primary", "log_loss", "fit_seconds"]
    assert table[1][-2:] == ["0.980", "🔴 regressed −0.017"]
    assert "fit_seconds: There are no predictions to judge it." in page(samples.report()).text


def test_gates_table_has_red_then_yellow_then_waived_and_no_green() -> None:
    table = next(table for table in page(samples.report()).tables if table[0][0] == "Gate")
    assert [row[0] for row in table[1:]] == ["❌ fail", "⚠️ warn", "🕊️ waived"]


def test_a_loosened_gate_is_loud() -> None:
    source = render_comment(samples.report(), CONTEXT)
    assert source.index("> [!WARNING]") < source.index("| Metric |")
    assert "loosens its own gates" in page(samples.report()).text
    assert "[!WARNING]" not in render_comment(samples.passing(), CONTEXT)


def test_slices_come_worst_first_in_the_direction_of_the_metric() -> None:
    tables = page(samples.report()).tables
    assert [row[0] for row in next(t for t in tables if t[0][0] == "Slice")[1:]] == [
        "age_group = <30",
        "age_group = 30-50",
        "age_group = >50",
    ]
    lower = tuple(
        Slice(
            column="c",
            value=str(head),
            rows=1,
            metric=samples.metric("m", 1.0, head, "new", direction="lower"),
        )
        for head in (0.5, 2.0, 1.5)
    )
    tables = page(samples.passing(comparisons=(samples.compared(samples.BETTER, slices=lower),))).tables
    assert [row[0] for row in next(t for t in tables if t[0][0] == "Slice")[1:]] == [
        "c = 2.0",
        "c = 1.5",
        "c = 0.5",
    ]


def test_costs_changes_failures_and_notes_are_there() -> None:
    text = page(samples.report()).text
    for words in (
        "+1.2 s (+100 %)",
        "model.C",
        "scikit-learn",
        "test_monotone_in_age",
        "Trained with Python 3.12",
    ):
        assert words in text


def test_the_only_link_leads_to_the_run() -> None:
    assert page(samples.report()).links == [CONTEXT.run_url]
    assert page(samples.report(), Context("javascript:alert(1)")).links == []
    assert page(samples.report(), Context("https://x.invalid/) [y](https://z.invalid")).links == []


def long_report(text: str, rows: int) -> Report:
    """As long as the schema allows, of nothing but `text`."""
    name = (text * 80)[:80]
    names = [f"{index}{name}"[:80] for index in range(rows)]
    wide = [samples.metric(each, 0.2, 0.123456, "not comparable", why=(text * 500)[:500]) for each in names]
    slices = tuple(Slice(column=each, value=each, rows=5, metric=wide[0]) for each in names)
    long = (text * 200)[:200]
    return samples.report(
        primary=names[0],
        comparisons=tuple(
            samples.compared(*wide, slices=slices, baseline=side) for side in ("merge base", "production")
        ),
        gates=tuple(
            GateResult(subject=long, rule=name, outcome="fail", message=(text * 500)[:500])
            for _ in range(500)
        ),
        suites=tuple(
            Suite(
                name=each,
                passed=1,
                failed=9,
                skipped=0,
                failures=(Failure(name=long, message=(text * 500)[:500]),) * 20,
            )
            for each in names[:20]
        ),
        changes=tuple(
            Change(kind="gate", name=long, before=long, after=long, loosens=True) for _ in range(300)
        ),
        problems=((text * 500)[:500],) * 50,
        notes=((text * 500)[:500],) * 50,
    )


@pytest.mark.parametrize(("text", "rows"), [("|", 5), ("$", 200), ("漢", 200), ("@a ", 200)], ids=ascii)
def test_the_longest_report_fits_into_comment_and_summary(text: str, rows: int) -> None:
    report = long_report(text, rows)
    comment, summary = render_comment(report, CONTEXT), render_summary(report, CONTEXT)
    assert len(comment) <= COMMENT_LIMIT < 60_000
    assert len(comment.encode()) < 4 * 65_536
    assert len(summary.encode()) <= SUMMARY_LIMIT < 1024 * 1024
    assert "Left out because GitHub limits the length: " in comment
    assert read(comment).heading.startswith("❌ Fails")


def test_a_short_report_says_nothing_of_leaving_out() -> None:
    assert "Left out" not in render_comment(samples.report(), CONTEXT)


def test_the_plan_gives_up_more_at_every_step() -> None:
    many = tuple(samples.metric(f"metric_{index}", 0.2, 0.3, "improved", 0.01) for index in range(150))
    report = samples.report(comparisons=(samples.compared(*many),))
    from gitops_ml import markdown

    lengths = [len(markdown._body(report, CONTEXT, detail)) for detail in PLAN]
    assert lengths == sorted(lengths, reverse=True)
    assert len(set(lengths)) == len(PLAN)
    assert len({detail.dropped for detail in PLAN}) == len(PLAN)


def test_charts_are_the_first_thing_dropped() -> None:
    sources = (
        render_comment(samples.report(notes=("x_" * 250,) * count), CONTEXT) for count in range(20, 50)
    )
    first = next(source for source in sources if "Left out" in source)
    assert "```mermaid" not in first
    assert "Left out because GitHub limits the length: the charts. " in first
    assert "<details><summary>Notes</summary>" in first


def test_a_cut_table_says_how_many_rows_are_missing() -> None:
    many = tuple(samples.metric(f"metric {index} {'$' * 60}", 0.2, 0.3, "improved") for index in range(150))
    tables = page(samples.report(comparisons=(samples.compared(*many),))).tables
    assert re.fullmatch(r"… and \d+ more", tables[0][-1][0])


def test_a_run_without_a_report_names_the_jobs_that_failed() -> None:
    shown = read(render_missing("timed_out", [("train", "failure"), ("unit | x", "cancelled")], CONTEXT))
    assert shown.heading == "❌ No report: the model of this commit was not judged"
    assert "The run ended with timed out before a report was made." in shown.text
    assert "train: failure" in shown.text
    assert "succeeded and left no report behind" in read(render_missing("success", [], CONTEXT)).text
    assert "unit | x: cancelled" in shown.text
