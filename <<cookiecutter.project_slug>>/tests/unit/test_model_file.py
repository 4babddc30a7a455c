"""The model file: equal models are equal bytes, and nothing runs when it is loaded."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skops.io
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import FunctionTransformer

from << cookiecutter.package_name >> import model_file
from << cookiecutter.package_name >>.errors import UserError

X = np.random.default_rng(0).normal(size=(80, 3))
Y = np.where(X[:, 0] > 0, "yes", "no")


@pytest.mark.parametrize(
    "estimator",
    [
        LogisticRegression(),
        HistGradientBoostingClassifier(max_iter=5, random_state=0),
        RandomForestClassifier(n_estimators=3, random_state=0),
        KNeighborsClassifier(),
        MLPClassifier(max_iter=5, random_state=0),
    ],
    ids=lambda estimator: type(estimator).__name__,
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_two_trainings_give_equal_bytes_and_predictions(estimator: Any, tmp_path: Path) -> None:
    models = [clone(estimator).fit(X, Y) for _ in range(2)]
    hashes = [model_file.save(model, tmp_path / f"{number}.skops") for number, model in enumerate(models)]
    assert hashes[0] == hashes[1]
    assert (tmp_path / "0.skops").read_bytes() == (tmp_path / "1.skops").read_bytes()
    again = model_file.load(tmp_path / "0.skops")
    assert np.array_equal(again.predict_proba(X), models[0].predict_proba(X))


def test_another_model_gives_another_hash(tmp_path: Path) -> None:
    one = model_file.save(LogisticRegression(C=1.0).fit(X, Y), tmp_path / "one.skops")
    two = model_file.save(LogisticRegression(C=0.1).fit(X, Y), tmp_path / "two.skops")
    assert one != two


def test_a_model_that_loading_would_refuse_is_not_saved(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not trust"):
        model_file.save(FunctionTransformer(zipfile.ZipFile), tmp_path / "model.skops")
    assert not (tmp_path / "model.skops").exists()


def test_a_file_with_a_foreign_type_is_not_loaded(tmp_path: Path) -> None:
    skops.io.dump(FunctionTransformer(zipfile.ZipFile), tmp_path / "model.skops")
    with pytest.raises(UserError, match="not trusted"):
        model_file.load(tmp_path / "model.skops")


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x05\x06" + bytes(18)], ids=["empty", "text", "empty zip"])
def test_a_damaged_file_is_said(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model.skops"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"model\.skops"):
        model_file.load(path)
