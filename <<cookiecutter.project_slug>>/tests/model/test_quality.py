"""The model that was trained last is good enough, and the reports say what it does."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from sklearn.dummy import DummyClassifier, DummyRegressor

from << cookiecutter.package_name >> import files, hashes, metrics, predictions
from << cookiecutter.package_name >>.contract import Contract
from << cookiecutter.package_name >>.table import TARGET


def test_the_model_is_the_one_that_the_records_name(signed: Contract, measured: dict[str, float]) -> None:
    record = files.read_json(files.REPORTS / "run.json")
    assert hashes.of_file(Path("model/model.skops")) == signed.model_hash == record["model_hash"]
    assert signed.data_hash == record["data_hash"]
    assert set(measured) > {"fit_seconds"}
    assert all(math.isfinite(value) for value in measured.values())


def test_the_loaded_model_predicts_what_was_reported(model: Any, signed: Contract, test_rows: pd.DataFrame) -> None:
    reported = pd.read_parquet(files.REPORTS / "predictions.parquet")
    again = predictions.evaluate(model, signed, test_rows, "the test rows")
    pd.testing.assert_frame_equal(again, reported, check_dtype=False, rtol=1e-9)


def test_the_metrics_follow_from_the_predictions(signed: Contract, measured: dict[str, float]) -> None:
    reported = pd.read_parquet(files.REPORTS / "predictions.parquet")
    stated = {name: value for name, value in measured.items() if name != "fit_seconds"}
    assert metrics.of(reported, signed) == pytest.approx(stated)


def test_the_model_beats_a_baseline_that_ignores_the_features(
    signed: Contract, train_rows: pd.DataFrame, test_rows: pd.DataFrame, measured: dict[str, float]
) -> None:
    nothing = np.zeros((len(train_rows), 1))
    if signed.task == "regression":
        dummy = DummyRegressor(strategy="median").fit(nothing, train_rows[TARGET])
        error = np.abs(dummy.predict(np.zeros((len(test_rows), 1))) - test_rows[TARGET]).mean()
        assert measured["mae"] < 0.98 * error
    else:
        shares = DummyClassifier(strategy="prior").fit(nothing, train_rows[TARGET])
        of_truth = dict(zip(shares.classes_, shares.class_prior_, strict=True))
        loss = -np.log(test_rows[TARGET].map(of_truth).to_numpy(dtype=float)).mean()
        assert measured["log_loss"] < 0.98 * loss
        assert measured["balanced_accuracy"] > 1 / len(signed.classes)


def limits() -> list[tuple[str, str, float]]:
    gates = yaml.safe_load((Path(__file__).parents[2] / "gates.yaml").read_text(encoding="utf-8"))
    rules = gates.get("metrics", {}).items()
    return [(name, key, rule[key]) for name, rule in rules for key in ("floor", "ceiling") if rule and key in rule]


@pytest.mark.parametrize(("name", "key", "limit"), limits())
def test_the_model_keeps_the_limits_of_gates_yaml(
    name: str, key: str, limit: float, measured: dict[str, float]
) -> None:
    advice = f"gates.yaml: {name} has the {key} {limit}; when the data are new, set what is good enough for them"
    assert name in measured, advice
    assert measured[name] >= limit if key == "floor" else measured[name] <= limit, advice


def test_the_reference_rows_keep_the_contract(signed: Contract) -> None:
    reference = pd.read_parquet("model/reference.parquet")
    assert list(reference.columns) == [feature.name for feature in signed.features]
    for feature in signed.features:
        values = reference[feature.name].dropna()
        if feature.minimum is not None and feature.maximum is not None:
            assert values.between(feature.minimum, feature.maximum).all()
        if feature.categories is not None:
            assert set(values) <= set(feature.categories)
