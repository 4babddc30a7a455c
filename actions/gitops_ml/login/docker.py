"""docker's own memory of a login, kept for one job: what a runner that lives on finds of it later is nothing."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gitops_ml.delivery.registry_login import Login, docker_folder, read_config, server_of
from gitops_ml.engine import last_line
from gitops_ml.errors import UserError
from gitops_ml.escape import visible

PATIENCE_S = 120


def folder_for_job(temp: Path, host: str, environ: Mapping[str, str]) -> Path:
    """A copy of docker's folder in `temp`, which the runner empties; a login at `host` is written into its file.

    Everything else (plugins, contexts, other logins and their helpers) is as it was. Raises `UserError`.
    """
    old, new = docker_folder(environ), temp / "gitops-ml" / "docker"
    config: dict[str, Any] = dict(read_config(old / "config.json"))
    helpers = config.get("credHelpers")
    # Without a helper docker writes the login into this file, instead of where it would outlive the job.
    config["credHelpers"] = {**(helpers if isinstance(helpers, dict) else {}), server_of(host): ""}
    new.mkdir(parents=True, mode=0o700, exist_ok=True)
    for entry in old.iterdir() if old.is_dir() and old != new else ():
        if entry.name != "config.json" and not (new / entry.name).is_symlink():
            (new / entry.name).symlink_to(entry.absolute())
    path = new / "config.json"
    path.touch(mode=0o600)
    path.write_text(json.dumps(config), encoding="utf-8")
    return new


def log_in(docker: str, host: str, login: Login, environ: Mapping[str, str]) -> None:
    """`docker login`, the password on its standard input; raises `UserError` with docker's words when it is refused."""
    words = [docker, "login", "--username", login.user, "--password-stdin", host]
    try:
        done = subprocess.run(
            words,
            input=login.password,
            env=dict(environ),
            capture_output=True,
            text=True,
            errors="replace",
            timeout=PATIENCE_S,
        )
    except subprocess.TimeoutExpired:
        raise UserError(f"{host} did not answer docker's login within {PATIENCE_S} s.") from None
    if done.returncode != 0:
        said = visible(last_line(done.stderr or done.stdout), 200)
        raise UserError(
            f"{host} refuses the login of {visible(login.user, 60)}: {said}",
            "Check that account, and that it may use this registry.",
        )
