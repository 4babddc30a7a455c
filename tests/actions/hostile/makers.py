"""Hostile files that are too large or too odd to be written down: each maker puts one into a folder of reports."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tests.actions import samples

MIB = 1024 * 1024
Maker = Callable[[Path], None]


def _text(name: str, content: str | bytes) -> Maker:
    def make(folder: Path) -> None:
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)

    return make


def _link(name: str, target: str) -> Maker:
    return lambda folder: (folder / name).symlink_to(target)


def _folder(name: str) -> Maker:
    return lambda folder: (folder / name).mkdir()


def _fifo(name: str) -> Maker:
    return lambda folder: os.mkfifo(folder / name)


def _sparse(name: str, start: bytes, size: int) -> Maker:
    """A file of `size` bytes that takes no room on the disk."""

    def make(folder: Path) -> None:
        with (folder / name).open("wb") as file:
            file.write(start)
            file.truncate(size)

    return make


def _parquet(columns: dict[str, object], **options: object) -> Maker:
    def make(folder: Path) -> None:
        pq.write_table(pa.table(columns), folder / "predictions.parquet", **options)

    return make


def _parquet_bomb(folder: Path) -> None:
    """A few hundred kilobytes that say they are 100 million rows."""
    chunk = pa.array([0.5]).take(pa.array([0] * 1_000_000))
    ids = pa.chunked_array(
        [pa.DictionaryArray.from_arrays(pa.array([0] * 1_000_000, pa.int32()), ["x" * 1000])] * 25
    )
    table = pa.table(
        {"id": ids, "y_true": pa.chunked_array([chunk] * 25), "y_pred": pa.chunked_array([chunk] * 25)}
    )
    pq.write_table(table, folder / "predictions.parquet", compression="zstd")


# Name of the case, maker; every one of them must be refused by the door that reads the folder.
METRICS: dict[str, Maker] = {
    "50 MB of numbers": _sparse("metrics.json", b'{"a": 1, "b": "', 50 * MIB),
    "4 GB without a byte on the disk": _sparse("metrics.json", b"{", 4096 * MIB),
    "link to a secret": _link("metrics.json", "/etc/passwd"),
    "link to nowhere": _link("metrics.json", "no-such-file"),
    "link to itself": _link("metrics.json", "metrics.json"),
    "endless device": _link("metrics.json", "/dev/zero"),
    "named pipe without a writer": _fifo("metrics.json"),
    "folder instead of a file": _folder("metrics.json"),
    "nothing there": _text("other.json", "{}"),
    "100,000 open brackets": _text("metrics.json", "[" * 100_000),
    "100,000 nested objects": _text("metrics.json", '{"a":' * 100_000),
    "nested just too deep": _text("metrics.json", '{"a":' * 30 + "1" + "}" * 30),
    "integer of 5,000 digits": _text("metrics.json", '{"a": ' + "9" * 5000 + "}"),
    "integer of 400 digits": _text("metrics.json", '{"a": ' + "9" * 400 + "}"),
    "10,000 metrics": _text("metrics.json", "{" + ", ".join(f'"m{n}": 1' for n in range(10_000)) + "}"),
    "name of a megabyte": _text("metrics.json", '{"' + "a" * MIB + '": 1}'),
    "invalid UTF-8": _text("metrics.json", b'{"a\xff": 1}'),
    "overlong UTF-8": _text("metrics.json", b'{"\xc0\xaf": 1}'),
    "UTF-16": _text("metrics.json", '{"a": 1}'.encode("utf-16")),
    "UTF-32": _text("metrics.json", '{"a": 1}'.encode("utf-32")),
    "Latin-1": _text("metrics.json", '{"é": 1}'.encode("latin-1")),
    "UTF-7": _text("metrics.json", b'+AHs-"a": 1+AH0-'),
    "gzip": _text("metrics.json", b"\x1f\x8b\x08\x00" + b"\0" * 50),
    "pickle": _text("metrics.json", b"\x80\x04cos\nsystem\n(S'id'\ntR."),
}
PREDICTIONS: dict[str, Maker] = {
    "no parquet at all": _text("predictions.parquet", b"PAR1 not really PAR1"),
    "empty parquet": _text("predictions.parquet", b""),
    "parquet with a damaged footer": _text(
        "predictions.parquet", b"PAR1" + b"\xff" * 100 + b"\xff\xff\xff\x7fPAR1"
    ),
    "parquet that is a pickle": _text("predictions.parquet", b"\x80\x04cos\nsystem\n(S'id'\ntR."),
    "parquet bomb": _parquet_bomb,
    "2,000 columns": _parquet({f"c{n}": [1] for n in range(2000)}),
    "no rows": _parquet(
        {
            "id": pa.array([], pa.int64()),
            "y_true": pa.array([], pa.int64()),
            "y_pred": pa.array([], pa.int64()),
        }
    ),
    "no id": _parquet({"y_true": [1], "y_pred": [1]}),
    "an id twice": _parquet({"id": [1, 1], "y_true": [1, 0], "y_pred": [1, 0]}),
    "nested column": _parquet({"id": [{"a": 1}], "y_true": [1], "y_pred": [1]}),
    "parquet link to a secret": _link("predictions.parquet", "/etc/passwd"),
    "parquet named pipe": _fifo("predictions.parquet"),
    "CSV with a quote that never ends": _text("predictions.csv", 'id,y_true,y_pred\n1,"' + "x" * 1000),
    "CSV with ragged rows": _text("predictions.csv", "id,y_true,y_pred\n1,2\n1,2,3,4,5\n"),
    "CSV in UTF-16": _text("predictions.csv", "id,y_true,y_pred\n1,1,1\n".encode("utf-16")),
    "CSV with the same column twice": _text("predictions.csv", "id,id,y_true,y_pred\n1,1,1,1\n"),
    "CSV of nothing": _text("predictions.csv", ""),
    "CSV of null bytes": _text("predictions.csv", b"\0" * 1000),
    "CSV link to a secret": _link("predictions.csv", "/etc/passwd"),
    "CSV of 300 MB": _sparse("predictions.csv", b"id,y_true,y_pred\n", 300 * MIB),
}


def _zip(*entries: tuple[str, bytes], mode: int = 0o100644) -> bytes:
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries:
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, content)
    return buffer.getvalue()


_GOOD = ("report.json", samples.as_json(samples.passing()).encode())
ZIPS: dict[str, bytes] = {
    "slip upwards": _zip(_GOOD, ("../../evil.sh", b"x")),
    "slip by the root": _zip(_GOOD, ("/etc/cron.d/evil", b"x")),
    "slip in the middle": _zip(_GOOD, ("a/../../evil", b"x")),
    "slip by backslashes": _zip(_GOOD, ("..\\..\\evil", b"x")),
    "slip by a drive": _zip(_GOOD, ("C:\\evil", b"x")),
    "symbolic link": _zip(_GOOD, ("link", b"/etc/passwd"), mode=0o120777),
    "report as a symbolic link": _zip(("report.json", b"/etc/passwd"), mode=0o120777),
    "report in other letters as well": _zip(_GOOD, ("REPORT.json", b"{}")),
    "1,000 entries": _zip(_GOOD, *((f"f{n}", b"") for n in range(1000))),
    "bomb of 50 MB": _zip(_GOOD, ("bomb", b"\0" * 50 * MIB)),
    "report of 50 MB": _zip(("report.json", b'{"a": "' + b" " * 50 * MIB + b'"}')),
    "zip in a zip": _zip(("report.zip", _zip(_GOOD))),
    "report in a folder": _zip(("reports/report.json", _GOOD[1])),
    "report without an end": _zip(("report.json", _GOOD[1][:-5])),
    "report in UTF-16": _zip(("report.json", _GOOD[1].decode().encode("utf-16"))),
    "report with a null byte": _zip(("report.json", b"\0" + _GOOD[1])),
    "report of open brackets": _zip(("report.json", b"[" * 100_000)),
    "not a zip": b"Rar!\x1a\x07\x01\x00",
    "gzip": b"\x1f\x8b\x08\x00" + b"\0" * 50,
    "only an end record": b"PK\x05\x06" + b"\0" * 18,
    "end record that points outside": b"PK\x05\x06" + b"\0" * 4 + b"\xff" * 12 + b"\0\0",
    "nothing": b"",
}
