"""Predictions for a file of any length: chunk by chunk, in bounded memory, resumable, and whole or not at all.

Each chunk becomes a part file beside the output. A run that was interrupted finds the parts of the same input, model
and options, and goes on after the last one. In the end the parts become the output, which appears in one step.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.fs
import pyarrow.parquet as pq
from threadpoolctl import threadpool_limits

from .. import hashes
from ..contract import Contract
from ..errors import UserError
from . import model as models
from .model import Model

CSV_BYTES_PER_ROW = 200  # only decides how many rows of a CSV file are read at a time


@dataclass(frozen=True)
class Options:
    rows: int = 50_000  # in memory at a time
    keep: list[str] = field(default_factory=list)  # columns copied to the output beside the id column
    fresh: bool = False


@dataclass(frozen=True)
class Place:
    """A path in a file system; a URI names one that pyarrow knows, such as s3://, gs:// or file://."""

    name: str
    system: pyarrow.fs.FileSystem
    path: str

    @property
    def local(self) -> bool:
        return isinstance(self.system, pyarrow.fs.LocalFileSystem)


def run(model_dir: Path, source: str, target: str, options: Options) -> None:
    """Predict for every row of `source` and write `target`.

    Raises:
        UserError: input, output or model cannot be used; what was done so far is kept for the next run.
    """
    if options.rows < 1:
        raise UserError(f"--rows {options.rows} is not a number of rows")
    model = models.load(model_dir)
    given, wanted = _place(source, "--input"), _place(target, "--output")
    if not wanted.path.endswith(".parquet"):
        raise UserError(f"--output {target} must end in .parquet")
    if given.path == wanted.path and given.local and wanted.local:
        raise UserError(f"--output {target} is the input")
    started = time.monotonic()
    try:
        with threadpool_limits(1, user_api="blas"):
            rows = _work(model, given, wanted, options)
    except OSError as error:
        raise UserError(
            f"{target} was not written ({error}); what was done is kept, run the same command again"
        ) from None
    seconds = time.monotonic() - started
    print(f"{target}: {rows} rows in {seconds:.1f} s")


def _place(name: str, option: str) -> Place:
    try:
        uri = name if "://" in name else Path(name).resolve().as_uri()
        system, path = pyarrow.fs.FileSystem.from_uri(uri)
    except (pa.ArrowException, ValueError, OSError) as error:
        raise UserError(f"{option} {name} cannot be used ({str(error).splitlines()[0]})") from None
    return Place(name, system, path)


def _work(model: Model, given: Place, wanted: Place, options: Options) -> int:
    reader = _Reader(given, model.contract, options)
    folder = _parts_folder(wanted)
    identity = hashes.of_value(
        {
            "input": reader.identity,
            "model": model.hash,
            "options": asdict(options) | {"fresh": False},
            "output": wanted.name,
        }
    )
    done = _resume(folder, identity, options.fresh)
    if done:
        print(f"going on after {len(done)} chunks of an interrupted run", file=sys.stderr)
    progress = _Progress(reader.total)
    rows = 0
    parts = []
    for number, chunk in enumerate(reader.chunks()):
        part = folder / f"{number:06d}.parquet"
        if part not in done:
            _write(_predicted(model, chunk, reader, rows), part)
        parts.append(part)
        rows += chunk.num_rows
        progress.show(rows)
    progress.end()
    if not rows:
        raise UserError(f"{given.name} has no rows")
    _join(parts, wanted)
    shutil.rmtree(folder)
    return rows


def _parts_folder(wanted: Place) -> Path:
    if wanted.local:
        path = Path(wanted.path)
        return path.with_name(f".{path.name}.parts")
    return Path(tempfile.gettempdir()) / f"parts-{hashes.of_value(wanted.name)[:16]}"


def _resume(folder: Path, identity: str, fresh: bool) -> set[Path]:
    """The parts that an interrupted run of the same job left; others are removed."""
    note = folder / "job.json"
    try:
        same = json.loads(note.read_text(encoding="utf-8")) == identity
    except (OSError, ValueError):
        same = False
    if fresh or not same:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        note.write_text(json.dumps(identity), encoding="utf-8")
    return set(folder.glob("*.parquet"))


class _Reader:
    """The input's chunks, with only the columns that are needed."""

    def __init__(self, given: Place, contract: Contract, options: Options) -> None:
        self._given, self._options = given, options
        info = given.system.get_file_info(given.path)
        if info.type != pyarrow.fs.FileType.File:
            raise UserError(f"--input {given.name} is not a file")
        self.identity = [given.path, info.size, info.mtime_ns]
        self._csv = given.path.lower().endswith(".csv")
        self.total: int | None = None
        try:
            if self._csv:
                with given.system.open_input_stream(given.path) as stream, self._open_csv(stream, None) as opened:
                    names = opened.schema.names
            else:
                with given.system.open_input_file(given.path) as stream:
                    opened = pq.ParquetFile(stream)
                    names, self.total = opened.schema_arrow.names, opened.metadata.num_rows
        except pa.ArrowInvalid as error:
            raise UserError(
                f"--input {given.name} cannot be read ({str(error).splitlines()[0]}); it must be .parquet or .csv"
            ) from None
        needed = [feature.name for feature in contract.features]
        for name in [*needed, *options.keep]:
            if name not in names:
                raise UserError(f"--input {given.name} has no column {name!r}, only {', '.join(names[:12])}")
        identity = [contract.id_column] if contract.id_column is not None and contract.id_column in names else []
        self.kept = list(dict.fromkeys([*identity, *options.keep]))
        for name in self.kept:
            if name == "y_pred" or name.startswith("y_score"):
                raise UserError(f"--keep {name}: the output has a column of this name")
        self._columns = list(dict.fromkeys([*self.kept, *needed]))

    def chunks(self) -> Iterator[pa.Table]:
        """Equal chunks on every run: where one starts depends on the input and the options alone."""
        if self._csv:
            with (
                self._given.system.open_input_stream(self._given.path) as stream,
                self._open_csv(stream, self._columns) as opened,
            ):
                for batch in opened:
                    if batch.num_rows:
                        yield pa.Table.from_batches([batch])
            return
        with self._given.system.open_input_file(self._given.path) as stream:
            opened = pq.ParquetFile(stream, pre_buffer=False)
            for batch in opened.iter_batches(self._options.rows, columns=self._columns):
                yield pa.Table.from_batches([batch])

    def _open_csv(self, stream: pa.NativeFile, columns: list[str] | None) -> pyarrow.csv.CSVStreamingReader:
        # As text: the contract types them, by the same rules as in training.
        texts = None if columns is None else {name: pa.string() for name in columns}
        return pyarrow.csv.open_csv(
            stream,
            pyarrow.csv.ReadOptions(block_size=max(2**16, self._options.rows * CSV_BYTES_PER_ROW), use_threads=False),
            convert_options=pyarrow.csv.ConvertOptions(column_types=texts, include_columns=columns),
        )


def _predicted(model: Model, chunk: pa.Table, reader: _Reader, before: int) -> pa.Table:
    rows = chunk.to_pandas()
    source = f"rows {before} to {before + len(rows) - 1}"
    answer = model.answer_frame(model.contract.conform(rows, source))
    columns = {name: chunk[name] for name in reader.kept}
    for name, values in answer.columns(model.contract).items():
        columns[name] = pa.array(values.tolist() if values.dtype == object else values)
    return pa.table(columns)


def _write(table: pa.Table, part: Path) -> None:
    temporary = part.with_suffix(".writing")
    pq.write_table(table, temporary, compression="zstd")
    temporary.replace(part)


def _join(parts: list[Path], wanted: Place) -> None:
    """Put the parts together, a row group each, and give them the output's name in one step."""
    schema = pq.read_schema(parts[0])
    # An object store shows an object when its upload is complete; on a disk a rename does that.
    temporary = f"{wanted.path}.writing" if wanted.local else wanted.path
    with (
        wanted.system.open_output_stream(temporary) as stream,
        pq.ParquetWriter(stream, schema, compression="zstd") as writer,
    ):
        for part in parts:
            writer.write_table(pq.read_table(part).cast(schema))
    if wanted.local:
        Path(temporary).replace(wanted.path)


class _Progress:
    """One line on a terminal that changes in place; elsewhere a line every ten seconds."""

    def __init__(self, total: int | None) -> None:
        self._total = total
        self._started = self._shown = time.monotonic()
        self._terminal = sys.stderr.isatty()

    def show(self, rows: int) -> None:
        now = time.monotonic()
        if now - self._shown < (0.2 if self._terminal else 10):
            return
        self._shown = now
        share = f" of {self._total} ({rows / self._total:.0%})" if self._total else ""
        line = f"{rows} rows{share}, {rows / (now - self._started):.0f} per second"
        print(
            f"\r{line}\033[K" if self._terminal else line,
            end="" if self._terminal else "\n",
            file=sys.stderr,
            flush=True,
        )

    def end(self) -> None:
        if self._terminal:
            print("\r\033[K", end="", file=sys.stderr, flush=True)
