"""The metrics this package knows: their names in use, what is better, and what they are computed from."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from gitops_ml.report import Direction

Kind = Literal[
    "accuracy", "balanced_accuracy", "f1", "precision", "recall", "roc_auc", "average_precision", "log_loss",
    "brier", "mae", "mse", "rmse", "r2", "pinball", "mape", "time", "other",
]  # fmt: skip

_KINDS: dict[str, Kind] = {
    "accuracy": "accuracy",
    "acc": "accuracy",
    "balanced_accuracy": "balanced_accuracy",
    "f1": "f1",
    "f1_score": "f1",
    "precision": "precision",
    "recall": "recall",
    "sensitivity": "recall",
    "roc_auc": "roc_auc",
    "auc": "roc_auc",
    "auroc": "roc_auc",
    "average_precision": "average_precision",
    "ap": "average_precision",
    "log_loss": "log_loss",
    "logloss": "log_loss",
    "brier": "brier",
    "brier_score": "brier",
    "mae": "mae",
    "mean_absolute_error": "mae",
    "mse": "mse",
    "mean_squared_error": "mse",
    "rmse": "rmse",
    "root_mean_squared_error": "rmse",
    "r2": "r2",
    "r2_score": "r2",
    "pinball": "pinball",
    "pinball_loss": "pinball",
    "mape": "mape",
}
_DIRECTIONS: dict[Kind, Direction] = {
    **dict.fromkeys(("accuracy", "balanced_accuracy", "f1", "precision", "recall"), "higher"),
    **dict.fromkeys(("roc_auc", "average_precision", "r2"), "higher"),
    **dict.fromkeys(("log_loss", "brier", "mae", "mse", "rmse", "pinball", "mape", "time"), "lower"),
}
_AVERAGES = ("macro", "weighted", "micro")
_AVERAGED = ("f1", "precision", "recall", "roc_auc")
_TIME = re.compile(r"(^|[_.])(seconds|secs|duration|latency|time)([_.]|$)|_(s|ms)$")
_PINBALL = re.compile(r"(pinball(?:_loss)?)_(0?\.[0-9]{1,4}|[0-9]{1,2})")


@dataclass(frozen=True)
class Known:
    """What a metric's name tells: `average` for several classes ("" is unsaid), `quantile` for pinball loss."""

    kind: Kind
    direction: Direction | None
    average: str = ""
    quantile: float = 0.5


def look_up(name: str) -> Known:
    """What is known of the metric `name`; the last dotted part decides (`test.roc_auc` is a `roc_auc`)."""
    word = name.lower().rsplit(".", 1)[-1] if not _PINBALL.search(name.lower()) else name.lower()
    if found := _PINBALL.search(word):
        level = float(found[2])
        level = level / 100 if level >= 1 else level
        if 0 < level < 1:
            return Known("pinball", "lower", quantile=level)
    stem, _, average = word.rpartition("_")
    if average in _AVERAGES and stem in _KINDS and _KINDS[stem] in _AVERAGED:
        return Known(_KINDS[stem], _DIRECTIONS[_KINDS[stem]], average)
    if word in _KINDS:
        return Known(_KINDS[word], _DIRECTIONS[_KINDS[word]])
    if _TIME.search(word):
        return Known("time", "lower")
    return Known("other", None)
