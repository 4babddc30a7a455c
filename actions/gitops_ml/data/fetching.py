"""DVC at work for what a stranger's checkout names: in a folder of its own, with the remote that main names."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gitops_ml.data.pointers import Wanted
from gitops_ml.errors import UserError
from gitops_ml.inputs import shown

TIMEOUT_S = 3600
_SHOWN = 3


@dataclass(frozen=True)
class Dvc:
    """The DVC of a trusted checkout; `environ` is what it may know."""

    project: Path
    environ: Mapping[str, str] = field(repr=False)

    @property
    def program(self) -> Path:
        return self.project / ".venv" / "bin" / "dvc"

    def run(self, *words: str, folder: Path | None = None) -> str:
        """What it printed; raises `UserError` with its reason."""
        try:
            done = subprocess.run(
                [self.program.absolute(), *words],
                cwd=folder or self.project,
                env=dict(self.environ),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=TIMEOUT_S,
            )
        except subprocess.TimeoutExpired:
            raise UserError(f"dvc {words[0]} took longer than {TIMEOUT_S} s.") from None
        except OSError as error:
            raise UserError(
                f"{self.program} cannot be started: {error.strerror}.",
                "Install it before this step: uv sync --locked --only-group dvc",
            ) from None
        if done.returncode != 0:
            said = [line for line in done.stderr.splitlines() if line.startswith("ERROR: ")]
            reason = said[0].removeprefix("ERROR: ") if said else f"exit code {done.returncode}"
            raise UserError(f"dvc {words[0]} failed: {reason}", RIGHTS)
        return done.stdout

    def remote(self) -> str:
        """The address of the default remote; raises `UserError` when main names none."""
        for line in self.run("remote", "list").splitlines():
            words = line.split()
            if len(words) == 3 and words[2] == "(default)":
                return words[1]
        raise UserError(
            ".dvc/config of main names no remote.",
            "A pull request cannot choose one. Merge this first: dvc remote add --default storage s3://bucket/path",
        )


RIGHTS = (
    "Does the remote exist, and does this job have a right to it? The page `Data in DVC` of the documentation says"
    " which variables and secrets give it one. A pull request from a fork, or of Dependabot, gets none of them: push"
    " its branch into this repository to train it."
)


def fetch(dvc: Dvc, wanted: Sequence[Wanted], scratch: Path, cache: Path) -> None:
    """Put what is `wanted` into the cache folder `cache`; raises `UserError` for what the remote does not have."""
    settings = scratch / ".dvc"
    settings.mkdir()
    shutil.copyfile(dvc.project / ".dvc" / "config", settings / "config")
    (settings / "config.local").write_text(
        f"[core]\n    no_scm = true\n[cache]\n    dir = {cache.absolute()}\n", encoding="utf-8"
    )
    for number, item in enumerate(wanted):
        text = f"outs:\n- md5: {item.md5}\n  hash: md5\n  path: file-{number}\n"
        (scratch / f"file-{number}.dvc").write_text(text, encoding="utf-8")
    dvc.run("fetch", folder=scratch)
    missing = [item for item in wanted if not place(cache, item).is_file()]
    if missing:
        # DVC itself only warns of that.
        listed = ", ".join(shown(item.named, 120) for item in missing[:_SHOWN])
        raise UserError(
            f"The remote does not hold what is named in {listed}{' and more' if len(missing) > _SHOWN else ''}.",
            "Whoever ran dvc add runs make push; then run this job again.",
        )


def place(cache: Path, item: Wanted) -> Path:
    """Where DVC's cache keeps it."""
    return cache / "files" / "md5" / item.md5[:2] / item.md5[2:]


def size(cache: Path) -> tuple[int, int]:
    """How many files are in the cache, and their bytes."""
    sizes = [Path(folder, name).lstat().st_size for folder, _, names in os.walk(cache) for name in names]
    return len(sizes), sum(sizes)
