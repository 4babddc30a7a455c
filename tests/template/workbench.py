"""A generated project at work: its own commands run as a user runs them, changes that are undone afterwards."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tools.template_files import render

# Far above what a loaded machine needs; it only ends a command that hangs.
PATIENCE_S = 900


@dataclass(frozen=True)
class Outcome:
    """How one command ended, and all that it printed."""

    code: int
    printed: str

    @property
    def errors(self) -> list[str]:
        return [line for line in self.printed.splitlines() if line.startswith("error: ")]


@dataclass(frozen=True)
class Workbench:
    """A generated project and the environment its commands run in."""

    project: Path
    environ: Mapping[str, str]

    def run(self, *command: str) -> Outcome:
        done = subprocess.run(
            command,
            cwd=self.project,
            env=dict(self.environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE_S,
        )
        return Outcome(done.returncode, done.stdout)

    def succeed(self, *command: str) -> Outcome:
        """Run a command that must succeed."""
        outcome = self.run(*command)
        assert outcome.code == 0, f"{' '.join(command)} ended with {outcome.code}:\n{outcome.printed}"
        return outcome

    def fail(self, *command: str) -> Outcome:
        """Run a command that must fail, without a traceback to read through."""
        outcome = self.run(*command)
        assert outcome.code != 0, f"{' '.join(command)} should have failed:\n{outcome.printed}"
        return outcome

    def json(self, name: str) -> Any:
        return json.loads((self.project / name).read_text(encoding="utf-8"))

    def bytes(self, *names: str) -> dict[str, bytes]:
        return {name: (self.project / name).read_bytes() for name in names}

    def edit_params(self, **sections: Mapping[str, Any]) -> None:
        """Edit `params.yaml`, and nothing else, as its owner would; a plain value replaces a whole section."""
        path = self.project / "params.yaml"
        params = yaml.safe_load(path.read_text(encoding="utf-8"))
        for name, section in sections.items():
            params[name] = {**params[name], **section} if isinstance(section, Mapping) else section
        path.write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")

    @contextmanager
    def changed(self, name: str, old: str, new: str) -> Iterator[None]:
        """Replace `old`, which must stand in the file once, by `new`; put the file back at the end."""
        path = self.project / name
        before = path.read_text(encoding="utf-8")
        assert before.count(old) == 1, f"{name} holds {old!r} {before.count(old)} times"
        path.write_text(before.replace(old, new), encoding="utf-8")
        try:
            yield
        finally:
            path.write_text(before, encoding="utf-8")


def running_python() -> str:
    """The answer to `python_version` that needs no other Python than the one that runs the tests."""
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def set_up(template: Path, parent: Path, environ: dict[str, str], task: str, **others: str) -> Workbench:
    """A generated, locked and installed project, as after `make setup`."""
    answers = {"task": task, "python_version": running_python(), **others}
    project, _ = render(template, parent, answers, environ=environ)
    bench = Workbench(project, environ)
    bench.succeed("make", "setup")
    return bench
