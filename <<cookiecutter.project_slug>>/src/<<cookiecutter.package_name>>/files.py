"""Where the stages keep their files, and how they write them: whole or not at all."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

from .errors import UserError

PARAMS = Path("params.yaml")
BUILD = Path("build")  # what stages hand to each other
TABLE = BUILD / "table.parquet"
COLUMNS = BUILD / "columns.json"
TRAIN_ROWS = BUILD / "train.parquet"
TEST_ROWS = BUILD / "test.parquet"
SCHEMA = BUILD / "schema.json"
FIT = BUILD / "fit.json"
MODEL = Path("model")
REPORTS = Path("reports")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`, and put it in its place only when the block succeeds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    room = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
    try:
        yield room / path.name
        if path.is_dir():
            shutil.rmtree(path)
        (room / path.name).replace(path)
    finally:
        shutil.rmtree(room, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: Path, value: Any) -> None:
    """Write JSON in one form only, so that equal values are equal bytes; NaN and infinity are refused."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; run `make train` first") from None
    except ValueError as error:
        raise UserError(f"{path} is not JSON ({error}); run `make train` to write it anew") from None


def write_rows(path: Path, rows: pd.DataFrame) -> None:
    with replacing(path) as temporary:
        rows.to_parquet(temporary, index=False)


def read_rows(path: Path) -> pd.DataFrame:
    try:
        return pd.read_parquet(path)
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; run `make train` first") from None
    except (OSError, ValueError) as error:
        raise UserError(f"{path} is not a Parquet file ({error})") from None
