"""What `dvc add` wrote, read as a stranger's: nothing but the hashes of the files that it names is believed."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
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
    for path in _files(folders):
        for item in _outs(path):
            found.setdefault(item.md5, item)
    return sorted(found.values())


def _files(folders: Iterable[Path]) -> list[Path]:
    found: list[Path] = []
    for folder in folders:
        # Links to folders are not followed, and a link to a file is refused where it is read.
        for place, names, files in os.walk(folder):
            names[:] = [name for name in names if not name.startswith(".")]
            found += [Path(place, name) for name in files if name.endswith(SUFFIX) and name != SUFFIX]
            if len(found) > MAX_FILES:
                raise UserError(
                    f"There are more than {MAX_FILES} files {shown('*' + SUFFIX)}.",
                    "Give DVC folders instead of single files.",
                )
    return sorted(found)


def _outs(path: Path) -> list[Wanted]:
    document = load_yaml(path)
    outs = document.value.get("outs") if isinstance(document.value, dict) else None
    if not isinstance(outs, list) or not outs:
        raise document.error(("outs",), "there is no list of files.", "Write the file with dvc add.")
    return [
        Wanted(_hash(item, document.error, index), f"{path}: file {index + 1}")
        for index, item in enumerate(outs)
    ]


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
