"""Write down what the data look like now, as the expectations that `make test-data` holds later data to.

Read the file before you commit it: it is right only as far as the data are right today.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import yaml

from .. import contract, errors, files, params, table
from ..table import TARGET

EXPECTATIONS = Path("tests/data/expectations.yaml")
HEAD = "# What the rows of the data file must be like. Written by `make describe`, then read and mended by a person.\n"
MARGIN = 0.25  # of the range seen today, which numbers may leave it by


def describe() -> dict[str, Any]:
    """Rows, classes and columns of the data file, with room for rows to come."""
    settings = params.load()
    loaded = table.load(settings)
    found: dict[str, Any] = {
        "path": settings.data.path.as_posix(),
        "least_rows": math.floor(len(loaded.rows) * 0.8),
        "most_duplicate_rows": 0.01,
        "columns": {},
    }
    if settings.task == "classification":
        shares = loaded.rows[TARGET].value_counts(normalize=True)
        found["least_class_shares"] = {str(label): round(share / 2, 4) for label, share in sorted(shares.items())}
    for feature in contract.describe(loaded.rows, loaded.columns, settings):
        about: dict[str, Any] = {"type": feature.type}
        if feature.nullable:
            about["most_missing"] = round(min(1.0, float(loaded.rows[feature.name].isna().mean()) * 2), 4)
        if feature.minimum is not None and feature.maximum is not None:
            room = (feature.maximum - feature.minimum) * MARGIN
            low = feature.minimum - room
            about["minimum"] = float(f"{0.0 if low < 0 <= feature.minimum else low:.4g}")
            about["maximum"] = float(f"{feature.maximum + room:.4g}")
        if feature.categories is not None:
            about["categories"] = feature.categories
        found["columns"][feature.name] = about
    return found


def main() -> None:
    text = yaml.safe_dump(describe(), sort_keys=False, default_flow_style=None, allow_unicode=True, width=110)
    files.write_text(EXPECTATIONS, HEAD + text)
    print(f"{EXPECTATIONS} written; read it before you commit it")


if __name__ == "__main__":
    errors.run(main)
