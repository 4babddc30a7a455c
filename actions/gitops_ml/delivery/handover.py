"""The model that a pull request's run handed over: unpacked beside the project, judged there, then moved in at once."""

from __future__ import annotations

import re
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from gitops_ml import provenance
from gitops_ml.artifact import check_entries, sound_zip
from gitops_ml.delivery.git import Git
from gitops_ml.delivery.train_once import NotTakenOverError, Search, TakeOver
from gitops_ml.errors import UserError
from gitops_ml.github import repo_path
from gitops_ml.inputs import shown
from gitops_ml.reports import read_reports

FOLDERS = ("build", "model", "reports")
MAX_ZIP_BYTES = 4 * 1024**3
MAX_UNPACKED_BYTES = 16 * 1024**3
MAX_ENTRIES = 5000
# More than any zip file can grow: a model may hold long runs of zeros. The total is capped all the same.
MAX_GROWTH = 2000
_CHUNK = 1024 * 1024
_COMMIT = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")


def take_over(search: Search, found: TakeOver, project: Path) -> None:
    """Put the model, reports and evaluation rows of `found` in the place of those of `project`.

    Raises `UserError` for whatever is not as it has to be; the project is then what it was before.
    """
    with _workshop(project) as folder:
        with (folder / "artifact.zip").open("w+b") as packed:
            path = f"{repo_path(search.repository)}/actions/artifacts/{found.artifact}/zip"
            search.github.download_to(path, packed, MAX_ZIP_BYTES)
            unpack(packed, folder / "new")
        judge(folder / "new", search.git, found.head)
        replace(folder / "new", folder / "old", project)


@contextmanager
def _workshop(project: Path) -> Iterator[Path]:
    """A folder on the project's own disk, so that what is in it can be moved at once; removed at the end."""
    try:
        folder = Path(tempfile.mkdtemp(prefix=".gitops-ml-", dir=project))
    except OSError as error:
        raise UserError(f"{project} cannot be written to: {error.strerror}.") from None
    try:
        for name in ("new", "old"):
            (folder / name).mkdir()
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def unpack(packed: BinaryIO, target: Path) -> None:
    """Unpack the three folders into the empty `target`; raises `UserError` for anything an honest upload lacks."""
    with sound_zip(packed) as archive:
        entries = archive.infolist()
        check_entries(entries, MAX_ENTRIES, MAX_GROWTH)
        for entry in entries:
            top, slash, _ = entry.filename.partition("/")
            if top not in FOLDERS or not slash:
                raise UserError(
                    f"The artifact's entry {shown(entry.filename)} is in none of the folders of a model."
                )
        left = MAX_UNPACKED_BYTES
        for entry in entries:
            left -= _unpack_one(archive, entry, target, left)
    missing = [name for name in FOLDERS if not (target / name).is_dir()]
    if missing:
        raise UserError(f"The artifact has no folder {missing[0]}/.")


def _unpack_one(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, target: Path, left: int) -> int:
    """Unpack one entry of at most `left` bytes; returns its size. Its mode and date are not taken over."""
    place = target / entry.filename
    if entry.is_dir():
        place.mkdir(parents=True, exist_ok=True)
        return 0
    place.parent.mkdir(parents=True, exist_ok=True)
    size = 0
    with archive.open(entry) as source, place.open("xb") as file:
        while chunk := source.read(_CHUNK):
            size += len(chunk)
            if size > left:
                raise UserError(f"The artifact unpacks to more than {MAX_UNPACKED_BYTES:,} bytes.")
            file.write(chunk)
    return size


def judge(folder: Path, git: Git, head: str) -> None:
    """Whether model, contract and reports in `folder` are of one training, at `head` or at a commit before it.

    DVC does not evaluate again what has not changed since an earlier commit, so the report may name that one.
    """
    try:
        model_hash, data_hash = provenance.of_model(folder / "model")
        run = read_reports(folder / "reports").run
    except UserError as error:
        raise NotTakenOverError(error.message.replace(f"{folder}/", "the artifact's ")) from None
    if run.model_hash != model_hash:
        raise NotTakenOverError(
            "The artifact's reports/run.json is about another model than model/model.skops."
        )
    if run.data_hash != data_hash.removeprefix("sha256:"):
        raise NotTakenOverError("The artifact's reports/run.json names other data than model/contract.json.")
    commit = run.commit or ""
    if not _COMMIT.fullmatch(commit) or (
        commit != head and git.try_("merge-base", "--is-ancestor", commit, head).code != 0
    ):
        raise NotTakenOverError(
            f"The artifact's reports/run.json names the commit {shown(commit)}, which is not {head[:7]} nor before it."
        )


def replace(new: Path, old: Path, project: Path) -> None:
    """Move the folders from `new` into `project`, and what was there into `old`; all of them, or none."""
    moved: list[tuple[Path, Path]] = []
    try:
        for name in FOLDERS:
            place = project / name
            if place.is_symlink() or place.exists():
                moved.append((place, place.rename(old / name)))
            moved.append((new / name, (new / name).rename(place)))
    except OSError as error:
        for before, after in reversed(moved):
            after.rename(before)
        raise UserError(f"{place} cannot be replaced: {error.strerror}.") from None
