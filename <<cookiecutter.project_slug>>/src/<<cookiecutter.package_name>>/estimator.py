"""The estimator that `params.yaml` names by import path."""

from __future__ import annotations

import importlib
import inspect
from typing import Any

from sklearn.base import BaseEstimator, is_classifier, is_regressor

from .errors import UserError
from .params import Params

# Importing runs code, so only these packages may be named. Another package (xgboost, lightgbm) is added here, to
# pyproject.toml, and with its types to model_file.TRUSTED.
ALLOWED_PACKAGES = frozenset({"sklearn"})


def build(params: Params) -> Any:
    """Make the unfitted estimator, with `model.seed` as its `random_state` where it takes one.

    Raises:
        UserError: the import path is not allowed or does not exist, does not fit the task, or refuses its parameters.
    """
    path, task = params.model.estimator, params.task
    kind = _kind(path)
    options = dict(params.model.params)
    known = inspect.signature(kind).parameters
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise UserError(f"params.yaml: model.params: {path} has no parameter {unknown[0]!r}; it has {', '.join(known)}")
    if "random_state" in known:
        options.setdefault("random_state", params.model.seed)
    estimator = kind(**options)
    right = is_classifier(estimator) if task == "classification" else is_regressor(estimator)
    if not right:
        raise UserError(f"params.yaml: model.estimator: {path} is not for {task}")
    if task == "classification" and not hasattr(estimator, "predict_proba"):
        raise UserError(
            f"params.yaml: model.estimator: {path} gives no probabilities with these parameters;"
            " choose one with predict_proba"
        )
    return estimator


def _kind(path: str) -> type[BaseEstimator]:
    module, _, name = path.rpartition(".")
    if module.partition(".")[0] not in ALLOWED_PACKAGES:
        raise UserError(
            f"params.yaml: model.estimator: {path!r} is not in {', '.join(sorted(ALLOWED_PACKAGES))};"
            " name a class such as sklearn.ensemble.HistGradientBoostingClassifier"
        )
    try:
        kind = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError):
        raise UserError(
            f"params.yaml: model.estimator: {path!r} does not exist in the installed scikit-learn"
        ) from None
    if not (inspect.isclass(kind) and issubclass(kind, BaseEstimator)):
        raise UserError(f"params.yaml: model.estimator: {path!r} is not an estimator class")
    return kind
