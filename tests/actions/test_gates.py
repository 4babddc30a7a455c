"""gates.yaml: what is refused with its line, what each rule decides, and what counts as loosening."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest
import yaml
from gitops_ml.errors import UserError
from gitops_ml.gates import Gates, check_metrics, load_gates
from gitops_ml.judging import gate_changes, judge
from gitops_ml.report import GateResult, Interval, Metric, Slice

from tests.actions.comparison import GATES

TODAY = dt.date(2026, 5, 1)


def gates_of(text: str, tmp_path: Path) -> Gates:
    path = tmp_path / "gates.yaml"
    path.write_text(text)
    return load_gates(path).gates


def test_the_whole_file_is_read(tmp_path: Path) -> None:
    gates = gates_of(GATES + "", tmp_path)
    assert gates.metrics["roc_auc"].floor == 0.80
    assert gates.slices is not None
    assert gates.slices.columns == ("site",)
    assert gates.measure().resamples == 400


def test_a_metric_may_have_no_limit_and_most_keys_are_optional(tmp_path: Path) -> None:
    gates = gates_of("schema: 1\nprimary: rmse\nmetrics:\n  rmse:\n", tmp_path)
    assert gates.direction("rmse") == "lower"
    assert gates.on_missing_baseline == "warn"
    assert (gates.noise.resamples, gates.noise.confidence, gates.noise.seed) == (2000, 0.95, 0)


HEAD = "schema: 1\nprimary: roc_auc\n"
REFUSED = {
    "an unknown key": (
        HEAD + "metric: {}\n",
        "line 3, key 'metric': this key is not known. Keys here: schema, primary",
    ),
    "an unknown limit": (
        HEAD + "metrics:\n  roc_auc:\n    floor: 0.9\n    max_dorp: 0.1\n",
        "line 6, key 'metrics.roc_auc.max_dorp': this key is not known",
    ),
    "a limit that is a text": (
        HEAD + "metrics: {roc_auc: {floor: high}}\n",
        "line 3, key 'metrics.roc_auc.floor'",
    ),
    "a limit that is true": (HEAD + "metrics: {roc_auc: {floor: true}}\n", "key 'metrics.roc_auc.floor'"),
    "a limit not finite": (HEAD + "metrics: {roc_auc: {floor: .inf}}\n", "line 3: '.inf' is not a finite"),
    "a limit beyond a float": (
        HEAD + "metrics: {roc_auc: {floor: 1e999}}\n",
        "line 3: '1e999' is not a finite",
    ),
    "a tolerance below 0": (
        HEAD + "metrics: {roc_auc: {max_drop: -0.1}}\n",
        "key 'metrics.roc_auc.max_drop'",
    ),
    "a floor above the ceiling": (
        HEAD + "metrics:\n  rmse: {floor: 3, ceiling: 2}\n",
        "line 4, key 'metrics.rmse.floor': 3 is above the ceiling 2",
    ),
    "a floor beyond the metric's range": (
        HEAD + "metrics: {roc_auc: {floor: 95}}\n",
        "between 0 and 1, not at 95",
    ),
    "a slice's floor beyond the metric's range": (
        HEAD + "slices: {columns: [a], floor: 95}\n",
        "key 'slices.floor': roc_auc lies between 0 and 1, not at 95",
    ),
    "a drop where lower is better": (
        HEAD + "metrics:\n  log_loss: {max_drop: 0.1}\n",
        "key 'metrics.log_loss.max_drop': contradicts the direction",
    ),
    "a rise where higher is better": (
        HEAD + "metrics: {roc_auc: {max_rise_rel: 0.1}}\n",
        "contradicts the direction: where higher is better it never bites. Use max_drop_rel.",
    ),
    "a drop and a rise": (
        HEAD + "metrics: {profit: {max_drop: 1, max_rise: 1}}\n",
        "metrics.profit.max_rise",
    ),
    "a known metric turned round": (
        HEAD + "metrics: {rmse: {direction: higher}}\n",
        "of rmse, lower is better",
    ),
    "a severity": (HEAD + "metrics: {roc_auc: {severity: error}}\n", "key 'metrics.roc_auc.severity'"),
    "no schema": ("primary: roc_auc\n", "key 'schema': this key is missing"),
    "another schema": ("schema: 2\nprimary: roc_auc\n", "line 1, key 'schema'"),
    "no primary": ("schema: 1\n", "key 'primary': this key is missing"),
    "a confidence of 95": (HEAD + "noise: {confidence: 95}\n", "key 'noise.confidence'"),
    "ten resamples": (HEAD + "noise: {resamples: 10}\n", "key 'noise.resamples'"),
    "a waiver without a day": (HEAD + "waivers: [{metric: roc_auc, reason: x}]\n", "waivers.0.expires"),
    "a waiver with no such day": (
        HEAD + "waivers:\n  - metric: roc_auc\n    reason: x\n    expires: 2026-02-30\n",
        "line 6, key 'waivers.0.expires'",
    ),
    "a waiver of nothing": (
        HEAD + "waivers: [{metric: auc, reason: x, expires: 2030-01-01}]\n",
        "no gate is set for 'auc'",
    ),
    "slices by a word that is not all": (
        HEAD + "slices: {columns: every, max_drop: 0.1}\n",
        "key 'slices.columns': must be a list of columns, or all",
    ),
    "slices the wrong way": (
        HEAD + "slices: {columns: [a], max_rise: 0.1}\n",
        "line 3, key 'slices.max_rise'",
    ),
    "slices of an unknown direction": (
        "schema: 1\nprimary: profit\nslices: {columns: [a], max_drop: 1}\n",
        "Set metrics.profit.direction",
    ),
    "a list": ("- 1\n", "must be a mapping"),
    "nothing": ("", "must be a mapping"),
}


@pytest.mark.parametrize(("text", "message"), REFUSED.values(), ids=REFUSED)
def test_gates_are_refused_with_line_and_key(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        gates_of(text, tmp_path)
    assert message in f"{caught.value.message} {caught.value.fix}"
    assert str(tmp_path / "gates.yaml") in caught.value.message


def test_a_metric_that_the_report_lacks_is_refused_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "gates.yaml"
    path.write_text(HEAD + "metrics:\n  roc_auc: {floor: 0.5}\n  rock_auc: {floor: 0.5}\n")
    file = load_gates(path)
    check_metrics(file, {"roc_auc", "rock_auc"})
    with pytest.raises(
        UserError, match=r"line 5, key 'metrics.rock_auc': the report has no metric 'rock_auc'"
    ):
        check_metrics(file, {"roc_auc", "log_loss"})
    with pytest.raises(UserError, match="line 2, key 'primary'"):
        check_metrics(file, {"log_loss"})


def compared(name: str, head: float, base: float, verdict: str, direction: str = "higher") -> Metric:
    delta = head - base
    interval = Interval(low=delta - 0.1, high=delta + 0.1)
    return Metric.model_validate(
        {
            "name": name, "direction": direction, "head": head, "base": base, "delta": delta, "interval": interval,
            "verdict": verdict,
        }
    )  # fmt: skip


def decide(rule: dict[str, Any], metric: Metric, **more: Any) -> dict[str, str]:
    """Outcomes by rule for one gated primary metric."""
    content = {"schema": 1, "primary": metric.name, "metrics": {metric.name: rule}, **more}
    results = judge(Gates.model_validate(content), {metric.name: metric}, (), "", TODAY)
    return {result.rule: result.outcome for result in results}


WORSE, BETTER = "regressed", "improved"
DECISIONS = {
    "at the floor": ({"floor": 0.9}, ("auc", 0.9, 0.9, "unchanged"), {"floor": "pass"}),
    "below the floor": ({"floor": 0.9}, ("auc", 0.89, 0.9, "within noise"), {"floor": "fail"}),
    "above the ceiling": ({"ceiling": 0.2}, ("rmse", 0.3, 0.3, "unchanged", "lower"), {"ceiling": "fail"}),
    "a drop that is allowed": ({"max_drop": 0.05}, ("auc", 0.86, 0.9, WORSE), {"max_drop": "pass"}),
    "a drop to the limit": ({"max_drop": 0.1}, ("auc", 0.8, 0.9, WORSE), {"max_drop": "pass"}),
    "a drop too far": ({"max_drop": 0.01}, ("auc", 0.86, 0.9, WORSE), {"max_drop": "fail"}),
    "a drop that noise explains": ({"max_drop": 0.01}, ("auc", 0.86, 0.9, "within noise"), {"max_drop": "warn"}),
    "a drop too far, mildly": ({"max_drop": 0.01, "severity": "warn"}, ("auc", 0.86, 0.9, WORSE), {"max_drop": "warn"}),
    "a relative drop too far": ({"max_drop_rel": 0.01}, ("auc", 0.5, 0.9, WORSE), {"max_drop_rel": "fail"}),
    "a relative drop of a negative": ({"max_drop_rel": 0.5}, ("r2", -1.4, -1.0, WORSE), {"max_drop_rel": "pass"}),
    "any drop from zero": ({"max_drop_rel": 0.5}, ("r2", -0.1, 0.0, WORSE), {"max_drop_rel": "fail"}),
    "a rise too far": ({"max_rise": 0.01}, ("rmse", 3.1, 3.0, WORSE, "lower"), {"max_rise": "fail"}),
    "a relative rise allowed": ({"max_rise_rel": 0.1}, ("rmse", 3.1, 3.0, WORSE, "lower"), {"max_rise_rel": "pass"}),
    "a gain": ({"max_drop": 0.0}, ("auc", 0.95, 0.9, BETTER), {"max_drop": "pass"}),
    "worse without tolerance": ({"floor": 0.5}, ("auc", 0.86, 0.9, WORSE), {"floor": "pass", "regression": "warn"}),
    "a gain without tolerance": ({}, ("auc", 0.95, 0.9, BETTER), {}),
}  # fmt: skip


@pytest.mark.parametrize(("rule", "numbers", "expected"), DECISIONS.values(), ids=DECISIONS)
def test_a_rule_decides(rule: dict[str, Any], numbers: Any, expected: dict[str, str]) -> None:
    assert decide(rule, compared(*numbers)) == expected


@pytest.mark.parametrize("outcome", ["pass", "warn", "fail"])
def test_a_missing_baseline_is_what_the_gates_say_and_floors_still_hold(outcome: str) -> None:
    gates = Gates.model_validate(
        {
            "schema": 1,
            "primary": "auc",
            "metrics": {"auc": {"floor": 0.9, "max_drop": 0.1}},
            "on_missing_baseline": outcome,
        }
    )
    metric = Metric(name="auc", head=0.8, verdict="new")
    results = judge(gates, {"auc": metric}, (), "first pull request", TODAY)
    assert [(result.rule, result.outcome) for result in results] == [
        ("missing baseline", outcome),
        ("floor", "fail"),
    ]
    assert "first pull request" in results[0].message


@pytest.mark.parametrize("verdict", ["not comparable", "new"])
def test_a_metric_that_cannot_be_compared_counts_as_a_missing_baseline(verdict: str) -> None:
    metric = Metric.model_validate({"name": "auc", "head": 0.9, "verdict": verdict, "why": "the rows differ"})
    assert decide({"max_drop": 0.1}, metric) == {"missing baseline": "warn"}
    assert decide({"floor": 0.5}, metric, on_missing_baseline="fail")["missing baseline"] == "fail"


def test_a_gated_metric_that_head_lacks_fails() -> None:
    gone = Metric(name="auc", base=0.9, verdict="gone")
    assert decide({"floor": 0.5}, gone) == {"missing metric": "fail"}


def test_a_primary_metric_that_head_lacks_fails_though_no_limit_is_set_for_it() -> None:
    gates = Gates.model_validate({"schema": 1, "primary": "auc"})
    (only,) = judge(gates, {"auc": Metric(name="auc", base=0.9, verdict="gone")}, (), "", TODAY)
    assert (only.rule, only.outcome) == ("missing metric", "fail")


def test_a_metric_that_neither_side_reports_warns_so_that_the_gates_can_be_mended() -> None:
    gates = Gates.model_validate({"schema": 1, "primary": "auc", "metrics": {"ghost": {"floor": 1}}})
    results = judge(gates, {"auc": compared("auc", 0.9, 0.9, "unchanged")}, (), "", TODAY)
    assert [(result.subject, result.outcome) for result in results] == [("ghost", "warn")]
    alone = judge(gates, {"auc": Metric(name="auc", head=0.9, verdict="new")}, (), "no baseline", TODAY)
    assert ("ghost", "fail") in [(result.subject, result.outcome) for result in alone]


WAIVER = {"metric": "auc", "reason": "known bad batch", "expires": dt.date(2026, 5, 1)}


def test_a_waiver_holds_until_its_day_and_says_why() -> None:
    metric = compared("auc", 0.8, 0.9, WORSE)
    content = {"schema": 1, "primary": "auc", "metrics": {"auc": {"max_drop": 0.01}}, "waivers": [WAIVER]}
    gates = Gates.model_validate(content)
    (on_the_day,) = judge(gates, {"auc": metric}, (), "", TODAY)
    assert on_the_day.outcome == "waived"
    assert "known bad batch" in on_the_day.message
    (day_after,) = judge(gates, {"auc": metric}, (), "", TODAY + dt.timedelta(days=1))
    assert day_after.outcome == "fail"
    assert "expired" in day_after.message


def slices_of(rule: dict[str, Any], *parts: Slice) -> list[GateResult]:
    content = {"schema": 1, "primary": "auc", "slices": {"columns": ["site"], **rule}}
    return judge(
        Gates.model_validate(content), {"auc": compared("auc", 0.9, 0.9, "unchanged")}, parts, "", TODAY
    )


def part(value: str, rows: int, head: float, verdict: str = WORSE) -> Slice:
    return Slice(column="site", value=value, rows=rows, metric=compared("auc", head, 0.9, verdict))


def test_the_worst_slice_fails_though_the_others_are_fine() -> None:
    results = slices_of(
        {"max_drop": 0.05, "min_rows": 30}, part("north", 100, 0.7), part("south", 100, 0.95, BETTER)
    )
    assert [(result.subject, result.outcome) for result in results] == [
        ("auc on site=north", "fail"),
        ("slices", "pass"),
    ]


def test_a_slice_with_too_few_rows_is_counted_but_not_judged() -> None:
    (only,) = slices_of({"max_drop": 0.05, "min_rows": 30}, part("north", 29, 0.1))
    assert only.outcome == "pass"
    assert "1 with fewer than 30 rows not judged" in only.message


def test_a_slice_within_noise_warns_and_a_slice_below_the_floor_fails() -> None:
    assert slices_of({"max_drop": 0.05}, part("north", 50, 0.7, "within noise"))[0].outcome == "warn"
    assert slices_of({"floor": 0.8}, part("north", 50, 0.7, "within noise"))[0].outcome == "fail"


LOOSE = {
    "a lower floor": (
        "roc_auc: {direction: higher, floor: 0.80",
        "roc_auc: {direction: higher, floor: 0.70",
        True,
    ),
    "a higher floor": (
        "roc_auc: {direction: higher, floor: 0.80",
        "roc_auc: {direction: higher, floor: 0.90",
        False,
    ),
    "no floor": ("direction: higher, floor: 0.80, ", "direction: higher, ", True),
    "a wider drop": ("max_drop: 0.01", "max_drop: 0.02", True),
    "a narrower drop": ("max_drop: 0.01", "max_drop: 0.005", False),
    "a lower ceiling": ("ceiling: 0.90", "ceiling: 0.80", False),
    "a milder severity": ("max_drop: 0.01}", "max_drop: 0.01, severity: warn}", True),
    "a metric less": ("  log_loss: {direction: lower, ceiling: 0.90, max_rise_rel: 0.10}\n", "", True),
    "a metric more": ("slices:", "  accuracy: {floor: 0.5}\nslices:", False),
    "another primary": ("primary: roc_auc", "primary: log_loss", True),
    "more rows per slice": ("min_rows: 30", "min_rows: 300", True),
    "fewer rows per slice": ("min_rows: 30", "min_rows: 20", False),
    "no slices": ("slices: {columns: [site], min_rows: 30, max_drop: 0.10}\n", "", True),
    "a wider interval": ("confidence: 0.95", "confidence: 0.99", True),
    "another seed": ("seed: 0", "seed: 1", True),
    "no baseline is fine": ("on_missing_baseline: warn", "on_missing_baseline: pass", True),
    "no baseline fails": ("on_missing_baseline: warn", "on_missing_baseline: fail", False),
    "a waiver": ("waivers: []", "waivers: [{metric: roc_auc, reason: x, expires: 2030-01-01}]", True),
}


@pytest.mark.parametrize(("old", "new", "loosens"), LOOSE.values(), ids=LOOSE)
def test_what_loosens_is_marked(tmp_path: Path, old: str, new: str, loosens: bool) -> None:
    changed = GATES.replace(old, new)
    if "primary: log_loss" in changed:
        changed = changed.replace("max_drop: 0.10}", "max_rise: 0.10}")
    changes = gate_changes(gates_of(GATES, tmp_path), gates_of(changed, tmp_path))
    assert changes
    assert any(change.loosens for change in changes) is loosens


def test_equal_gates_in_another_order_differ_in_nothing(tmp_path: Path) -> None:
    reordered = yaml.safe_dump(yaml.safe_load(GATES), sort_keys=True)
    assert gate_changes(gates_of(GATES, tmp_path), gates_of(reordered, tmp_path)) == []


def fenced(text: str, language: str) -> list[str]:
    return [block.split("```")[0] for block in text.split(f"```{language}\n")[1:]]


def test_every_example_of_the_documentation_is_read(tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "docs" / "gates.md").read_text()
    whole = [block for block in fenced(text, "yaml") if "schema:" in block]
    parts = [block for block in fenced(text, "yaml") if "schema:" not in block]
    assert len(whole) >= 2
    assert len(parts) >= 4
    for block in whole:
        gates_of(block, tmp_path)
    for block in parts:
        added = yaml.safe_load(block)
        content = {"schema": 1, "primary": "roc_auc", "metrics": {"roc_auc": {"floor": 0.5}}} | added
        gates_of(yaml.safe_dump(content), tmp_path)


def test_the_documentation_names_every_key(tmp_path: Path) -> None:
    from gitops_ml.gates import MetricRule, NoiseRule, SliceRule, Waiver

    text = (Path(__file__).parents[2] / "docs" / "gates.md").read_text()
    for model in (Gates, MetricRule, SliceRule, NoiseRule, Waiver):
        for name, field in model.model_fields.items():
            assert f"`{field.alias or name}`" in text, f"{model.__name__}.{name}"


def test_the_documentations_refusals_are_what_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = (Path(__file__).parents[2] / "docs" / "gates.md").read_text()
    blocks = fenced(text, "text")
    wrong = fenced(text, "yml")
    assert len(blocks) == len(wrong) >= 2
    for content, message in zip(wrong, blocks, strict=True):
        Path("gates.yaml").write_text(content)
        with pytest.raises(UserError) as caught:
            load_gates(Path("gates.yaml"))
        assert f"{caught.value.message} {caught.value.fix}".strip() == message.strip()
