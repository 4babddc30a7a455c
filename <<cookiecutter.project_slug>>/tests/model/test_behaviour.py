"""How the model behaves: what must not matter, what must, and what it must survive."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from << cookiecutter.package_name >> import predictions
from << cookiecutter.package_name >>.contract import Contract
from << cookiecutter.package_name >>.params import Params
from << cookiecutter.package_name >>.table import ID

Score = Callable[[pd.DataFrame], np.ndarray]
BEHAVIOUR = Path(__file__).parent / "behaviour.yaml"
EXPECTED: dict[str, Any] = yaml.safe_load(BEHAVIOUR.read_text(encoding="utf-8"))
# One row at a time, on a busy machine. A service is measured where it runs; this finds what is out of all proportion.
SLOWEST_SECONDS = 1.0


@pytest.fixture(scope="module")
def about_these_data(settings: Params) -> None:
    path = settings.data.path.as_posix()
    if EXPECTED["path"] != path:
        pytest.skip(f"tests/model/behaviour.yaml is not about {path}; write down what you expect of your model")


@pytest.mark.parametrize("case", EXPECTED["directions"], ids=lambda case: f"{case['column']} {case['add']:+}")
@pytest.mark.usefixtures("about_these_data")
def test_a_move_of_one_column_moves_the_score(case: dict[str, Any], score: Score, test_rows: pd.DataFrame) -> None:
    moved = test_rows.assign(**{case["column"]: test_rows[case["column"]] + case["add"]})
    change = (score(moved) - score(test_rows)).mean()
    assert change > 0 if case["score"] == "rises" else change < 0


@pytest.mark.parametrize("case", EXPECTED["cases"], ids=lambda case: case["name"])
@pytest.mark.usefixtures("about_these_data")
def test_a_plain_case_is_right(case: dict[str, Any], model: Any, signed: Contract, typical: pd.DataFrame) -> None:
    predicted = predictions.predict(model, signed, typical.assign(**case["values"]))["y_pred"].iloc[0]
    assert set(case) & {"expected", "below", "above"}
    assert predicted == case.get("expected", predicted)
    assert predicted < case["below"] if "below" in case else True
    assert predicted > case["above"] if "above" in case else True


def test_order_ids_and_other_columns_do_not_matter(score: Score, test_rows: pd.DataFrame) -> None:
    usual = score(test_rows)
    backwards = test_rows.iloc[::-1]
    assert np.allclose(score(backwards)[::-1], usual)
    assert np.allclose(score(test_rows[test_rows.columns[::-1]]), usual)
    assert np.allclose(score(test_rows.assign(**{ID: "same", "noise": 1.0})), usual)


def test_a_row_alone_scores_as_it_does_among_others(score: Score, test_rows: pd.DataFrame) -> None:
    assert np.allclose(score(test_rows.head(1)), score(test_rows)[:1])


def test_the_last_digit_does_not_matter(score: Score, signed: Contract, test_rows: pd.DataFrame) -> None:
    numbers = [feature.name for feature in signed.features if feature.type == "number"]
    if not numbers:
        pytest.skip("the data have no column of measured numbers")
    usual = score(test_rows)
    change = np.abs(score(test_rows.assign(**{name: test_rows[name] * (1 + 1e-9) for name in numbers})) - usual)
    # The median, because a tree may have its threshold exactly on a value.
    assert np.median(change) <= 1e-4 * max(float(np.ptp(usual)), 1e-9)


def test_text_as_it_comes_from_outside_scores_alike(score: Score, test_rows: pd.DataFrame, signed: Contract) -> None:
    names = [feature.name for feature in signed.features if feature.type in {"number", "integer", "category"}]
    words = {name: ["" if pd.isna(value) else f" {value} " for value in test_rows[name]] for name in names}
    text = test_rows.assign(**words)
    assert np.allclose(score(text), score(test_rows))


def test_each_column_may_be_missing(score: Score, signed: Contract, test_rows: pd.DataFrame) -> None:
    few = test_rows.head(20)
    for feature in signed.features:
        assert np.isfinite(score(few.assign(**{feature.name: None}))).all(), feature.name


def test_all_columns_may_be_missing_at_once(score: Score, signed: Contract, test_rows: pd.DataFrame) -> None:
    assert np.isfinite(score(test_rows.head(2).assign(**{feature.name: None for feature in signed.features}))).all()


def test_an_unseen_category_is_scored(score: Score, signed: Contract, test_rows: pd.DataFrame) -> None:
    names = [feature.name for feature in signed.features if feature.type == "category"]
    if not names:
        pytest.skip("the data have no column of categories")
    for name in names:
        assert np.isfinite(score(test_rows.head(20).assign(**{name: "never seen before"}))).all(), name


def test_values_far_outside_the_range_are_scored(score: Score, signed: Contract, test_rows: pd.DataFrame) -> None:
    few = test_rows.head(20)
    for feature in signed.features:
        if feature.minimum is not None and feature.maximum is not None:
            far = feature.maximum + 10 * (feature.maximum - feature.minimum + 1)
            assert np.isfinite(score(few.assign(**{feature.name: far}))).all(), feature.name


def test_one_row_is_scored_in_reasonable_time(score: Score, test_rows: pd.DataFrame) -> None:
    one = test_rows.head(1)
    score(one)
    seconds = []
    for _ in range(9):
        started = time.perf_counter()
        score(one)
        seconds.append(time.perf_counter() - started)
    assert np.median(seconds) < SLOWEST_SECONDS, f"median of {len(seconds)} is {np.median(seconds):.3f} s"
