"""The token of a run, for git: given by environment, so that it is written into no file and no command line."""

from __future__ import annotations

import base64
from collections.abc import Mapping


def git_environ(environ: Mapping[str, str]) -> dict[str, str]:
    """Variables that let git speak to GITHUB_SERVER_URL with GITHUB_TOKEN; none where one of the two is missing.

    On a laptop git uses its own credentials. On a runner the checkout keeps none (`persist-credentials: false`).
    """
    token, server = environ.get("GITHUB_TOKEN", ""), environ.get("GITHUB_SERVER_URL", "").rstrip("/")
    if not token or environ.get("GITHUB_ACTIONS") != "true" or not server.startswith(("https://", "http://")):
        return {}
    basic = base64.b64encode(f"x-access-token:{token}".encode()).decode("ascii")
    first = int(environ.get("GIT_CONFIG_COUNT") or 0)
    return {
        "GIT_CONFIG_COUNT": str(first + 1),
        f"GIT_CONFIG_KEY_{first}": f"http.{server}/.extraHeader",
        f"GIT_CONFIG_VALUE_{first}": f"Authorization: Basic {basic}",
    }
