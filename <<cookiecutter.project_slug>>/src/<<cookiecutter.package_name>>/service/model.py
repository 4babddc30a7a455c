"""The model that is served: loaded, verified against its contract, and asked."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.exceptions import InconsistentVersionWarning
from threadpoolctl import threadpool_limits

from .. import contract as contracts
from .. import files, model_file
from ..contract import Contract
from ..errors import UserError
from . import shortcut
from .shortcut import Rows


@dataclass(frozen=True)
class Answer:
    """For n rows: `values` (n,) labels or numbers; `probabilities` (n, classes) in the contract's order.

    A regression has no probabilities.
    """

    values: np.ndarray
    probabilities: np.ndarray | None

    def columns(self, contract: Contract) -> dict[str, np.ndarray]:
        """Named as in `predictions.parquet`: `y_pred`, and `y_score` or `y_score_<class>`."""
        named = {"y_pred": self.values}
        if self.probabilities is None:
            return named
        shares = self.probabilities.T
        return named | {column: shares[contract.classes.index(label)] for column, label in contract.scored.items()}


@dataclass(frozen=True)
class Model:
    contract: Contract
    pipeline: Any
    hash: str
    reference: pd.DataFrame  # typed rows of the training data; may be empty
    encode: Callable[[Rows], np.ndarray] | None  # the pipeline's own encoding without pandas, when it has one

    def answer(self, rows: Rows) -> Answer:
        """Predict for rows whose values fit the contract's types."""
        if self.encode is None:
            return self.answer_frame(self.contract.conform(pd.DataFrame(rows, dtype=object), "the request"))
        return self._answer(self.pipeline[-1], self.encode(rows))

    def answer_frame(self, ready: pd.DataFrame) -> Answer:
        """Predict for rows as `Contract.conform` gives them."""
        return self._answer(self.pipeline, ready)

    def _answer(self, asked: Any, rows: Any) -> Answer:
        if self.contract.task == "regression":
            return Answer(np.asarray(asked.predict(rows), dtype=float), None)
        order = [list(self.pipeline.classes_).index(label) for label in self.contract.classes]
        probabilities = asked.predict_proba(rows)[:, order]
        return Answer(np.asarray(self.contract.classes, dtype=object)[probabilities.argmax(axis=1)], probabilities)


def load(folder: Path) -> Model:
    """Load `model.skops` and `contract.json` and check that they belong together and to this environment.

    Raises:
        UserError: in one line, what does not fit.
    """
    path = folder / model_file.MODEL_FILE
    contract = contracts.load(folder / model_file.CONTRACT_FILE)
    model_file.check(path, folder / model_file.CONTRACT_FILE, contract.model_hash)
    with warnings.catch_warnings():
        warnings.simplefilter("error", InconsistentVersionWarning)
        try:
            pipeline = model_file.load(path)
        except InconsistentVersionWarning as warning:
            raise UserError(
                f"{path} was trained with scikit-learn {warning.original_sklearn_version}, but"
                f" {warning.current_sklearn_version} is installed; install the packages of uv.lock or train again"
            ) from None
    _check_columns(pipeline, contract, path)
    reference = _reference(folder / model_file.REFERENCE_FILE, contract)
    model = Model(contract, pipeline, contract.model_hash, reference, None)
    return _proven(model, path)


def _check_columns(pipeline: Any, contract: Contract, path: Path) -> None:
    names = [feature.name for feature in contract.features]
    known = [str(name) for name in getattr(pipeline, "feature_names_in_", [])]
    if known != names:
        odd = sorted(set(known) ^ set(names)) or ["their order"]
        raise UserError(f"{path} and its contract differ in their columns ({', '.join(odd[:3])}); train again")
    if contract.task == "classification":
        if not hasattr(pipeline, "predict_proba"):
            raise UserError(f"{path} gives no probabilities, but its contract says classification; train again")
        if sorted(map(str, pipeline.classes_)) != sorted(contract.classes):
            raise UserError(f"{path} and its contract differ in their classes; train again")
    elif hasattr(pipeline, "classes_"):
        raise UserError(f"{path} knows classes, but its contract says regression; train again")


def _reference(path: Path, contract: Contract) -> pd.DataFrame:
    if not path.is_file():
        return pd.DataFrame({feature.name: [] for feature in contract.features}, dtype=object)
    return contract.conform(files.read_rows(path), str(path))


def as_rows(frame: pd.DataFrame, contract: Contract) -> Rows:
    """Typed rows, as `Contract.conform` gives them, in the form in which a request brings them."""
    plain = {"boolean": bool, "datetime": lambda moment: moment.isoformat()}
    rows: Rows = {}
    for feature in contract.features:
        values, form = frame[feature.name], plain.get(feature.type, lambda value: value)
        rows[feature.name] = [None if gone else form(value) for value, gone in zip(values, values.isna(), strict=True)]
    return rows


def _proven(model: Model, path: Path) -> Model:
    """Ask for the reference rows once; take the shortcut only when it gives what the pipeline gives."""
    if model.reference.empty:
        return model
    with threadpool_limits(1, user_api="blas"):
        try:
            expected = model.answer_frame(model.reference)
        except (ValueError, TypeError, AttributeError, KeyError) as error:
            raise UserError(
                f"{path} cannot predict the rows of reference.parquet ({str(error).splitlines()[0]}); train again"
            ) from None
        numbers = expected.values if expected.probabilities is None else expected.probabilities
        if not np.isfinite(np.asarray(numbers, dtype=float)).all():
            raise UserError(f"{path} predicts values that are not finite for rows of reference.parquet; train again")
        encode = shortcut.of(model.pipeline, model.contract)
        if encode is None:
            return model
        quick = Model(model.contract, model.pipeline, model.hash, model.reference, encode)
        rows = as_rows(model.reference, model.contract)
        return quick if same(quick.answer(rows), expected) else model


def same(one: Answer, other: Answer, tolerance: float = 1e-12) -> bool:
    """Equal within `tolerance` of the larger of 1 and the value."""
    left = one.values if one.probabilities is None else one.probabilities
    right = other.values if other.probabilities is None else other.probabilities
    return bool(np.allclose(left.astype(float), right.astype(float), rtol=tolerance, atol=tolerance))
