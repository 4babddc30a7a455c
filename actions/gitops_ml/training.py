"""One run of the training command: how long it took, how much memory it and its children held, and what it did."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TextIO

from gitops_ml.errors import UserError

# What DVC says per stage. A stage that ran is work done; these lines are the same since DVC 1.0.
RAN = "Running stage '"
SKIPPED = ("didn't change, skipping", "is cached - skipping run", "Data and pipelines are up to date.")
SAMPLE_EVERY_S = 0.1
_KIB = 1024


@dataclass(frozen=True)
class Cost:
    """What `reports/cost.json` holds: seconds, MiB and bytes; the first two are None when nothing had to be done."""

    duration_s: float | None
    peak_memory_mib: float | None
    model_bytes: int | None
    trained: bool


@dataclass(frozen=True)
class Outcome:
    """How the command ended: its exit code, how long it ran (s), its memory (MiB), and what its lines say it did."""

    returncode: int
    duration_s: float
    peak_memory_mib: float
    ran: bool
    skipped: bool

    @property
    def nothing_to_do(self) -> bool:
        """Only DVC's own word for it counts: a command that says nothing about its stages is taken to have trained."""
        return self.returncode == 0 and self.skipped and not self.ran


class MemorySampler:
    """Watches the memory of a process and all its descendants until told to stop; needs `/proc`."""

    def __init__(self, pid: int, proc: Path = Path("/proc")) -> None:
        self._pid = pid
        self._proc = proc
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.peak_kib = 0

    def __enter__(self) -> MemorySampler:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while True:
            self.peak_kib = max(self.peak_kib, tree_memory_kib(self._pid, self._proc))
            if self._stop.wait(SAMPLE_EVERY_S):
                return


def tree_memory_kib(pid: int, proc: Path = Path("/proc")) -> int:
    """Memory of `pid` and its descendants in KiB; pages that they share count once (proportional set size)."""
    children: dict[int, list[int]] = {}
    for entry in proc.iterdir() if proc.is_dir() else ():
        if entry.name.isdigit() and (parent := _parent(entry)) is not None:
            children.setdefault(parent, []).append(int(entry.name))
    total, waiting = 0, [pid]
    while waiting:
        current = waiting.pop()
        total += _memory_kib(proc / str(current))
        waiting += children.get(current, [])
    return total


def _parent(entry: Path) -> int | None:
    try:
        # The second field is the program's name in brackets and may hold anything, even `) S 1`.
        return int((entry / "stat").read_text(errors="replace").rpartition(")")[2].split()[1])
    except (OSError, ValueError, IndexError):
        return None


def _memory_kib(entry: Path) -> int:
    for name, key in (("smaps_rollup", "Pss:"), ("status", "VmRSS:")):
        try:
            lines = (entry / name).read_text(errors="replace").splitlines()
        except OSError:
            continue
        for line in lines:
            if line.startswith(key):
                return int(line.split()[1])
    return 0


def run_command(command: str, folder: Path, stdout: TextIO) -> Outcome:
    """Run `command` with bash in `folder`, passing its output on by lines; raises `UserError` when it can't start."""
    started = time.monotonic()
    try:
        process = subprocess.Popen(
            ["bash", "-euo", "pipefail", "-c", command],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
        )
    except OSError as error:
        raise UserError(
            f"The training command could not be started in {folder}: {error.strerror}."
        ) from error
    ran = skipped = False
    with MemorySampler(process.pid) as sampler:
        assert process.stdout is not None  # noqa: S101 - stdout=PIPE
        for line in process.stdout:
            ran = ran or RAN in line
            skipped = skipped or any(phrase in line for phrase in SKIPPED)
            stdout.write(line)
            stdout.flush()
        returncode = process.wait()
    # A child may come and go between two samples; the kernel remembers the largest single one.
    largest = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    largest_kib = largest / _KIB if sys.platform == "darwin" else largest
    return Outcome(
        returncode, time.monotonic() - started, max(sampler.peak_kib, largest_kib) / _KIB, ran, skipped
    )


def measure(outcome: Outcome, model: Path) -> Cost:
    size = _size(model)
    if outcome.nothing_to_do:
        return Cost(None, None, size, trained=False)
    return Cost(round(outcome.duration_s, 3), round(outcome.peak_memory_mib, 1), size, trained=True)


def _size(path: Path) -> int | None:
    if path.is_file():
        return path.stat().st_size
    if path.is_dir():
        return sum(Path(folder, name).lstat().st_size for folder, _, names in os.walk(path) for name in names)
    return None


def write_cost(cost: Cost, reports: Path) -> Path:
    """Write `cost.json` beside the metrics; raises `UserError` when there are none: then nothing was reported."""
    if not (reports / "metrics.json").is_file():
        raise UserError(
            f"The training command succeeded but {reports / 'metrics.json'} is not there.",
            "Let the command write its numbers there, or name the right folder in the input `reports`.",
        )
    target = reports / "cost.json"
    new = target.with_name("cost.json.new")
    new.write_text(json.dumps(asdict(cost), indent=2) + "\n", encoding="utf-8")
    new.replace(target)
    return target
