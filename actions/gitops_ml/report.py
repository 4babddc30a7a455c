"""The report of one pull request: `report.json`, the only thing that crosses from the untrusted to the trusted side.

Every text and list has a cap and every number is finite, because the trusted side reads this file from a run that
a stranger's code may have controlled. Rendering (Markdown, HTML) reads only these types.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Name = Annotated[str, Field(min_length=1, max_length=80)]
Text = Annotated[str, Field(max_length=500)]
Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{6,64}$")]
Number = Annotated[float, Field(allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0, le=10**15)]

Overall = Literal["pass", "warn", "fail"]
Direction = Literal["higher", "lower"]
MetricVerdict = Literal["improved", "regressed", "within noise", "unchanged", "not comparable", "new", "gone"]


class Strict(BaseModel):
    """Frozen, without conversions, and with no key that is not named."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Interval(Strict):
    """A confidence interval of head minus baseline, in the metric's own unit."""

    low: Number
    high: Number


class Metric(Strict):
    """One metric of head and baseline. `delta` is head minus baseline whatever the direction."""

    name: Name
    direction: Direction | None = None
    head: Number | None = None
    base: Number | None = None
    delta: Number | None = None
    interval: Interval | None = None
    verdict: MetricVerdict
    why: Text = ""  # the reason of `not comparable`, or a remark


class Slice(Strict):
    """The primary metric on the rows where `column` equals `value`."""

    column: Name
    value: Annotated[str, Field(max_length=80)]
    rows: Count
    metric: Metric


class Identity(Strict):
    """What one side was made from; every part may be unknown."""

    commit: Hash | None = None
    age_s: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    data_hash: Hash | None = None
    eval_hash: Hash | None = None
    model_hash: Hash | None = None
    seed: int | None = None


class Comparison(Strict):
    """Head against one baseline. Without one, `available` is false and `reason` says why."""

    baseline: Literal["merge base", "production"]
    available: bool
    reason: Text = ""
    identity: Identity = Identity()
    rescored: bool = False  # the baseline's model was scored again on head's evaluation rows
    rows: Count | None = None  # evaluation rows compared
    metrics: Annotated[tuple[Metric, ...], Field(max_length=200)] = ()
    slices: Annotated[tuple[Slice, ...], Field(max_length=200)] = ()


class GateResult(Strict):
    """One rule of `gates.yaml` applied. `outcome` is what counts; `waived` carries its reason in `message`."""

    subject: Annotated[str, Field(min_length=1, max_length=200)]  # a metric, or `metric on column=value`
    rule: Name  # floor, ceiling, max_drop, max_drop_rel, max_rise, max_rise_rel, missing baseline ...
    outcome: Literal["pass", "warn", "fail", "waived"]
    limit: Number | None = None
    actual: Number | None = None
    message: Text


class Failure(Strict):
    name: Annotated[str, Field(max_length=200)]
    message: Text = ""


class TestSuite(Strict):
    """Result of one suite (`data`, `model` ...), read from its JUnit file."""

    name: Name
    passed: Count
    failed: Count
    skipped: Count
    failures: Annotated[tuple[Failure, ...], Field(max_length=20)] = ()


class Cost(Strict):
    """One cost of head and baseline: `training time` (s), `peak memory` (MiB), `model size` (bytes) ..."""

    name: Name
    unit: Literal["s", "MiB", "bytes"]
    head: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    base: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None


class Change(Strict):
    """A parameter, data file, package or gate whose value differs; None is `absent`."""

    kind: Literal["parameter", "data", "package", "gate"]
    name: Annotated[str, Field(min_length=1, max_length=200)]
    before: Annotated[str, Field(max_length=200)] | None = None
    after: Annotated[str, Field(max_length=200)] | None = None
    loosens: bool = False  # only for gates


class Curve(Strict):
    """A small picture in numbers, for charts in the comment: at most 60 points, x ascending."""

    title: Name
    x_label: Name
    y_label: Name
    x: Annotated[tuple[Number, ...], Field(min_length=2, max_length=60)]
    head: Annotated[tuple[Number, ...], Field(min_length=2, max_length=60)]
    base: Annotated[tuple[Number, ...], Field(max_length=60)] = ()


class Report(Strict):
    """Everything the comment, the summary and the HTML report say about one head commit.

    `model` is `trained` (there are numbers), `unchanged` (nothing that goes into the model changed, so nothing was
    trained) or `failed` (no usable numbers; `problems` says why and the verdict is `fail`).
    """

    schema_version: Literal[1] = Field(default=1, alias="schema")
    verdict: Overall
    model: Literal["trained", "unchanged", "failed"]
    task: Literal["classification", "regression", "unknown"] = "unknown"
    head: Identity = Identity()
    primary: Name | None = None
    confidence: Annotated[float, Field(gt=0, lt=1)] = 0.95
    comparisons: Annotated[tuple[Comparison, ...], Field(max_length=2)] = ()
    gates: Annotated[tuple[GateResult, ...], Field(max_length=500)] = ()
    suites: Annotated[tuple[TestSuite, ...], Field(max_length=20)] = ()
    costs: Annotated[tuple[Cost, ...], Field(max_length=20)] = ()
    changes: Annotated[tuple[Change, ...], Field(max_length=300)] = ()
    curves: Annotated[tuple[Curve, ...], Field(max_length=4)] = ()
    problems: Annotated[tuple[Text, ...], Field(max_length=50)] = ()
    notes: Annotated[tuple[Text, ...], Field(max_length=50)] = ()
