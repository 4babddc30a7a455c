"""From two files of predictions to two samples of the same rows, or to the reason why there is no such pair."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from gitops_ml.arrays import Floats, Integers, Numbers
from gitops_ml.catalogue import look_up
from gitops_ml.errors import UserError
from gitops_ml.inputs import shown
from gitops_ml.predictions import SCORE, Labels, Predictions, align
from gitops_ml.scores import Sample

Task = Literal["classification", "regression"]
_POSITIVE_WORDS = ("1", "true", "yes", "positive", "pos", "y", "t")
_REGRESSION_KINDS = ("mae", "mse", "rmse", "r2", "pinball", "mape")
MAX_INTEGER_CLASSES = 20


@dataclass(frozen=True)
class Pair:
    """Head's sample; the baseline's sample on the same rows in the same order, or None and `reason`.

    `slices` holds, per slice column, the label of each row of head.
    """

    head: Sample
    base: Sample | None
    reason: str = ""
    classes: tuple[str, ...] = ()
    slices: dict[str, Labels] = field(default_factory=dict)


def find_task(stated: str | None, predictions: Predictions | None, metrics: Iterable[str]) -> Task | None:
    """The task: as stated in `run.json`, else told from the columns and the names of the metrics; None if unknown."""
    if stated in ("classification", "regression"):
        return "classification" if stated == "classification" else "regression"
    kinds = {look_up(name).kind for name in metrics}
    if kinds & set(_REGRESSION_KINDS):
        return "regression"
    if kinds - {"other", "time"}:
        return "classification"
    if predictions is None:
        return None
    if predictions.score_columns or predictions.is_text("y_true"):
        return "classification"
    if predictions.is_float("y_true"):
        return "regression"
    return (
        "classification"
        if len(np.unique(predictions.numbers("y_true"))) <= MAX_INTEGER_CLASSES
        else "regression"
    )


def pair(
    head: Predictions,
    base: Predictions | None,
    task: Task,
    positive_class: str | None = None,
    slice_columns: Iterable[str] = (),
) -> Pair:
    """Join `base` to `head` by id; raises `UserError` for columns that do not fit the task."""
    found = align(head, base) if base is not None else None
    reason = found if isinstance(found, str) else ""
    order = None if isinstance(found, str) else found
    other = None if reason else base
    if task == "regression":
        result = _regression(head, other, order)
    else:
        result = _classification(head, other, order, positive_class)
    slices = {}
    for column in slice_columns:
        if not head.has(column):
            raise UserError(
                f"{head.path}: has no slice column {shown(column)}.", "Add it, or take it out of slices."
            )
        slices[column] = head.labels(column, missing="(missing)")
    return replace(result, reason=reason or result.reason, slices=slices)


def _regression(head: Predictions, base: Predictions | None, order: Integers | None) -> Pair:
    truth = head.numbers("y_true")
    left = Sample("regression", truth, _number_column(head))
    if base is None:
        return Pair(left, None)
    other = _ordered(base.numbers("y_true"), order)
    if reason := _truth_differs(truth, other):
        return Pair(left, None, reason)
    right_pred = _number_column(base)
    return Pair(
        left, Sample("regression", truth, None if right_pred is None else _ordered(right_pred, order))
    )


def _number_column(side: Predictions) -> Floats | None:
    return side.numbers("y_pred") if side.has("y_pred") else None


def _classification(
    head: Predictions, base: Predictions | None, order: Integers | None, positive_class: str | None
) -> Pair:
    sides = [head] if base is None else [head, base]
    columns = [{name: side.labels(name) for name in ("y_true", "y_pred") if side.has(name)} for side in sides]
    found = {value for side in columns for labels in side.values() for value in labels.values}
    found |= {
        name.removeprefix(f"{SCORE}_") for side in sides for name in side.score_columns if name != SCORE
    }
    if positive_class is not None and len(found) < 2:
        found.add(positive_class)
    classes = tuple(sorted(found, key=_class_order))
    positive = _positive(classes, positive_class, head, columns[0])
    truth = _codes(columns[0]["y_true"], classes)
    left = _class_sample(head, truth, columns[0].get("y_pred"), classes, positive)
    if base is None:
        return Pair(left, None, classes=classes)
    if reason := _truth_differs(truth, _ordered(_codes(columns[1]["y_true"], classes), order)):
        return Pair(left, None, reason, classes)
    right = _class_sample(
        base, _codes(columns[1]["y_true"], classes), columns[1].get("y_pred"), classes, positive
    )
    right = right if order is None else right.take(order)
    return Pair(left, replace(right, truth=truth), classes=classes)


def _class_sample(
    side: Predictions,
    truth: np.ndarray,
    answers: Labels | None,
    classes: tuple[str, ...],
    positive: int | None,
) -> Sample:
    score = _score(side, classes, positive)
    pred = None if answers is None else _codes(answers, classes)
    if pred is None and score is not None:
        if score.ndim == 2:
            pred = score.argmax(axis=1).astype(np.int32)
        elif positive is not None:
            pred = np.where(score > 0.5, positive, 1 - positive).astype(np.int32)
    return Sample("classification", truth, pred, score, len(classes), positive)


def _score(side: Predictions, classes: tuple[str, ...], positive: int | None) -> Floats | None:
    names = side.score_columns
    if not names:
        return None
    if SCORE in names:
        if len(classes) > 2:
            fix = f"Write one column '{SCORE}_<class>' per class."
            raise UserError(f"{side.path}, column '{SCORE}': there are {len(classes)} classes.", fix)
        return side.numbers(SCORE) if positive is not None else None
    missing = [name for name in classes if f"{SCORE}_{name}" not in names]
    if len(classes) == 2 and positive is not None and f"{SCORE}_{classes[positive]}" in names:
        return side.numbers(f"{SCORE}_{classes[positive]}")
    if missing:
        raise UserError(
            f"{side.path}: has no column {shown(f'{SCORE}_{missing[0]}')}.", "Write one per class."
        )
    return np.stack([side.numbers(f"{SCORE}_{name}") for name in classes], axis=1)


def _positive(
    classes: tuple[str, ...], stated: str | None, head: Predictions, columns: dict[str, Labels]
) -> int | None:
    """The positive of two classes: as stated, else the one high scores answer with, else by name, else the last."""
    if len(classes) != 2:
        return None
    if stated is not None and stated in classes:
        return classes.index(stated)
    if "y_pred" in columns and SCORE in head.score_columns:
        score, answer = head.numbers(SCORE), _codes(columns["y_pred"], classes)
        if 0 < answer.sum() < len(answer):
            return int(score[answer == 1].mean() > score[answer == 0].mean())
    named = [place for place, name in enumerate(classes) if name.lower() in _POSITIVE_WORDS]
    return named[0] if len(named) == 1 else 1


def _class_order(value: str) -> tuple[int, float, str]:
    try:
        return (0, float(value), value)
    except ValueError:
        return (1, 0.0, value)


def _codes(labels: Labels, classes: tuple[str, ...]) -> Integers:
    place = {name: index for index, name in enumerate(classes)}
    return np.array([place[value] for value in labels.values], dtype=np.int32)[labels.codes]


def _ordered(values: Numbers, order: Integers | None) -> Numbers:
    return values if order is None else values[order]


def _truth_differs(head: Numbers, base: Numbers) -> str:
    rows = int((head != base).sum())
    return (
        f"the truths differ: y_true of {rows:,} of {len(head):,} rows is not the baseline's" if rows else ""
    )
