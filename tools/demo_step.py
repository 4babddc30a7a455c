"""One step of the demo: a command in the generated project, its time, and what to say when it fails."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


class DemoError(Exception):
    """A step failed; the message says which, and how to see why."""


@dataclass(frozen=True)
class Demo:
    """A generated project and the environment its commands run in."""

    project: Path
    environ: Mapping[str, str]

    def run(self, title: str, command: Sequence[str], may_fail: bool = False) -> str:
        """Run one step in the project and say how long it took; raises DemoError when it must not fail and does."""
        print(f"  {title} ...", end="", flush=True)
        started = time.monotonic()
        done = subprocess.run(
            command,
            cwd=self.project,
            env=dict(self.environ),
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
        )
        print(f" {time.monotonic() - started:.0f} s", flush=True)
        if done.returncode != 0 and not may_fail:
            raise DemoError(
                f"{title}: `{' '.join(command)}` in {self.project} failed.\n{done.stdout}\n{done.stderr}"
            )
        return done.stdout

    def quietly(self, command: Sequence[str]) -> str:
        """Run what is not worth a line of its own; returns what it printed, raises DemoError when it fails."""
        done = subprocess.run(
            command, cwd=self.project, env=dict(self.environ), capture_output=True, text=True
        )
        if done.returncode != 0:
            raise DemoError(f"`{' '.join(command)}` in {self.project} failed.\n{done.stdout}\n{done.stderr}")
        return done.stdout.strip()

    def change_parameter(self, before: str, after: str) -> None:
        """Edit `params.yaml` as a data scientist would; raises DemoError when the line is not there."""
        params = self.project / "params.yaml"
        text = params.read_text(encoding="utf-8")
        if text.count(before) != 1:
            raise DemoError(f"{params} does not hold the line {before!r} once, so the demo cannot change it.")
        params.write_text(text.replace(before, after), encoding="utf-8")
