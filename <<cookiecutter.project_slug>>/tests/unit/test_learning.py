"""Contract, features, estimator and predictions on made-up tables: what is learnt, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import examples
from << cookiecutter.package_name >> import (
    contract,
    estimator,
    features,
    importance,
    predictions,
    split,
    table,
)
from << cookiecutter.package_name >>.contract import Contract
from << cookiecutter.package_name >>.errors import DataWarning, UserError
from << cookiecutter.package_name >>.table import TARGET


def learn(
    frame: pd.DataFrame, folder: Path, task: str = "classification", **changes: Any
) -> tuple[Any, Contract, pd.DataFrame]:
    """A fitted pipeline, its contract and the test rows."""
    chosen = examples.settings(examples.written(frame, folder / "rows.csv"), task, **changes)
    loaded = table.load(chosen)
    train, test = split.split(loaded.rows, chosen)
    signed = contract.draft(train, loaded.columns, chosen, "")
    model = features.pipeline(signed.features, estimator.build(chosen))
    return model.fit(signed.conform(train), train[TARGET]), signed, test


def test_the_contract_says_what_goes_in_and_comes_out(tmp_path: Path) -> None:
    _, signed, _ = learn(examples.mixed(), tmp_path)
    types = {feature.name: feature.type for feature in signed.features}
    typed = {"size": "number", "visits": "integer", "member": "boolean", "city": "category", "since": "datetime"}
    assert types == typed
    by_name = {feature.name: feature for feature in signed.features}
    assert by_name["city"].categories == ["Aachen", "Bonn", "Celle"]
    assert by_name["size"].nullable
    assert not by_name["visits"].nullable
    assert (by_name["visits"].minimum, by_name["visits"].maximum) == (0, 8)
    assert (signed.classes, signed.positive_class) == (["No", "Yes"], "Yes")


def test_the_contract_survives_its_file(tmp_path: Path) -> None:
    _, signed, _ = learn(examples.mixed(), tmp_path)
    contract.save(tmp_path / "contract.json", signed)
    assert contract.load(tmp_path / "contract.json") == signed


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_missing_and_unseen_values_get_a_prediction(task: str, tmp_path: Path) -> None:
    model, signed, test = learn(examples.mixed(), tmp_path, task)
    strange = test.head(3).assign(city=["Dresden", None, ""], size=[None, "7.5", " "], since=[None, "2031-01-01", ""])
    made = predictions.predict(model, signed, strange)
    assert len(made) == 3
    numbers = made["y_score" if task == "classification" else "y_pred"]
    assert np.isfinite(numbers.to_numpy(dtype=float)).all()


@pytest.mark.parametrize(
    ("values", "said"),
    [("same", "is 'same' in all"), ("", "is empty in all"), (None, "looks like free text or an identifier")],
    ids=["constant", "empty", "free text"],
)
def test_a_column_without_use_is_dropped_with_a_warning(values: str | None, said: str, tmp_path: Path) -> None:
    frame = examples.mixed(400)
    frame["extra"] = values if values is not None else [f"text {number}" for number in range(len(frame))]
    with pytest.warns(DataWarning, match=f"rows.csv: column 'extra' {said}"):
        _, signed, _ = learn(frame, tmp_path)
    assert "extra" not in {feature.name for feature in signed.features}


def test_nothing_to_learn_from_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no column is left"):
        learn(examples.mixed()[["key", "answer", "amount"]], tmp_path)


def test_a_rare_class_and_many_classes_work(tmp_path: Path) -> None:
    frame = examples.mixed(200, classes=("low", "middle", "high"))
    frame.loc[[3, 77], "answer"] = "rare"
    model, signed, test = learn(frame, tmp_path, data__positive_class=None)
    made = predictions.evaluate(model, signed, test, "rows.csv")
    assert signed.classes == ["high", "low", "middle", "rare"]
    assert np.allclose(predictions.scores(made, signed).sum(axis=1), 1)
    assert set(made["y_pred"]) <= set(signed.classes)


@pytest.mark.parametrize(
    ("classes", "asked", "said"),
    [(("No", "Yes"), "Maybe", "is 'Maybe'"), (("a", "b", "c"), "a", "has 3 classes")],
    ids=["unknown", "more than two"],
)
def test_a_positive_class_that_does_not_fit_is_refused(
    classes: tuple[str, ...], asked: str, said: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=said):
        learn(examples.mixed(classes=classes), tmp_path, data__positive_class=asked)


def test_rows_that_do_not_meet_the_contract_are_refused(tmp_path: Path) -> None:
    model, signed, test = learn(examples.mixed(), tmp_path)
    with pytest.raises(UserError, match="without the column 'visits'"):
        predictions.predict(model, signed, test.drop(columns="visits"))
    with pytest.raises(UserError, match="'visits': 30 of 30 values are not of type integer, such as 'many'"):
        predictions.predict(model, signed, test.assign(visits="many"))
    with pytest.raises(UserError, match="class 'Perhaps' is not known"):
        predictions.evaluate(model, signed, test.assign(**{TARGET: "Perhaps"}), "rows.csv")


def test_scores_are_those_of_the_positive_class(tmp_path: Path) -> None:
    for positive in ("No", "Yes"):
        model, signed, test = learn(examples.mixed(), tmp_path, data__positive_class=positive)
        made = predictions.evaluate(model, signed, test, "rows.csv")
        assert ((made["y_score"] > 0.5) == (made["y_pred"] == positive)).all()


def test_predictions_carry_slices_as_text(tmp_path: Path) -> None:
    model, signed, test = learn(examples.mixed(), tmp_path, data__slices=["city", "size"])
    made = predictions.evaluate(model, signed, test, "rows.csv")
    assert list(made.columns) == ["id", "y_true", "y_pred", "y_score", "city", "size"]
    assert made["id"].is_monotonic_increasing
    assert set(made["city"]) <= {"Aachen", "Bonn", "Celle", "(missing)"}
    assert made["size"].nunique() == 5  # quarters, and rows without a size


def test_the_columns_that_decide_come_first(tmp_path: Path) -> None:
    model, signed, test = learn(examples.mixed(400), tmp_path, "regression")
    ranked = importance.permutation(model, signed, test, seed=0)
    assert ranked[0][0] == "size"
    assert ranked[0][1] > 10 * abs({name: rise for name, rise, _ in ranked}["visits"])


def test_date_parts_are_days_month_weekday_and_hour() -> None:
    rows = pd.DataFrame({"when": pd.to_datetime(["2000-01-02T12:00", None])})
    parts = features.DateParts().fit(rows).transform(rows)
    assert parts[0].tolist() == [1.5, 1, 6, 12]
    assert np.isnan(parts[1]).all()


@pytest.mark.parametrize(
    ("path", "options", "said"),
    [
        ("os.system", {}, "not in sklearn"),
        ("sklearn_evil.Model", {}, "not in sklearn"),
        ("sklearn.linear_model.Missing", {}, "does not exist"),
        ("sklearn.base.clone", {}, "not an estimator class"),
        ("sklearn.linear_model.Ridge", {}, "not for classification"),
        ("sklearn.svm.LinearSVC", {}, "gives no probabilities"),
        (examples.CLASS, {"c": 1}, "has no parameter 'c'"),
    ],
)
def test_an_estimator_that_does_not_fit_is_refused(path: str, options: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=r"params\.yaml: model\.") as caught:
        estimator.build(examples.settings(Path("rows.csv"), model__estimator=path, model__params=options))
    assert said in str(caught.value)


def test_the_seed_reaches_the_estimator() -> None:
    kind = "sklearn.ensemble.RandomForestClassifier"
    assert estimator.build(examples.settings(Path("rows.csv"), model__estimator=kind, model__seed=7)).random_state == 7
