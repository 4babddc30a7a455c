"""MLflow: one run per training, in a SQLite file of the checkout unless MLFLOW_TRACKING_URI names a server."""

from __future__ import annotations

import logging
import os
import urllib.error
import urllib.request
import warnings
from typing import Any
from urllib.parse import urlsplit

import pandas as pd

from . import model_file
from .errors import UserError
from .params import Params

DEFAULT_URI = "sqlite:///mlflow.db"
TIMEOUT_SECONDS = 10
# Named here, because MLflow's own search for requirements loads the model in a new process and takes far longer.
REQUIREMENTS = ["scikit-learn", "pandas", "skops"]


def uri() -> str:
    return os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT_URI


def check_reachable() -> None:
    """Ask the server whether it is there, without loading MLflow; a file store always is.

    Raises:
        UserError: nothing answers at MLFLOW_TRACKING_URI.
    """
    if urlsplit(uri()).scheme not in {"http", "https"}:
        return
    try:
        # The address is the user's own setting, and the scheme was just checked.
        with urllib.request.urlopen(uri().rstrip("/") + "/health", timeout=TIMEOUT_SECONDS):  # noqa: S310
            return
    except urllib.error.HTTPError:
        return  # it answered, if only to ask for a password
    except (OSError, ValueError) as error:
        raise UserError(_unreachable(getattr(error, "reason", error))) from None


def log(params: Params, model: Any, metrics: dict[str, float], record: dict[str, Any], example: pd.DataFrame) -> str:
    """Log parameters, metrics, hashes and the model; return the id of the run."""
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import mlflow

        for name in ("mlflow", "alembic"):
            logging.getLogger(name).setLevel(logging.ERROR)
        mlflow.set_tracking_uri(uri())
        try:
            return _log(mlflow, params, model, metrics, record, example)
        except mlflow.exceptions.MlflowException as error:
            raise UserError(_unreachable(str(error).splitlines()[0])) from None


def _log(
    mlflow: Any, params: Params, model: Any, metrics: dict[str, float], record: dict[str, Any], example: pd.DataFrame
) -> str:
    mlflow.set_experiment(params.model.name)
    with mlflow.start_run() as run:
        identity = ("commit", "data_hash", "eval_hash", "model_hash", "params_hash")
        mlflow.set_tags({key: str(record[key]) for key in identity})
        mlflow.log_params({key: str(value)[:500] for key, value in record["params"].items()})
        mlflow.log_metrics(metrics)
        mlflow.sklearn.log_model(
            model,
            name="model",
            serialization_format="skops",
            skops_trusted_types=list(model_file.TRUSTED),
            pip_requirements=REQUIREMENTS,
            signature=mlflow.models.infer_signature(example, model.predict(example)),
            input_example=example,
        )
        return str(run.info.run_id)


def _unreachable(reason: object) -> str:
    return f"MLflow at {uri()} cannot be used ({reason}); start it, or unset MLFLOW_TRACKING_URI to use {DEFAULT_URI}"
