"""`gates.yaml`: what counts as good enough. Reading it, and refusing what cannot be meant."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from gitops_ml.bootstrap import Noise
from gitops_ml.catalogue import look_up
from gitops_ml.reading import read_typed, tupled
from gitops_ml.report import Direction, Name, Number, Strict
from gitops_ml.strict_yaml import Document, Place, load_yaml

Severity = Literal["warn", "fail"]
Tolerance = Annotated[float, Field(ge=0, allow_inf_nan=False)]
DROPS = ("max_drop", "max_drop_rel")
RISES = ("max_rise", "max_rise_rel")
_SHARES = ("accuracy", "balanced_accuracy", "f1", "precision", "recall", "roc_auc", "average_precision")


def _as_date(value: object) -> object:
    try:
        return dt.date.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        return value


def _empty_as_mapping(value: object) -> object:
    return {} if value is None else value


class Limits(Strict):
    """What one metric must keep to; a limit that is None is not set."""

    floor: Number | None = None
    ceiling: Number | None = None
    max_drop: Tolerance | None = None
    max_drop_rel: Tolerance | None = None
    max_rise: Tolerance | None = None
    max_rise_rel: Tolerance | None = None
    severity: Severity = "fail"


class MetricRule(Limits):
    """The limits of one metric, and what is better where its name does not say it."""

    direction: Direction | None = None

    @property
    def is_relative(self) -> bool:
        """Whether any limit needs a baseline."""
        return any(getattr(self, name) is not None for name in (*DROPS, *RISES))


class SliceRule(Limits):
    """The guard of the worst slice: limits of the primary metric on every slice of at least `min_rows` rows."""

    # None, written `all`: every column of the predictions that is not part of the contract.
    columns: Annotated[
        tuple[Name, ...] | None, Field(max_length=20), BeforeValidator(lambda v: _as_columns(v))
    ] = None
    min_rows: Annotated[int, Field(ge=1)] = 30


class NoiseRule(Strict):
    """How noise is measured."""

    resamples: Annotated[int, Field(ge=200, le=20_000)] = 2000
    confidence: Annotated[float, Field(ge=0.5, le=0.999)] = 0.95
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0


class Waiver(Strict):
    """An accepted failure of one metric, up to and including the day `expires`."""

    metric: Name
    reason: Annotated[str, Field(min_length=1, max_length=300)]
    expires: Annotated[dt.date, BeforeValidator(_as_date)]


class Gates(Strict):
    """The content of `gates.yaml`."""

    schema_version: Literal[1] = Field(alias="schema")
    primary: Name
    metrics: Annotated[
        Mapping[Name, Annotated[MetricRule, BeforeValidator(_empty_as_mapping)]], Field(max_length=100)
    ] = Field(default_factory=dict)
    slices: SliceRule | None = None
    noise: NoiseRule = NoiseRule()
    on_missing_baseline: Literal["pass", "warn", "fail"] = "warn"
    waivers: Annotated[tuple[Waiver, ...], Field(max_length=50), tupled] = ()

    def direction(self, metric: str) -> Direction | None:
        """What is better: as stated, as known of the metric's name, or as its limits imply; None if nothing says."""
        rule = self.metrics.get(metric, MetricRule())
        stated = rule.direction or look_up(metric).direction
        if stated is not None:
            return stated
        if any(getattr(rule, name) is not None for name in DROPS):
            return "higher"
        return "lower" if any(getattr(rule, name) is not None for name in RISES) else None

    def measure(self) -> Noise:
        return Noise(self.noise.resamples, self.noise.confidence, self.noise.seed)


def _as_columns(value: object) -> object:
    if value == "all":
        return None
    if not isinstance(value, list) or not value:
        raise ValueError("must be a list of columns, or all")
    return tuple(value)


@dataclass(frozen=True)
class GatesFile:
    """Gates and the document they were read from, for messages with lines."""

    gates: Gates
    document: Document


def load_gates(path: Path) -> GatesFile:
    """Read and check `path`; raises `UserError` that names file, line and key."""
    document = load_yaml(path)
    gates = read_typed(document, Gates)
    for place, problem, fix in _contradictions(gates):
        raise document.error(place, problem, fix)
    return GatesFile(gates, document)


def check_metrics(file: GatesFile, names: Collection[str]) -> None:
    """Raise `UserError` for the first metric of the gates that is none of `names`, the metrics of the report."""
    places: list[tuple[Place, str]] = [(("primary",), file.gates.primary)]
    places += [(("metrics", name), name) for name in file.gates.metrics]
    places += [
        (("waivers", index, "metric"), waiver.metric) for index, waiver in enumerate(file.gates.waivers)
    ]
    for place, name in places:
        if name not in names:
            have = ", ".join(sorted(names)[:20])
            raise file.document.error(place, f"the report has no metric {name[:60]!r}.", f"It has: {have}.")


def _contradictions(gates: Gates) -> list[tuple[Place, str, str]]:
    """What no report could mean or meet, as (place, problem, fix)."""
    found: list[tuple[Place, str, str]] = []
    for name, rule in gates.metrics.items():
        found += _direction_problems(name, rule)
        found += _limit_problems(("metrics", name), rule, name, gates)
    if gates.slices is not None:
        found += _limit_problems(("slices",), gates.slices, gates.primary, gates)
    known = {gates.primary, *gates.metrics}
    for index, waiver in enumerate(gates.waivers):
        if waiver.metric not in known:
            place: Place = ("waivers", index, "metric")
            found.append((place, f"no gate is set for {waiver.metric!r}.", "Waive a metric that is gated."))
    return found


def _direction_problems(metric: str, rule: MetricRule) -> list[tuple[Place, str, str]]:
    known = look_up(metric)
    if rule.direction in (None, known.direction) or known.direction is None or known.kind == "time":
        return []
    place = ("metrics", metric, "direction")
    return [(place, f"of {metric}, {known.direction} is better.", "Take the line out or rename it.")]


def _limit_problems(place: Place, limits: Limits, metric: str, gates: Gates) -> list[tuple[Place, str, str]]:
    """What the `limits` of `metric`, which stand at `place`, can't mean."""
    found: list[tuple[Place, str, str]] = []
    direction = gates.direction(metric)
    for keys, wanted, other in ((DROPS, "higher", RISES), (RISES, "lower", DROPS)):
        for key, instead in zip(keys, other, strict=True):
            if getattr(limits, key) is None or direction == wanted:
                continue
            if direction is None:
                problem = f"whether higher is better is not known of {metric}."
                fix = f"Set metrics.{metric}.direction."
            else:
                problem = f"contradicts the direction: where {direction} is better it never bites."
                fix = f"Use {instead}."
            found.append(((*place, key), problem, fix))
    floor, ceiling = limits.floor, limits.ceiling
    if floor is not None and ceiling is not None and floor > ceiling:
        found.append(((*place, "floor"), f"{floor:g} is above the ceiling {ceiling:g}.", "Swap them."))
    if look_up(metric).kind in _SHARES:
        for key, value in (("floor", floor), ("ceiling", ceiling)):
            if value is not None and not 0 <= value <= 1:
                problem = f"{metric} lies between 0 and 1, not at {value:g}."
                found.append(((*place, key), problem, "Write it as a share."))
    return found


def with_slice_columns(gates: Gates, present: tuple[str, ...]) -> Gates:
    """`gates` with `columns: all` spelled out as the slice columns that are `present`; without any, no slice rule."""
    if gates.slices is None or gates.slices.columns is not None:
        return gates
    rule = gates.slices.model_copy(update={"columns": present}) if present else None
    return gates.model_copy(update={"slices": rule})
