"""The report out of a run's artifact: a zip file that a stranger's code may have made."""

from __future__ import annotations

import stat
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import BinaryIO
from zlib import error as ZlibError  # noqa: N812 - an exception class, in lower case only for its age

from pydantic import ValidationError

from gitops_ml.errors import UserError
from gitops_ml.inputs import decode, parse_json, shown
from gitops_ml.report import Report

MAX_ZIP_BYTES = 64 * 1024 * 1024
MAX_REPORT_BYTES = 2 * 1024 * 1024
MAX_ENTRIES = 200
MAX_RATIO = 200
REPORT = "report.json"
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_FIX = "Upload what `gitops-ml diff` wrote, with report.json at the top of the artifact."


def report_from_zip(content: bytes) -> Report:
    """The report in the artifact `content`. Only `report.json` is unpacked, and only into memory.

    Raises `UserError` for anything an honest upload does not hold: too many bytes or entries, names that leave the
    folder or stand twice, links, encryption, exotic compression, entries that grow more than `MAX_RATIO` times.
    """
    if len(content) > MAX_ZIP_BYTES:
        raise UserError(f"The artifact has {len(content):,} bytes; at most {MAX_ZIP_BYTES:,} are read.", _FIX)
    with sound_zip(BytesIO(content)) as archive:
        check_entries(archive.infolist(), MAX_ENTRIES, MAX_RATIO)
        return parse_report(_unpack(archive), Path(REPORT))


@contextmanager
def sound_zip(content: BinaryIO) -> Iterator[zipfile.ZipFile]:
    """The zip file `content`, open; whatever is wrong with it, here or while it is read, is raised as `UserError`."""
    try:
        with zipfile.ZipFile(content) as archive:
            yield archive
    except (
        zipfile.BadZipFile,
        zipfile.LargeZipFile,
        ZlibError,
        EOFError,
        NotImplementedError,
        RuntimeError,
    ) as error:
        raise UserError(f"The artifact is not a sound zip file: {shown(str(error))}.", _FIX) from None
    except (ValueError, OverflowError, OSError) as error:
        raise UserError(f"The artifact cannot be read: {shown(str(error))}.", _FIX) from None


def check_entries(entries: list[zipfile.ZipInfo], most: int, growth: int) -> None:
    """Raise `UserError` for more than `most` entries, and for one that is unsafe or grows more than `growth` times."""
    if len(entries) > most:
        raise UserError(f"The artifact holds {len(entries):,} entries; at most {most:,} are read.", _FIX)
    seen: set[str] = set()
    for entry in entries:
        # `orig_filename` is what stands in the file; `filename` is already cut at a null byte.
        name, place = entry.orig_filename, f"The artifact's entry {shown(entry.orig_filename)}"
        parts = name.rstrip("/").split("/")
        if (
            not name
            or "\\" in name
            or "\0" in name
            or ":" in name
            or any(part in ("", ".", "..") for part in parts)
        ):
            raise UserError(f"{place} has a name that leaves its folder.", _FIX)
        if name.casefold() in seen:
            raise UserError(f"{place} stands there twice.", _FIX)
        seen.add(name.casefold())
        kind = stat.S_IFMT(entry.external_attr >> 16)
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise UserError(f"{place} is a link or a device.", _FIX)
        if entry.flag_bits & 0x1:
            raise UserError(f"{place} is encrypted.", _FIX)
        if entry.compress_type not in _METHODS:
            raise UserError(f"{place} is compressed in a way that is not read.", _FIX)
        if entry.file_size > growth * max(entry.compress_size, 100):
            raise UserError(f"{place} grows more than {growth} times when it is unpacked.", _FIX)


def _unpack(archive: zipfile.ZipFile) -> str:
    if REPORT not in archive.namelist():
        raise UserError(f"The artifact holds no {REPORT}.", _FIX)
    if archive.getinfo(REPORT).file_size > MAX_REPORT_BYTES:
        raise UserError(f"{REPORT} has more than {MAX_REPORT_BYTES:,} bytes.", _FIX)
    with archive.open(REPORT) as file:
        # The size in the directory is only a claim, so the read is capped as well.
        content = file.read(MAX_REPORT_BYTES + 1)
    if len(content) > MAX_REPORT_BYTES:
        raise UserError(f"{REPORT} has more than {MAX_REPORT_BYTES:,} bytes.", _FIX)
    return decode(content, Path(REPORT))


def parse_report(text: str, path: Path) -> Report:
    """The report in the JSON `text`; `path` is only named in errors.

    Raises `UserError` that names the first key which is missing, unknown, too long or of another type.
    """
    parse_json(text, path)  # for its checks: duplicate keys, depth, numbers that are not finite
    try:
        # From JSON and not from the value: only there a list may stand for a tuple in strict mode.
        return Report.model_validate_json(text.removeprefix("\ufeff"))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
        raise UserError(
            f"{path}, key {shown(place)}: {first['msg']}{more}.",
            "Make and read the report with the same version of the actions.",
        ) from None
