"""Contributions add up, are exact where they say so, and come only when asked for."""

from __future__ import annotations

import math
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import serving
from serving import Served

from << cookiecutter.package_name >>.service import explain
from << cookiecutter.package_name >>.service.model import Model


@pytest.fixture(autouse=True)
def small_background(monkeypatch: pytest.MonkeyPatch) -> None:
    """The definition asks for 2^n times as many predictions."""
    monkeypatch.setattr(explain, "BACKGROUND_ROWS", 25)


def shapley(model: Model, place: int) -> dict[str, float]:
    """Shapley values by their definition, over all 2^n sets of columns; row `place`, background of the explanation."""
    row = model.reference.iloc[[place]]
    background = model.reference.head(explain.BACKGROUND_ROWS).reset_index(drop=True)
    of, _, _ = explain._output(model, row)
    names = list(row.columns)
    worth = {}
    for size in range(len(names) + 1):
        for chosen in combinations(range(len(names)), size):
            taken = np.zeros((len(background), len(names)), dtype=bool)
            taken[:, list(chosen)] = True
            worth[chosen] = float(of(explain._mixed(row, background, taken, names)).mean())
    count = len(names)
    values = {}
    for one, name in enumerate(names):
        others = [other for other in range(count) if other != one]
        values[name] = sum(
            math.factorial(size)
            * math.factorial(count - size - 1)
            / math.factorial(count)
            * (worth[tuple(sorted((*chosen, one)))] - worth[chosen])
            for size in range(count)
            for chosen in combinations(others, size)
        )
    return values


@pytest.mark.parametrize("which", ["two_classes", "numbers"])
def test_a_linear_model_is_explained_exactly(which: str, request: pytest.FixtureRequest) -> None:
    model = serving.serve(request.getfixturevalue(which)).service.model
    found = explain.explain(model, model.reference.iloc[[3]])
    assert found.method == "exact"
    assert found.contributions == pytest.approx(shapley(model, 3), abs=1e-9)
    assert found.baseline + sum(found.contributions.values()) == pytest.approx(found.value, abs=1e-9)


def test_other_models_are_sampled_with_their_error(three_classes: Path) -> None:
    model = serving.serve(three_classes).service.model
    found = explain.explain(model, model.reference.iloc[[3]])
    assert found.method == "sampled"
    assert found.baseline + sum(found.contributions.values()) == pytest.approx(found.value, abs=1e-9)
    errors, truth = found.standard_errors, shapley(model, 3)
    assert errors is not None
    for name, value in truth.items():
        assert abs(found.contributions[name] - value) <= 5 * errors[name] + 1e-9


def test_explanations_come_with_the_answer_when_asked_for(any_served: Served) -> None:
    (record,) = any_served.records(1)
    found = any_served.predict(record, explain="true").json()["predictions"][0]["explanation"]
    assert found["baseline"] + sum(found["contributions"].values()) == pytest.approx(found["value"])
    assert "explanation" not in any_served.predict(record).json()["predictions"][0]


def test_only_one_record_is_explained(served: Served) -> None:
    answered = served.predict(*served.records(2), explain="true")
    assert (answered.status_code, answered.json()["error"]) == (422, "explain=true is for one record, not 2")
    assert served.predict(*served.records(1), explain="perhaps").status_code == 422
