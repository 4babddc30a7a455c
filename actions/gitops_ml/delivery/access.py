"""Which repository on which forge this clone belongs to, and with whose token the API is asked."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from gitops_ml.delivery.git import Git
from gitops_ml.github import GitHub

_NAME = r"[A-Za-z0-9._-]{1,100}"
_REPOSITORY = re.compile(rf"{_NAME}/{_NAME}")
# git@host:owner/name.git, as git writes addresses of ssh without a scheme.
_SCP = re.compile(rf"(?:[A-Za-z0-9._-]+@)?([A-Za-z0-9.-]+):/?({_NAME}/{_NAME}?)/?")
_GH_TIMEOUT_S = 30


@dataclass(frozen=True)
class Place:
    """One repository: `server` is the address of its web pages, `api` that of its API."""

    server: str
    api: str
    repository: str

    @property
    def page(self) -> str:
        return f"{self.server}/{self.repository}"

    def new_pull(self, branch: str, title: str) -> str:
        """Where a person can open the pull request of `branch` with two clicks."""
        return f"{self.page}/compare/main...{quote(branch)}?expand=1&title={quote(title)}"


def find_place(git: Git, remote: str, environ: Mapping[str, str]) -> Place | None:
    """The repository: as the runner names it, else where `remote` points; None when that is no address of a forge."""
    server = environ.get("GITHUB_SERVER_URL", "").rstrip("/")
    repository, api = environ.get("GITHUB_REPOSITORY", ""), environ.get("GITHUB_API_URL", "").rstrip("/")
    if not (server and _REPOSITORY.fullmatch(repository)):
        found = parse_address(git.try_("remote", "get-url", remote).text)
        if found is None:
            return None
        server, repository = found
    if not api:
        # Where an Enterprise Server has its API. Forgejo and Gitea say theirs in GITHUB_API_URL.
        api = "https://api.github.com" if server == "https://github.com" else f"{server}/api/v3"
    return Place(server, api, repository)


def parse_address(address: str) -> tuple[str, str] | None:
    """The web server and `owner/name` of a git address; None for a folder or something else."""
    if "://" in address:
        parts = urlsplit(address)
        host, path = parts.hostname or "", parts.path.strip("/")
        if parts.scheme not in ("https", "http", "ssh", "git"):
            return None
        if parts.scheme in ("https", "http"):
            # Without the name and password that may stand before the host.
            host = parts.netloc.rpartition("@")[2]
    else:
        match = _SCP.fullmatch(address)
        if match is None:
            return None
        host, path = match[1], match[2]
    path = path.removesuffix(".git")
    scheme = "http" if address.startswith("http://") else "https"
    return (f"{scheme}://{host}", path) if host and _REPOSITORY.fullmatch(path) else None


def find_token(place: Place, environ: Mapping[str, str]) -> str:
    """GITHUB_TOKEN, GH_TOKEN, or on a laptop what the program `gh` is logged in with; empty when there is none."""
    for name in ("GITHUB_TOKEN", "GH_TOKEN"):
        if environ.get(name):
            return environ[name]
    if environ.get("GITHUB_ACTIONS") == "true":
        return ""
    host = urlsplit(place.server).hostname or ""
    words = ["gh", "auth", "token", "--hostname", host]
    try:
        done = subprocess.run(
            words,
            capture_output=True,
            text=True,
            timeout=_GH_TIMEOUT_S,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def find_github(place: Place, environ: Mapping[str, str]) -> GitHub | None:
    """The API of `place`, or None on a laptop without a token; on a runner a missing token is an error."""
    token = find_token(place, environ)
    if not token and environ.get("GITHUB_ACTIONS") != "true":
        return None
    return GitHub(place.api, token)
