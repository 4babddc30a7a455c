"""The data file: read as it is, then checked and typed, so that later stages meet no surprise."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from . import columns
from .columns import Column
from .errors import UserError, warn
from .params import Params

ID = "__id__"
TARGET = "__target__"


@dataclass(frozen=True)
class Table:
    """Typed rows. `rows` has every column of the file plus the id (text) and the target (text or float)."""

    rows: pd.DataFrame
    columns: list[Column]


def load(params: Params) -> Table:
    """Read, check and type the data file that `params` names.

    Raises:
        UserError: whatever cannot work, naming file, column and row count.
    """
    data, source = params.data, str(params.data.path)
    raw = read(data.path, data.encoding, data.separator)
    roles = {"data.target": [data.target], "data.drop": data.drop, "data.slices": data.slices}
    roles |= {"data.id_column": [data.id_column] if data.id_column else []}
    roles |= {"data.time_column": [data.time_column] if data.time_column else []}
    for key, names in roles.items():
        for name in names:
            if name not in raw.columns:
                known = ", ".join(map(str, raw.columns[:12])) + (", ..." if len(raw.columns) > 12 else "")
                raise UserError(
                    f"{source}: there is no column {name!r}, which params.yaml names as {key};"
                    f" its {len(raw)} rows have the columns {known}"
                )
    raw = _without_missing_targets(raw, data.target, source)
    identities = _ids(raw, data.id_column, source)
    kept = [name for name in raw.columns if name not in {data.target, data.id_column}]
    found, typed = [], {}
    for name in kept:
        column, typed[name] = columns.infer(name, raw[name], source)
        found.append(column)
    rows = pd.DataFrame(typed, index=raw.index)
    rows.insert(0, ID, identities)
    rows.insert(1, TARGET, _target(raw[data.target], params, source))
    return Table(rows.reset_index(drop=True), found)


def read(path: Path, encoding: str = "utf-8", separator: str = ",") -> pd.DataFrame:
    """Read CSV as text, or Parquet as it is typed; column names are text and unique."""
    if not path.is_file():
        raise UserError(f"{path} does not exist; params.yaml names it as data.path")
    if path.suffix.lower() in {".parquet", ".pq"}:
        try:
            rows = pd.read_parquet(path)
        except (OSError, ValueError) as error:
            raise UserError(f"{path} is not a Parquet file ({error})") from None
        rows.columns = [str(name) for name in rows.columns]
    elif path.suffix.lower() in {".csv", ".tsv", ".txt"}:
        rows = _read_csv(path, encoding, separator)
    else:
        raise UserError(f"{path} ends in {path.suffix or 'nothing'}; data.path must be a .csv or a .parquet file")
    if not len(rows):
        raise UserError(f"{path} has no rows")
    twice = rows.columns[rows.columns.duplicated()]
    if len(twice):
        raise UserError(f"{path}: {len(rows)} rows with two columns named {twice[0]!r}; rename one")
    return rows


def _read_csv(path: Path, encoding: str, separator: str) -> pd.DataFrame:
    if encoding.lower().replace("_", "-") in {"utf-8", "utf8"}:
        encoding = "utf-8-sig"  # the same, and a byte-order mark in front does no harm
    try:
        text = path.read_bytes().decode(encoding)
    except LookupError:
        raise UserError(f"params.yaml: data.encoding: Python knows no encoding {encoding!r}") from None
    except UnicodeDecodeError as error:
        place = error.object[: error.start].count(b"\n") + 1
        raise UserError(
            f"{path}: line {place} is not {encoding.removesuffix('-sig')} text;"
            " save the file as UTF-8 or set data.encoding in params.yaml"
        ) from None
    if "\0" in text:
        encoding = encoding.removesuffix("-sig")
        raise UserError(f"{path} is not {encoding} text: it holds zero bytes; set data.encoding in params.yaml")
    lines = [line for line in csv.reader(text.splitlines(keepends=True), delimiter=separator) if line]
    if not lines:
        raise UserError(f"{path} is empty")
    header = [name.strip() for name in lines[0]]
    for number, line in enumerate(lines[1:], start=1):
        if len(line) != len(header):
            raise UserError(f"{path}: row {number} has {len(line)} values, but the header names {len(header)} columns")
    if len(header) == 1 and any(other in header[0] for other in ";\t|,"):
        raise UserError(f"{path}: one column named {header[0][:60]!r}; set data.separator in params.yaml")
    rows = pd.DataFrame(lines[1:], columns=header, dtype=object)
    if "" in rows.columns:
        warn(f"{path}: a column without a name was dropped")
        rows = rows.loc[:, rows.columns != ""]
    return rows


def _without_missing_targets(raw: pd.DataFrame, target: str, source: str) -> pd.DataFrame:
    missing = columns.as_text(raw[target]).isna()
    if missing.all():
        raise UserError(f"{source}: column {target!r}, the target, is empty in all {len(raw)} rows")
    if missing.any():
        warn(f"{source}: column {target!r}: {int(missing.sum())} of {len(raw)} rows have no target; left out")
    return raw[~missing]


def _ids(raw: pd.DataFrame, id_column: str | None, source: str) -> pd.Series:
    if id_column is None:
        return pd.Series([f"row-{number}" for number in raw.index], index=raw.index, dtype=object)
    ids = columns.as_text(raw[id_column])
    if ids.isna().any():
        raise UserError(f"{source}: column {id_column!r}: {int(ids.isna().sum())} of {len(raw)} rows have no id")
    again = ids[ids.duplicated()]
    if len(again):
        raise UserError(
            f"{source}: column {id_column!r}: {len(again)} of {len(raw)} rows repeat an id, the first is"
            f" {again.iloc[0]!r}; remove the repeated rows, or set data.id_column to null"
        )
    return ids


def _target(values: pd.Series, params: Params, source: str) -> pd.Series:
    name, count = params.data.target, len(values)
    if params.task == "regression":
        numbers = columns.to_type(values, "number")
        bad = values[numbers.isna() | ~numbers.abs().lt(float("inf"))]
        if len(bad):
            raise UserError(
                f"{source}: column {name!r}, the target, is not a number in {len(bad)} of {count} rows, such as"
                f" {str(bad.iloc[0])!r}; mend them, or set task to classification"
            )
        if numbers.nunique() == 1:
            raise UserError(f"{source}: column {name!r}, the target, is {numbers.iloc[0]:g} in all {count} rows")
        return numbers
    labels = columns.as_text(values)
    found = labels.nunique()
    if found == 1:
        raise UserError(
            f"{source}: column {name!r}, the target, is {labels.iloc[0]!r} in all {count} rows; two classes are needed"
        )
    if found > 100:
        raise UserError(
            f"{source}: column {name!r}, the target, has {found} different values in {count} rows;"
            " set task to regression, or choose another target"
        )
    return labels
