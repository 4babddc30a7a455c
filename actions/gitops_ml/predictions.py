"""Predictions, row by row: reading `predictions.parquet` or `.csv` within caps, and joining two sides by id."""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from gitops_ml.arrays import Floats, Integers
from gitops_ml.errors import UserError
from gitops_ml.inputs import check_name, check_regular, read_bytes, shown
from gitops_ml.reports import label_text

FILE_LIMIT_BYTES = 1024**3
CSV_LIMIT_BYTES = 256 * 1024**2
DECODED_LIMIT_BYTES = 3 * 1024**3
MAX_ROWS = 20_000_000
MAX_COLUMNS = 1000
MAX_LABELS = 1000
MAX_TEXT = 200
_BATCH_ROWS = 65_536
SCORE = "y_score"


@dataclass(frozen=True)
class Labels:
    """A column of labels: `codes` (int32, one per row) into `values`, texts in no particular order."""

    codes: Integers
    values: tuple[str, ...]


@dataclass(frozen=True)
class Predictions:
    """One side's rows, in the order of its file.

    `table` has the columns `id`, `y_true`, `y_pred`/`y_score`/`y_score_<class>` as far as the file has them, and the
    slice columns that were asked for.
    """

    path: Path
    table: Any  # pyarrow.Table

    @property
    def rows(self) -> int:
        return int(self.table.num_rows)

    @property
    def score_columns(self) -> tuple[str, ...]:
        return tuple(
            name for name in self.table.column_names if name == SCORE or name.startswith(f"{SCORE}_")
        )

    @property
    def slice_names(self) -> tuple[str, ...]:
        return tuple(name for name in self.table.column_names if not _in_contract(name))

    def has(self, column: str) -> bool:
        return column in self.table.column_names

    def is_text(self, column: str) -> bool:
        kind = self.table.schema.field(column).type
        return _is_text(kind) or pa.types.is_boolean(kind)

    def is_float(self, column: str) -> bool:
        return bool(pa.types.is_floating(self.table.schema.field(column).type))

    def numbers(self, column: str) -> Floats:
        """The column as float64, all finite; raises `UserError` with the first row that is not."""
        if self.is_text(column):
            raise UserError(f"{self.path}, column {shown(column)}: must hold numbers.")
        values: Floats = self.table.column(column).to_numpy().astype(np.float64, copy=False)
        bad = ~np.isfinite(values)
        if bad.any():
            row = int(np.flatnonzero(bad)[0]) + 1
            raise UserError(
                f"{self.path}, column {shown(column)}, row {row}: missing or not a finite number."
            )
        return values

    def labels(self, column: str, missing: str | None = None) -> Labels:
        """The column as labels; equal numbers and texts (`1`, `1.0`, `"1"`) are one label.

        A missing value is the label `missing`, or an error when that is None.
        """
        chunked = self.table.column(column)
        if chunked.null_count and missing is not None:
            chunked = chunked.cast(pa.string()).fill_null(missing)
        elif chunked.null_count:
            row = int(np.flatnonzero(pc.is_null(chunked).to_numpy())[0]) + 1
            raise UserError(f"{self.path}, column {shown(column)}, row {row}: missing.")
        array = chunked.combine_chunks()
        array = array if pa.types.is_dictionary(array.type) else array.dictionary_encode()
        if isinstance(array, pa.ChunkedArray):
            array = array.unify_dictionaries().combine_chunks()
        raw = [label_text(value) for value in array.dictionary.to_pylist()]
        if len(raw) > MAX_LABELS:
            raise UserError(f"{self.path}, column {shown(column)}: more than {MAX_LABELS} different values.")
        values = tuple(dict.fromkeys(raw))
        place = {value: index for index, value in enumerate(values)}
        codes = np.array([place[value] for value in raw], dtype=np.int32)
        return Labels(codes[array.indices.to_numpy(zero_copy_only=False)], values)


def read_predictions(path: Path, slice_columns: Iterable[str] | None = ()) -> Predictions:
    """Read the file within the caps of this module; raises `UserError` with file, column and row.

    Of the columns that are not part of the contract only `slice_columns` are kept; None keeps all of them.
    """
    wanted = None if slice_columns is None else tuple(dict.fromkeys(slice_columns))
    table = _read_csv(path) if path.suffix == ".csv" else _read_parquet(path, wanted)
    for name in ("id", "y_true"):
        if name not in table.column_names:
            raise UserError(
                f"{path}: has no column '{name}'.", "Columns: id, y_true, y_pred and/or y_score, slices."
            )
    if len(set(table.column_names)) != len(table.column_names):
        raise UserError(f"{path}: two columns have one name.")
    keep = [name for name in table.column_names if _wanted(name, wanted)]
    _check_schema(path, keep, [table.schema.field(name).type for name in keep])
    table = table.select(keep)
    if table.num_rows == 0:
        raise UserError(f"{path}: has no rows.")
    if not any(name == "y_pred" or name.startswith(SCORE) for name in keep):
        raise UserError(f"{path}: has neither 'y_pred' nor 'y_score'.")
    _check_ids(path, table.column("id"))
    return Predictions(path, table)


def _wanted(name: str, slices: tuple[str, ...] | None) -> bool:
    return slices is None or name in slices or _in_contract(name)


def _in_contract(name: str) -> bool:
    return name in ("id", "y_true", "y_pred", SCORE) or name.startswith(f"{SCORE}_")


def _check_ids(path: Path, ids: Any) -> None:
    if ids.null_count:
        row = int(np.flatnonzero(pc.is_null(ids).to_numpy())[0]) + 1
        raise UserError(f"{path}, column 'id', row {row}: missing.")
    if pc.count_distinct(ids).as_py() != len(ids):
        counts = pc.value_counts(ids)
        many = counts.filter(pc.greater(counts.field("counts"), 1))
        raise UserError(
            f"{path}, column 'id': {shown(str(many[0]['values'].as_py()))} stands more than once."
        )


def _is_text(kind: Any) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _check_schema(path: Path, names: list[str], kinds: list[Any]) -> None:
    if len(set(names)) != len(names):
        raise UserError(f"{path}: two columns have one name.")
    if len(names) > MAX_COLUMNS:
        raise UserError(f"{path}: more than {MAX_COLUMNS} columns.")
    for name, kind in zip(names, kinds, strict=True):
        check_name(name, str(path))
        plain = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)
        if not (plain or _is_text(kind) or pa.types.is_null(kind)):
            raise UserError(f"{path}, column {shown(name)}: the type {shown(str(kind))} is not read.")


def _read_parquet(path: Path, slices: tuple[str, ...] | None) -> Any:
    import pyarrow.parquet as pq

    check_regular(path, FILE_LIMIT_BYTES)
    try:
        # The handle, not the path: pyarrow would take a folder of that name for a data set.
        with path.open("rb") as handle:
            probe = pq.ParquetFile(handle, thrift_string_size_limit=10**7, thrift_container_size_limit=10**6)
            schema = probe.schema_arrow
            names = [name for name in schema.names if _wanted(name, slices)]
            _check_schema(path, names, [schema.field(name).type for name in names])
            rows = probe.metadata.num_rows
            if rows > MAX_ROWS:
                raise UserError(f"{path}: {rows:,} rows; at most {MAX_ROWS:,} are read.")
            # Kept as dictionaries, one long text repeated a million times stays one text.
            texts = [name for name in names if _is_text(schema.field(name).type)]
            file = pq.ParquetFile(handle, read_dictionary=texts)
            batches = []
            decoded = counted = 0
            for batch in file.iter_batches(batch_size=_BATCH_ROWS, columns=names, use_threads=False):
                batch.validate(full=True)  # pyarrow trusts the file to hold UTF-8
                batch = _capped_batch(path, batch)
                decoded += batch.nbytes
                counted += batch.num_rows
                if decoded > DECODED_LIMIT_BYTES or counted > MAX_ROWS:
                    raise UserError(f"{path}: unpacks to more than {DECODED_LIMIT_BYTES:,} bytes.")
                batches.append(batch)
    except (pa.ArrowException, OSError, ValueError, OverflowError, MemoryError) as error:
        raise UserError(f"{path}: not a readable parquet file ({shown(str(error), 120)}).") from None
    if not batches:
        raise UserError(f"{path}: has no rows.")
    return pa.Table.from_batches(batches)


def _capped_batch(path: Path, batch: Any) -> Any:
    """Long texts refused; ids as plain texts, since a dictionary in which every value is new saves nothing."""
    columns = []
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        if pa.types.is_dictionary(column.type) and _is_text(column.type):
            longest = pc.max(pc.binary_length(column.dictionary)).as_py() or 0
            if longest > MAX_TEXT * 4:
                raise UserError(
                    f"{path}, column {shown(name)}: holds a text of more than {MAX_TEXT} characters."
                )
            if name == "id":
                column = column.cast(pa.string())
        columns.append(column)
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)


def _read_csv(path: Path) -> Any:
    import pyarrow.csv

    content = read_bytes(path, CSV_LIMIT_BYTES)
    # Only an empty cell is missing: a class may well be called "null" or "NA".
    convert = pyarrow.csv.ConvertOptions(null_values=[""], strings_can_be_null=True)
    try:
        table = pyarrow.csv.read_csv(io.BytesIO(content), convert_options=convert)
    except (pa.ArrowException, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not a readable CSV file ({shown(str(error), 120)}).") from None
    if table.num_rows > MAX_ROWS:
        raise UserError(f"{path}: {table.num_rows:,} rows; at most {MAX_ROWS:,} are read.")
    return table


def align(head: Predictions, base: Predictions) -> Integers | str | None:
    """How the rows of `base` lie under those of `head`, joined by id exactly.

    Returns None when both have the same ids in the same order, an index array (int64) into base for each row of head,
    or, when the ids are not the same set, a sentence that says so.
    """
    left, right = head.table.column("id"), base.table.column("id")
    if left.type != right.type:
        left, right = (column.cast(pa.string()) for column in (left, right))
    if left.equals(right):
        return None
    if len(left) != len(right):
        return f"the evaluation sets differ: {len(left):,} rows here, {len(right):,} in the baseline"
    found = pc.index_in(left, value_set=right.combine_chunks())
    if found.null_count:
        return (
            f"the evaluation sets differ: {found.null_count:,} of {len(left):,} rows are not in the baseline"
        )
    order: Integers = found.to_numpy().astype(np.int64, copy=False)
    return order
