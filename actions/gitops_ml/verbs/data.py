"""`gitops-ml data`: fetch what checkouts name from main's remote of DVC, or run main's command with the right to it."""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
from pathlib import Path

from gitops_ml.data.access import GIVEN, prepare
from gitops_ml.data.fetching import RIGHTS, Dvc, fetch, size
from gitops_ml.data.pointers import read_pointers
from gitops_ml.errors import UserError
from gitops_ml.login.identity import Desk
from gitops_ml.login.web import Web
from gitops_ml.runner import Runner

# What proves who the job is, and what the step was given, is for this program alone.
_OWN = (GIVEN, "ACTIONS_ID_TOKEN_", "GITHUB_TOKEN")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--working-directory", type=Path, default=Path(), help="main, checked out, with DVC in .venv"
    )
    parser.add_argument("--pointers", default="", help="folders whose *.dvc files are fetched, one per line")
    parser.add_argument(
        "--into", type=Path, default=Path("fetched"), help="folder that gets them, as DVC's cache"
    )
    parser.add_argument("--command", default="", help="what is run with the right to the remote, by bash")


def run(options: argparse.Namespace, runner: Runner, web: Web | None = None) -> int:
    project: Path = options.working_directory
    folders = [Path(line.strip()) for line in options.pointers.splitlines() if line.strip()]
    if bool(folders) == bool(options.command):
        raise UserError("Exactly one of `pointers` and `command` is needed.")
    plain = {name: value for name, value in runner.environ.items() if not name.startswith(_OWN)}
    address = Dvc(project, plain).remote()
    with tempfile.TemporaryDirectory(dir=runner.environ.get("RUNNER_TEMP")) as private:
        own = Path(private, "own")
        own.mkdir(mode=0o700)
        environ = plain | prepare(address, Desk(web or Web(), runner.environ, runner.mask), own)
        if options.command:
            return _run(options.command, project, environ)
        scratch = Path(private, "scratch")
        scratch.mkdir()
        wanted = read_pointers(folders)
        options.into.mkdir(parents=True, exist_ok=True)
        fetch(Dvc(project, environ), wanted, scratch, options.into)
    files, content = size(options.into)
    print(f"Fetched {files} files, {content:,} bytes, from {address}.")
    return 0


def _run(command: str, project: Path, environ: dict[str, str]) -> int:
    path = os.pathsep.join((str((project / ".venv" / "bin").absolute()), environ.get("PATH", os.defpath)))
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command],
        cwd=project,
        env={**environ, "PATH": path},
        stdin=subprocess.DEVNULL,
    )
    if done.returncode != 0:
        raise UserError(f"The command ended with exit code {done.returncode}: {command}", RIGHTS)
    return 0
