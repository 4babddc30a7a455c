"""`python -m benchmarks.project`: what the template adds to the time of training, in a project generated for this run.

Each row is measured `--repeats` times in one run on one machine; the median counts. Ratios are between rows of the
same table. Generation is timed without locking, which depends on the network.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tools.template_files import copy_template, render

# Runs the two stages that a change of parameters runs again, with or without logging, in one process each.
STAGES = """
import importlib, sys
package, logging = sys.argv[1:3]
if logging == "without":
    importlib.import_module(package + ".tracking").log = lambda *_: "not logged"
for stage in ("train", "evaluate"):
    importlib.import_module(package + ".stages." + stage).main()
"""


def seconds(action: Callable[[], object], repeats: int) -> float:
    """Median duration of `action` in seconds."""
    durations = []
    for _ in range(repeats):
        started = time.perf_counter()
        action()
        durations.append(time.perf_counter() - started)
    return statistics.median(durations)


def run(project: Path, *command: str) -> None:
    environ = {
        name: value
        for name, value in os.environ.items()
        if name not in ("VIRTUAL_ENV", "MAKEFLAGS", "MAKELEVEL")
    }
    environ["PYTHONPATH"] = "src"
    done = subprocess.run(
        command, cwd=project, env=environ, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)} failed:\n{done.stdout}\n{done.stderr}")


def measure(folder: Path, task: str, repeats: int) -> dict[str, float]:
    """Durations in seconds, by what was done."""
    template = copy_template(folder / "template")
    answers = {"task": task, "python_version": f"{sys.version_info.major}.{sys.version_info.minor}"}
    counter = iter(range(repeats))
    rows = {
        "generate, without locking": seconds(
            lambda: render(template, folder / str(next(counter)), answers, lock=False), repeats
        )
    }
    project, _ = render(template, folder / "project", answers)
    run(project, "make", "setup")
    package = next((project / "src").iterdir()).name
    rows["first `dvc repro`"] = seconds(lambda: run(project, "make", "train"), 1)
    rows["`dvc repro`, nothing changed"] = seconds(lambda: run(project, "make", "train"), repeats)
    python = str(project / ".venv" / "bin" / "python")
    for logging in ("without", "with"):
        rows[f"train and evaluate, {logging} MLflow"] = seconds(
            lambda logging=logging: run(project, python, "-c", STAGES, package, logging), repeats
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    print("| task | what | seconds |\n| --- | --- | ---: |")
    for task in ("classification", "regression"):
        with tempfile.TemporaryDirectory() as folder:
            rows = measure(Path(folder), task, repeats)
        for what, duration in rows.items():
            print(f"| {task} | {what} | {duration:.2f} |")
        ratio = rows["train and evaluate, with MLflow"] / rows["train and evaluate, without MLflow"]
        print(f"| {task} | with MLflow / without | {ratio:.2f}x |", flush=True)


if __name__ == "__main__":
    main()
