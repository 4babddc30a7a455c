"""`run.json`: what was trained, from what, with what."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import version
from typing import Any

import pandas as pd

from . import hashes
from .contract import Contract
from .params import Params

# The packages that decide the numbers.
DECIDING = ("numpy", "pandas", "pyarrow", "scikit-learn", "scipy", "skops")


def build(params: Params, contract: Contract, predictions: pd.DataFrame, source: dict[str, Any]) -> dict[str, Any]:
    """The record but for `mlflow_run_id` and `duration_s`, which are known last."""
    return {
        "task": params.task,
        "commit": commit(),
        "seed": params.model.seed,
        "params": params.flat(),
        "params_hash": hashes.of_value(params.flat()),
        "data_hash": contract.data_hash,
        "eval_hash": hashes.of_evaluation(predictions["id"], predictions["y_true"]),
        "model_hash": contract.model_hash,
        "files": {source["path"]: {"hash": source["hash"], "rows": source["rows"]}},
        "python": platform.python_version(),
        "packages": {name: version(name) for name in DECIDING},
    }


def commit() -> str | None:
    """The checked-out commit; with `-dirty` when files differ from it, None outside git."""
    found = _git("rev-parse", "--verify", "HEAD")
    # DVC writes dvc.lock while it trains; that is a result, not a change of what was checked out.
    changed = _git("status", "--porcelain", "--untracked-files=no", "--", ":(top)", ":(exclude)dvc.lock")
    return f"{found}-dirty" if found and changed else found


def _git(*words: str) -> str | None:
    """What git prints; None when it prints nothing, or fails."""
    # A git hook's variables would point at another repository.
    environ = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        done = subprocess.run(["git", *words], capture_output=True, text=True, env=environ, check=False)
    except OSError:
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None
