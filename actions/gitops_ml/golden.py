"""Golden requests: rows of the evaluation as a client would send them, and what the evaluation said about each."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from gitops_ml.errors import UserError
from gitops_ml.inputs import check_regular, load_json, shown

TOLERANCE = 1e-9
FILE_LIMIT_BYTES = 1024**3
# Under this name the generated project keeps a row's id, whatever the data call it.
ROW_ID = "__id__"


@dataclass(frozen=True)
class Contract:
    """What this module needs of `model/contract.json`."""

    task: str
    model_hash: str
    data_hash: str
    classes: tuple[str, ...]
    positive_class: str | None
    features: Mapping[str, bool]  # name to whether it may be missing


@dataclass(frozen=True)
class Golden:
    """One row: the record to send, and the expected answer. `scores` are probabilities by class."""

    id: str
    record: Mapping[str, Any]
    predicted: str | float
    scores: Mapping[str, float]


@dataclass(frozen=True)
class GoldenSet:
    """`left_out` rows miss a value that the contract demands; the service refuses them by its contract."""

    rows: tuple[Golden, ...]
    left_out: int


@dataclass(frozen=True)
class Difference:
    """How an answer differs: `text` says where it does, `size` is the largest difference of a number."""

    size: float
    text: str = ""


def read_contract(path: Path) -> Contract:
    found = load_json(path)
    try:
        features = {str(one["name"]): bool(one["nullable"]) for one in found["features"]}
        return Contract(
            task=str(found["task"]),
            model_hash=str(found["model_hash"]),
            data_hash=str(found["data_hash"]),
            classes=tuple(map(str, found["classes"])),
            positive_class=found["positive_class"],
            features=features,
        )
    except (KeyError, TypeError) as error:
        raise UserError(
            f"{path} is not a contract: {error} is missing or odd.", "Train the model again."
        ) from None


def read_golden(rows: Path, predictions: Path, contract: Contract, most: int) -> GoldenSet:
    """At most `most` rows, spread evenly over the predictions, in their order.

    Raises `UserError` when the two files do not belong together or no row can be sent.
    """
    features = _read(rows, [ROW_ID, *contract.features])
    said = _read(predictions, None)
    if "id" not in said.column_names or "y_pred" not in said.column_names:
        raise UserError(f"{predictions}: needs the columns 'id' and 'y_pred'.", "Train the model again.")
    place = {str(identity): index for index, identity in enumerate(features.column(ROW_ID).to_pylist())}
    usable, left_out = [], 0
    for number, identity in enumerate(map(str, said.column("id").to_pylist())):
        if identity not in place:
            raise UserError(
                f"{predictions}: the row {shown(identity)} is not in {rows}.",
                "Both must come from one training: train again.",
            )
        usable.append((number, place[identity]))
    chosen = [
        usable[index * len(usable) // min(most, len(usable))] for index in range(min(most, len(usable)))
    ]
    answers = said.take([number for number, _ in chosen]).to_pylist()
    records = features.take([index for _, index in chosen]).to_pylist()
    golden = []
    for answer, row in zip(answers, records, strict=True):
        record = {name: plain(row[name]) for name in contract.features}
        if any(record[name] is None and not nullable for name, nullable in contract.features.items()):
            left_out += 1
            continue
        golden.append(_golden(answer, record, contract, predictions))
    if not golden:
        raise UserError(f"{predictions}: no row of it can be sent to the service.")
    return GoldenSet(tuple(golden), left_out)


def _golden(answer: Mapping[str, Any], record: Mapping[str, Any], contract: Contract, path: Path) -> Golden:
    identity = str(answer["id"])
    if contract.task == "regression":
        return Golden(identity, record, float(answer["y_pred"]), {})
    if contract.positive_class is not None and "y_score" in answer:
        scores = {contract.positive_class: float(answer["y_score"])}
    else:
        scores = {
            label: float(answer[f"y_score_{label}"])
            for label in contract.classes
            if f"y_score_{label}" in answer
        }
    if not scores:
        raise UserError(f"{path}: has no scores to compare with.", "Let the evaluation write y_score.")
    return Golden(identity, record, str(answer["y_pred"]), scores)


def _read(path: Path, names: list[str] | None) -> Any:
    check_regular(path, FILE_LIMIT_BYTES)
    try:
        with path.open("rb") as handle:
            file = pq.ParquetFile(handle)
            known = file.schema_arrow.names
            missing = [name for name in names or [] if name not in known]
            if missing:
                raise UserError(f"{path}: has no column {shown(missing[0])}.", "Train the model again.")
            table = file.read(columns=names)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise UserError(f"{path}: not a readable parquet file ({shown(str(error), 120)}).") from None
    if table.num_rows == 0:
        raise UserError(f"{path}: has no rows.")
    return table


def plain(value: Any) -> Any:
    """A value as JSON has it: a missing number is null, a moment is its ISO text."""
    if isinstance(value, float) and math.isnan(value):
        return None
    if isinstance(value, dt.date | dt.datetime):
        return value.isoformat()
    return value


def differ(golden: Golden, answer: Mapping[str, Any]) -> Difference:
    """Compare one answer of `/predict` with the evaluation; the text is empty within `TOLERANCE`."""
    predicted = answer.get("prediction")
    if isinstance(golden.predicted, float):
        pairs: Sequence[tuple[str, float, Any]] = [("prediction", golden.predicted, predicted)]
    else:
        if str(predicted) != golden.predicted:
            said = f"predicts {shown(str(predicted))}, the evaluation {shown(golden.predicted)}"
            return Difference(math.inf, f"row {shown(golden.id)}: {said}")
        given = answer.get("probabilities")
        given = given if isinstance(given, Mapping) else {}
        pairs = [
            (f"probability of {shown(label)}", score, given.get(label))
            for label, score in golden.scores.items()
        ]
    largest = 0.0
    for what, expected, found in pairs:
        if isinstance(found, bool) or not isinstance(found, int | float):
            return Difference(math.inf, f"row {shown(golden.id)}: the answer has no {what}")
        try:
            size = abs(float(found) - expected)
        except OverflowError:
            size = math.inf
        if not size <= TOLERANCE * max(1.0, abs(expected)):
            return Difference(
                size,
                f"row {shown(golden.id)}: {what} is {shown(repr(found))}, the evaluation said {expected!r}",
            )
        largest = max(largest, size)
    return Difference(largest)
