"""What `dvc add` wrote, read as a stranger's: nothing but the hashes of the files that it names is believed."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gitops_ml.errors import UserError
from gitops_ml.inputs import shown
from gitops_ml.strict_yaml import load_yaml

MAX_FILES = 2000
SUFFIX = ".dvc"
_HASH = re.compile(r"[0-9a-f]{32}(?:\.dir)?")


@dataclass(frozen=True, order=True)
class Wanted:
    """One file, or with `.dir` at the end of its hash one folder, as DVC's cache names it; `named` says by whom."""

    md5: str
    named: str


def read_pointers(folders: Iterable[Path]) -> list[Wanted]:
    """What the files `*.dvc` below `folders` name, each content once.

    Where a file came from (`deps`), which remote has it and how it was made is not read: it would be a stranger's
    choice of whom to ask with our credentials. Raises `UserError` for a file that `dvc add` has not written.
    """
    found: dict[str, Wanted] = {}
    number = 0
    for folder in folders:
        for path in _files(folder):
            number += 1
            if number > MAX_FILES:
                raise UserError(
                    f"There are more than {MAX_FILES} files {shown('*' + SUFFIX)}.",
                    "Give DVC folders instead of single files.",
                )
            for index, md5 in enumerate(_hashes(path), start=1):
                found.setdefault(md5, Wanted(md5, f"{path.relative_to(folder)}: file {index}"))
    return sorted(found.values())


def _files(folder: Path) -> Iterator[Path]:
    # Links to folders are not followed, and a link to a file is refused where it is read.
    for place, names, files in os.walk(folder):
        names[:] = sorted(name for name in names if not name.startswith("."))
        yield from (Path(place, name) for name in sorted(files) if name.endswith(SUFFIX) and name != SUFFIX)


def _hashes(path: Path) -> list[str]:
    document = load_yaml(path)
    outs = document.value.get("outs") if isinstance(document.value, dict) else None
    if not isinstance(outs, list) or not outs:
        raise document.error(("outs",), "there is no list of files.", "Write the file with dvc add.")
    return [_hash(item, document.error, index) for index, item in enumerate(outs)]


def _hash(item: Any, error: Any, index: int) -> str:
    found = item.get("md5") if isinstance(item, dict) else None
    if not isinstance(found, str) or not _HASH.fullmatch(found):
        problem = f"{shown(str(found))} is not the hash of a file." if found else "there is no hash."
        raise error(("outs", index, "md5"), problem, "Write the file with dvc add.")
    if item.get("hash") != "md5":
        raise error(
            ("outs", index, "hash"),
            "it was written by DVC 2, which hashed texts in another way.",
            "Run dvc cache migrate --dvc-files, and make push.",
        )
    return found
