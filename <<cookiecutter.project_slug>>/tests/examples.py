"""Small made-up tables, and parameters that fit them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from << cookiecutter.package_name >>.params import Params

NUMBER = "sklearn.linear_model.Ridge"
CLASS = "sklearn.linear_model.LogisticRegression"


def mixed(rows: int = 120, classes: tuple[str, ...] = ("No", "Yes"), seed: int = 0) -> pd.DataFrame:
    """Numbers, an integer, a flag, a category and a date, with gaps; `answer` is a class and `amount` a number."""
    generator = np.random.default_rng(seed)
    size = generator.normal(50, 10, rows)
    city = generator.choice(["Aachen", "Bonn", "Celle"], rows)
    frame = pd.DataFrame(
        {
            "key": [f"k{number:04d}" for number in range(rows)],
            "size": size.round(3),
            "visits": generator.integers(0, 9, rows),
            "member": generator.choice(["true", "false"], rows),
            "city": city,
            "since": pd.date_range("2021-01-01", periods=rows, freq="D").strftime("%Y-%m-%d"),
            "amount": (size * 3 + (city == "Bonn") * 20 + generator.normal(0, 4, rows)).round(2),
        }
    )
    cuts = np.quantile(size, np.linspace(0, 1, len(classes) + 1)[1:-1])
    frame["answer"] = np.asarray(classes, dtype=object)[np.searchsorted(cuts, size + generator.normal(0, 3, rows))]
    frame["size"] = frame["size"].astype(object)
    frame.loc[frame.index[::17], "size"] = " "
    frame.loc[frame.index[5::23], "city"] = ""
    return frame


def settings(path: Path, task: str = "classification", **changes: Any) -> Params:
    """Parameters for `mixed`; a change is named by its dotted key with two underscores for the dot."""
    yes = task == "classification"
    tree: dict[str, Any] = {
        "task": task,
        "data": {"path": str(path), "target": "answer" if yes else "amount", "id_column": "key", "drop": []},
        "split": {"test_size": 0.25, "seed": 1},
        "model": {"name": "example", "estimator": CLASS if yes else NUMBER, "seed": 0},
    }
    tree["data"]["drop"] = ["amount" if yes else "answer"]
    if yes:
        tree["data"]["positive_class"] = "Yes"
    for key, value in changes.items():
        section, _, name = key.partition("__")
        tree[section][name] = value
    return Params.model_validate(tree)


def written(frame: pd.DataFrame, path: Path) -> Path:
    frame.to_csv(path, index=False)
    return path
