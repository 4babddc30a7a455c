"""Starting `actions/launch` as a composite step does, in a checkout that a stranger filled."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ACTIONS = Path(__file__).resolve().parents[2] / "actions"
# uv stands beside the Python that runs the tests, also when that folder is not on PATH.
PATH = os.pathsep.join([str(Path(sys.executable).parent.absolute()), os.environ["PATH"]])


def launch(
    checkout: Path,
    temp: Path,
    *words: str,
    environ: Mapping[str, str] | None = None,
    actions: Path = ACTIONS,
) -> subprocess.CompletedProcess[str]:
    """Run `launch` in `checkout` with `temp` as the runner's folder for this job."""
    temp.mkdir(parents=True, exist_ok=True)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("GITHUB_", "PYTHON"))}
    return subprocess.run(
        [str(actions / "launch"), *words],
        cwd=checkout,
        env=kept | {"RUNNER_TEMP": str(temp), "PATH": PATH} | dict(environ or {}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=600,
    )


def files_of(path: Path) -> dict[str, str]:
    """`$GITHUB_OUTPUT` read as the runner reads it: name to value."""
    found: dict[str, str] = {}
    lines = iter(path.read_text(encoding="utf-8").splitlines())
    for line in lines:
        name, _, delimiter = line.partition("<<")
        value = []
        for part in lines:
            if part == delimiter:
                break
            value.append(part)
        found[name] = "\n".join(value)
    return found
