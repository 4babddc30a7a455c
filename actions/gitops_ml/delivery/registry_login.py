"""The login at a registry that docker keeps: in its config.json, or with the helper that this file names."""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gitops_ml.errors import UserError

_HELPER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_HELPER_S = 60
_LIMIT_BYTES = 1024 * 1024


@dataclass(frozen=True)
class Login:
    """User and password, or an `identity` that is exchanged for a token. Never printed."""

    user: str = field(repr=False)
    password: str = field(repr=False)
    identity: str = field(default="", repr=False)

    @property
    def basic(self) -> str:
        return "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode()).decode("ascii")


def find_login(host: str, environ: Mapping[str, str]) -> Login | None:
    """What docker would log in with at `host`; None when it is not logged in. Raises `UserError` for a broken file."""
    path = docker_folder(environ) / "config.json"
    config = read_config(path)
    server = server_of(host)
    helpers = config.get("credHelpers")
    # As docker reads it: an empty helper means this file, also where another one keeps the rest.
    helper = helpers.get(server) if isinstance(helpers, dict) else None
    helper = config.get("credsStore") if helper is None else helper
    if isinstance(helper, str) and helper:
        return _ask(helper, server, environ)
    auths = config.get("auths")
    for name in (server, f"https://{server}", f"https://{server}/v1/", f"https://{server}/v2/"):
        entry = auths.get(name) if isinstance(auths, dict) else None
        if isinstance(entry, dict) and entry:
            return _entry(entry, path, name)
    return None


def server_of(host: str) -> str:
    """Under which name docker keeps a login at `host`."""
    return "https://index.docker.io/v1/" if host == "docker.io" else host


def docker_folder(environ: Mapping[str, str]) -> Path:
    """Where docker keeps its config.json."""
    given = environ.get("DOCKER_CONFIG")
    return Path(given) if given else Path(environ.get("HOME", "")) / ".docker"


def read_config(path: Path) -> dict[str, Any]:
    """docker's config.json, empty where there is none; raises `UserError` when it can't be read."""
    try:
        content = path.read_bytes()[:_LIMIT_BYTES]
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.") from None
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise UserError(f"{path} is not JSON.", "Let docker write it anew: docker login")
    return value


def _entry(entry: Mapping[str, Any], path: Path, name: str) -> Login:
    identity = entry.get("identitytoken")
    try:
        text = base64.b64decode(str(entry.get("auth") or ""), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise UserError(
            f"{path}: the login at {name} is broken.", f"Log in anew: docker login {name}"
        ) from None
    user, _, password = text.partition(":")
    return Login(user, password, str(identity or ""))


def _ask(helper: str, server: str, environ: Mapping[str, str]) -> Login | None:
    """What the credential helper keeps for `server`; None when it has nothing."""
    program = f"docker-credential-{helper}"
    folders = [Path(each) for each in environ.get("PATH", os.defpath).split(os.pathsep)]
    # A relative entry of PATH would let the checkout decide which program runs here.
    found = [folder / program for folder in folders if folder.is_absolute() and (folder / program).is_file()]
    if not _HELPER.fullmatch(helper) or not found:
        raise UserError(
            f"docker keeps its passwords with {program}, which is not on PATH.",
            "Install it, or take `credsStore` and `credHelpers` out of docker's config.json and log in again.",
        )
    try:
        done = subprocess.run(
            [str(found[0]), "get"],
            input=server,
            env=dict(environ),
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_HELPER_S,
        )
        value = json.loads(done.stdout) if done.returncode == 0 else {}
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        raise UserError(f"{program} failed ({type(error).__name__}).", "Log in anew: docker login") from None
    user, secret = str(value.get("Username") or ""), str(value.get("Secret") or "")
    if not secret:
        return None
    # So docker's helpers say that the secret is no password.
    return Login("", "", secret) if user == "<token>" else Login(user, secret)
