"""`python -m benchmarks.loop`: what the pull-request loop adds to the bare training command of a generated project.

Each step is timed as its job starts it, by `actions/launch`, once with nothing installed (a fresh runner that has uv's
cache) and once more. Checking out, setting up the project and GitHub's own queues are not part of it: they would be
there without this suite.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tools.template_files import copy_template, render

IDENTITY = {
    "GIT_AUTHOR_NAME": "Benchmark",
    "GIT_AUTHOR_EMAIL": "benchmark@localhost",
    "GIT_COMMITTER_NAME": "Benchmark",
    "GIT_COMMITTER_EMAIL": "benchmark@localhost",
}
NEEDS = json.dumps({"train": {"result": "success", "outputs": {}}})


@dataclass(frozen=True)
class Timer:
    """Runs commands in the project and says how long each took, in seconds."""

    project: Path
    environ: Mapping[str, str]

    def run(self, *words: str, allowed: tuple[int, ...] = (0,)) -> float:
        started = time.perf_counter()
        done = subprocess.run(words, cwd=self.project, env=dict(self.environ), capture_output=True, text=True)
        taken = time.perf_counter() - started
        if done.returncode not in allowed:
            raise SystemExit(f"{' '.join(words)} failed:\n{done.stdout}\n{done.stderr}")
        return taken

    def launch(self, *words: str, allowed: tuple[int, ...] = (0,)) -> float:
        return self.run(".github/actions/launch", *words, allowed=allowed)


def steps(timer: Timer, base: str) -> dict[str, float]:
    """Seconds of each step that the loop adds; the training itself is not among them."""
    diff = ("--head=reports", "--base=merge-base/reports", f"--base-commit={base}", "--output=report")
    return {
        "scope": timer.launch("none", "scope", f"--base={base}"),
        "train, around the command": timer.launch("none", "train", "--command=true"),
        # A verdict of `fail` takes as long.
        "metric diff": timer.launch("diff", "diff", *diff, allowed=(0, 1)),
        "comment, without the network": timer.launch(
            "comment", "comment", "--dry-run", "--report", "report/report.json"
        ),
        "gate": timer.launch("none", "gate"),
    }


def prepare(folder: Path) -> Timer:
    """A project that is set up, with a commit that changes a parameter."""
    environ = {name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "MAKEFLAGS")}
    environ |= IDENTITY | {"RUNNER_TEMP": str(folder / "runner"), "GITOPS_ML_NEEDS": NEEDS}
    project, _ = render(copy_template(folder / "template"), folder / "out", environ=environ)
    (folder / "runner").mkdir()
    timer = Timer(project, environ)
    timer.run("make", "setup")
    return timer


def measure(timer: Timer) -> tuple[float, dict[str, float], dict[str, float]]:
    """Seconds of the bare training, of the steps on a fresh runner, and of the steps again."""
    head = ["git", "rev-parse", "HEAD"]
    base = subprocess.run(head, cwd=timer.project, capture_output=True, text=True, check=True).stdout.strip()
    timer.run("make", "train")
    shutil.copytree(timer.project / "reports", timer.project / "merge-base" / "reports")
    params = timer.project / "params.yaml"
    text = params.read_text(encoding="utf-8")
    params.write_text(text.replace("max_iter: 2000", "max_iter: 1999"), encoding="utf-8")
    timer.run("git", "commit", "--quiet", "--all", "--message", "Change a parameter")
    shutil.rmtree(timer.project / ".dvc" / "cache")
    shutil.rmtree(timer.project / "build")
    trained = timer.run("make", "train")
    return trained, steps(timer, base), steps(timer, base)


def table(trained: float, fresh: Mapping[str, float], again: Mapping[str, float]) -> str:
    rows = [(name, fresh[name], again[name]) for name in fresh]
    rows.append(("the loop in all", sum(fresh.values()), sum(again.values())))
    lines = [
        f"{'step':<32}{'fresh runner':>14}{'again':>10}",
        f"{'bare training command':<32}{trained:>12.2f} s",
    ]
    lines += [f"{name:<32}{first:>12.2f} s{second:>8.2f} s" for name, first, second in rows]
    first, second = rows[-1][1:]
    lines.append(f"{'of the training':<32}{first / trained:>12.0%}  {second / trained:>8.0%}")
    return "\n".join(lines)


def main() -> int:
    argparse.ArgumentParser(description=__doc__).parse_args()
    with tempfile.TemporaryDirectory() as folder:
        timer = prepare(Path(folder))
        print(table(*measure(timer)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
