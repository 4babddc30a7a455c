"""The model that was trained last, and the rows that it was trained and tested on."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from << cookiecutter.package_name >> import contract, files, model_file, predictions
from << cookiecutter.package_name >>.contract import Contract

Score = Callable[[pd.DataFrame], np.ndarray]


@pytest.fixture(scope="session")
def signed() -> Contract:
    path = Path("model", model_file.CONTRACT_FILE)
    if not path.is_file():
        pytest.fail("there is no model; run make train first", pytrace=False)
    return contract.load(path)


@pytest.fixture(scope="session")
def model(signed: Contract) -> Any:
    return model_file.load(Path("model", model_file.MODEL_FILE))


@pytest.fixture(scope="session")
def measured() -> dict[str, float]:
    return dict(files.read_json(files.REPORTS / "metrics.json"))


@pytest.fixture(scope="session")
def train_rows() -> pd.DataFrame:
    return files.read_rows(files.TRAIN_ROWS)


@pytest.fixture(scope="session")
def test_rows() -> pd.DataFrame:
    return files.read_rows(files.TEST_ROWS)


@pytest.fixture(scope="session")
def typical(train_rows: pd.DataFrame, signed: Contract) -> pd.DataFrame:
    """One row: the median of each number, the most frequent of each other value."""
    ready = signed.conform(train_rows)
    numbers = {"number", "integer"}
    row = {
        feature.name: ready[feature.name].median() if feature.type in numbers else ready[feature.name].mode().iloc[0]
        for feature in signed.features
    }
    return pd.DataFrame([row])


@pytest.fixture(scope="session")
def score(model: Any, signed: Contract) -> Score:
    """From rows to numbers: predictions, or probabilities of the positive class, or of all classes, shape (rows, n)."""

    def of(rows: pd.DataFrame) -> np.ndarray:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made = predictions.predict(model, signed, rows)
        named = [name for name in made.columns if name.startswith("y_score")] or ["y_pred"]
        return made[named].to_numpy(dtype=float)

    return of
