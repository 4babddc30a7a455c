"""Tools that a test needs and a machine may lack: skipped by name, and a failure where they are required.

`.ci/run` sets `GITOPS_ML_REQUIRE_TOOLS=1`, so that a test which silently stopped running is noticed.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import NoReturn

import pytest

ROOT = Path(__file__).resolve().parents[2]
# Names under which a program is known on different systems, and files that an installer in this folder puts down.
_PROGRAMS = {"chromium": ("chromium", "chromium-browser", "google-chrome", "chrome")}
_FILES = {
    "workflow-parser": ROOT / ".tools" / "workflow-parser" / "parse.mjs",
    "openapi": ROOT / ".tools" / "openapi" / "api.github.com.json",
    "mlflow": ROOT / ".tools" / "mlflow" / "bin" / "mlflow",
    "axe": ROOT / ".tools" / "axe" / "axe.min.js",
    "mermaid": ROOT / ".tools" / "mermaid" / "mermaid.min.js",
    "docker-compose": ROOT / ".tools" / "docker" / "cli-plugins" / "docker-compose",
}
# Programs that an installer in this folder puts down.
_INSTALLERS = {"prometheus": "prometheus", "promtool": "prometheus"}


def find(tool: str) -> Path | None:
    """Where `tool` is, in `.tools` or on PATH; None when this machine does not have it."""
    if tool in _FILES:
        return _FILES[tool] if _FILES[tool].is_file() else None
    search = os.pathsep.join([str(ROOT / ".tools" / "bin"), os.environ.get("PATH", "")])
    found = (shutil.which(name, path=search) for name in _PROGRAMS.get(tool, (tool,)))
    return next((Path(path) for path in found if path), None)


def required() -> bool:
    """Whether a missing tool is a failure on this machine."""
    return os.environ.get("GITOPS_ML_REQUIRE_TOOLS") == "1"


def need(tool: str) -> Path:
    """Where `tool` is; without it the test is skipped by name, or fails where tools are required."""
    path = find(tool)
    if path is None:
        installer = _INSTALLERS.get(tool, tool if tool in _FILES else None)
        fix = "install it" if installer is None else f"run tests/tools/{installer}"
        missing(f"{tool} is not on this machine: {fix}")
    return path


def missing(what: str) -> NoReturn:
    """Skip the test by name, or fail it where tools are required."""
    if required():
        pytest.fail(what)
    pytest.skip(what)
