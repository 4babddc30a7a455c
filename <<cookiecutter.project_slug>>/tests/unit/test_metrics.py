"""Metrics against numbers worked out by hand."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from << cookiecutter.package_name >> import metrics
from << cookiecutter.package_name >>.contract import Contract
from << cookiecutter.package_name >>.errors import UserError


def contract(task: str, classes: tuple[str, ...] = (), positive: str | None = None) -> Contract:
    return Contract(
        task=task,
        target="t",
        id_column=None,
        classes=list(classes),
        positive_class=positive,
        slice_columns=["group"],
        model_name="m",
        features=[],
    )


BINARY = pd.DataFrame(
    {
        "y_true": ["b", "b", "a", "a"],
        "y_pred": ["b", "a", "a", "b"],
        "y_score": [0.9, 0.4, 0.2, 0.6],
        "group": ["x", "x", "x", "y"],
    }
)


def test_two_classes() -> None:
    found = metrics.of(BINARY, contract("classification", ("a", "b"), "b"))
    assert found["accuracy"] == found["precision"] == found["recall"] == found["f1"] == 0.5
    assert found["roc_auc"] == 0.75
    assert found["average_precision"] == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)
    assert found["brier"] == pytest.approx((0.01 + 0.36 + 0.04 + 0.36) / 4)
    assert found["log_loss"] == pytest.approx(-(math.log(0.9) + math.log(0.4) + math.log(0.8) + math.log(0.4)) / 4)


def test_the_positive_class_may_be_the_first() -> None:
    turned = BINARY.assign(y_score=1 - BINARY["y_score"])
    one = metrics.of(BINARY, contract("classification", ("a", "b"), "b"))
    two = metrics.of(turned, contract("classification", ("a", "b"), "a"))
    for name in ("roc_auc", "log_loss", "brier", "accuracy"):
        assert one[name] == pytest.approx(two[name])


def test_several_classes_count_alike_and_an_absent_one_does_no_harm() -> None:
    rows = pd.DataFrame(
        {
            "y_true": ["a", "a", "b", "b"],
            "y_pred": ["a", "a", "b", "c"],
            "y_score_a": [0.8, 0.7, 0.1, 0.1],
            "y_score_b": [0.1, 0.2, 0.8, 0.3],
            "y_score_c": [0.1, 0.1, 0.1, 0.6],
        }
    )
    found = metrics.of(rows, contract("classification", ("a", "b", "c")))
    assert found["roc_auc"] == 1.0
    assert found["f1"] == pytest.approx((1 + 2 / 3 + 0) / 3)
    assert found["balanced_accuracy"] == pytest.approx((1 + 0.5) / 2)
    assert found["brier"] == pytest.approx((0.06 + 0.14 + 0.06 + (0.01 + 0.49 + 0.36)) / 4)


def test_regression() -> None:
    rows = pd.DataFrame({"y_true": [1.0, 2.0, 3.0], "y_pred": [1.0, 2.0, 6.0]})
    found = metrics.of(rows, contract("regression"))
    assert found == pytest.approx({"mae": 1.0, "rmse": math.sqrt(3), "r2": 1 - 9 / 2})


def test_a_number_that_is_none_is_refused() -> None:
    rows = pd.DataFrame({"y_true": [1.0], "y_pred": [2.0]})
    with pytest.raises(UserError, match="r2 of 1 evaluation rows is nan"), pytest.warns(UserWarning, match="R"):
        metrics.of(rows, contract("regression"))


def test_a_slice_with_one_class_has_its_accuracy_only() -> None:
    found = metrics.by_slice(BINARY, contract("classification", ("a", "b"), "b"))
    assert [(column, value, rows) for column, value, rows, _ in found] == [("group", "x", 3), ("group", "y", 1)]
    assert found[1][3] == {"accuracy": 0.0}
    assert found[0][3]["roc_auc"] == 1.0
