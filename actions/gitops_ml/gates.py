"""`gates.yaml`: what counts as good enough. Reading it, and refusing what cannot be meant."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from gitops_ml.bootstrap import Noise
from gitops_ml.catalogue import look_up
from gitops_ml.errors import UserError
from gitops_ml.report import Direction, Name, Number
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


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class MetricRule(_Strict):
    """The limits of one metric; a limit that is None is not set."""

    direction: Direction | None = None
    floor: Number | None = None
    ceiling: Number | None = None
    max_drop: Tolerance | None = None
    max_drop_rel: Tolerance | None = None
    max_rise: Tolerance | None = None
    max_rise_rel: Tolerance | None = None
    severity: Severity = "fail"

    @property
    def is_relative(self) -> bool:
        """Whether any limit needs a baseline."""
        return any(getattr(self, name) is not None for name in (*DROPS, *RISES))


class SliceRule(_Strict):
    """The guard of the worst slice: limits of the primary metric on every slice of at least `min_rows` rows."""

    # None, written `all`: every column of the predictions that is not part of the contract.
    columns: Annotated[
        tuple[Name, ...] | None, Field(max_length=20), BeforeValidator(lambda v: _as_columns(v))
    ] = None
    min_rows: Annotated[int, Field(ge=1)] = 30
    floor: Number | None = None
    ceiling: Number | None = None
    max_drop: Tolerance | None = None
    max_drop_rel: Tolerance | None = None
    max_rise: Tolerance | None = None
    max_rise_rel: Tolerance | None = None
    severity: Severity = "fail"


class NoiseRule(_Strict):
    """How noise is measured."""

    resamples: Annotated[int, Field(ge=200, le=20_000)] = 2000
    confidence: Annotated[float, Field(ge=0.5, le=0.999)] = 0.95
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0


class Waiver(_Strict):
    """An accepted failure of one metric, up to and including the day `expires`."""

    metric: Name
    reason: Annotated[str, Field(min_length=1, max_length=300)]
    expires: Annotated[dt.date, BeforeValidator(_as_date)]


class Gates(_Strict):
    """The content of `gates.yaml`."""

    schema_version: Literal[1] = Field(alias="schema")
    primary: Name
    metrics: Annotated[
        Mapping[Name, Annotated[MetricRule, BeforeValidator(_empty_as_mapping)]], Field(max_length=100)
    ] = Field(default_factory=dict)
    slices: SliceRule | None = None
    noise: NoiseRule = NoiseRule()
    on_missing_baseline: Literal["pass", "warn", "fail"] = "warn"
    waivers: Annotated[tuple[Waiver, ...], Field(max_length=50), BeforeValidator(lambda v: _as_tuple(v))] = ()

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


def _as_tuple(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


@dataclass(frozen=True)
class GatesFile:
    """Gates and the document they were read from, for messages with lines."""

    gates: Gates
    document: Document


def load_gates(path: Path) -> GatesFile:
    """Read and check `path`; raises `UserError` that names file, line and key."""
    document = load_yaml(path)
    if not isinstance(document.value, dict):
        raise document.error((), "must be a mapping.", "Start with: schema: 1")
    try:
        gates = Gates.model_validate(document.value)
    except ValidationError as error:
        raise _worded(document, error) from None
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


def _worded(document: Document, error: ValidationError) -> UserError:
    """The first complaint of pydantic, at the line of its key."""
    detail = error.errors()[0]
    place: Place = tuple(part for part in detail["loc"] if part != "[key]")
    problem = {
        "extra_forbidden": "this key is not known.",
        "missing": "this key is missing.",
        "value_error": f"{detail['msg'].removeprefix('Value error, ')}.",
    }.get(detail["type"], f"{detail['msg'][0].lower()}{detail['msg'][1:]}.")
    return document.error(place, problem, _known_keys(place) if detail["type"] == "extra_forbidden" else "")


def _known_keys(place: Place) -> str:
    models: dict[Any, type[BaseModel]] = {
        "metrics": MetricRule,
        "slices": SliceRule,
        "noise": NoiseRule,
        "waivers": Waiver,
    }
    model = models.get(place[0], Gates) if len(place) > 1 else Gates
    return f"Keys here: {', '.join(field.alias or name for name, field in model.model_fields.items())}."


def _contradictions(gates: Gates) -> list[tuple[Place, str, str]]:
    """What no report could mean or meet, as (place, problem, fix)."""
    found: list[tuple[Place, str, str]] = []
    for name, rule in gates.metrics.items():
        found += [
            ((*("metrics", name), *place), problem, fix)
            for place, problem, fix in _rule_problems(name, rule, gates)
        ]
    if gates.slices is not None:
        found += _slice_problems(gates.slices, gates)
    known = {gates.primary, *gates.metrics}
    for index, waiver in enumerate(gates.waivers):
        if waiver.metric not in known:
            place: Place = ("waivers", index, "metric")
            found.append((place, f"no gate is set for {waiver.metric!r}.", "Waive a metric that is gated."))
    return found


def _rule_problems(name: str, rule: MetricRule, gates: Gates) -> list[tuple[Place, str, str]]:
    known = look_up(name)
    found: list[tuple[Place, str, str]] = []
    if rule.direction and known.direction and rule.direction != known.direction and known.kind != "time":
        found.append(
            (("direction",), f"of {name}, {known.direction} is better.", "Take the line out or rename it.")
        )
    direction = gates.direction(name)
    for keys, wanted, other in ((DROPS, "higher", RISES), (RISES, "lower", DROPS)):
        for key, instead in zip(keys, other, strict=True):
            if getattr(rule, key) is not None and direction != wanted:
                better = (
                    f"where {direction} is better it never bites" if direction else "the direction is unclear"
                )
                found.append(((key,), f"contradicts the direction: {better}.", f"Use {instead}."))
    if rule.floor is not None and rule.ceiling is not None and rule.floor > rule.ceiling:
        found.append((("floor",), f"{rule.floor:g} is above the ceiling {rule.ceiling:g}.", "Swap them."))
    if known.kind in _SHARES:
        for key, value in (("floor", rule.floor), ("ceiling", rule.ceiling)):
            if value is not None and not 0 <= value <= 1:
                found.append(
                    ((key,), f"{name} lies between 0 and 1, not at {value:g}.", "Write it as a share.")
                )
    return found


def with_slice_columns(gates: Gates, present: tuple[str, ...]) -> Gates:
    """`gates` with `columns: all` spelled out as the slice columns that are `present`; without any, no slice rule."""
    if gates.slices is None or gates.slices.columns is not None:
        return gates
    rule = gates.slices.model_copy(update={"columns": present}) if present else None
    return gates.model_copy(update={"slices": rule})


def _slice_problems(rule: SliceRule, gates: Gates) -> list[tuple[Place, str, str]]:
    found: list[tuple[Place, str, str]] = []
    direction = gates.direction(gates.primary)
    for keys, wanted, other in ((DROPS, "higher", RISES), (RISES, "lower", DROPS)):
        for key, instead in zip(keys, other, strict=True):
            if getattr(rule, key) is None or direction == wanted:
                continue
            if direction is None:
                problem, fix = (
                    "whether higher is better is not known",
                    f"Set metrics.{gates.primary}.direction",
                )
            else:
                problem, fix = f"of {gates.primary}, {direction} is better", f"Use {instead}"
            found.append((("slices", key), f"{problem}.", f"{fix}."))
    if rule.floor is not None and rule.ceiling is not None and rule.floor > rule.ceiling:
        found.append((("slices", "floor"), "is above the ceiling.", "Swap them."))
    return found
