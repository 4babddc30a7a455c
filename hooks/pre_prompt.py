"""Refuse to ask questions on a machine that could not use the answers.

cookiecutter runs this file as it stands (it is not rendered). That it exists also matters: with it, later hooks get
an absolute path to the template.
"""

from __future__ import annotations

import shutil
import subprocess
import sys

MINIMUM_PYTHON = (3, 11)
MINIMUM_GIT = (2, 28)  # the first with `git init --initial-branch`

NO_PYTHON = (
    "Python 3.11 or newer is needed, this is {version}."
    " Run cookiecutter with a newer one: `uv tool install cookiecutter --python 3.12`."
)
NO_GIT = (
    "git is needed and was not found. Install it with your package manager, such as `apt-get install git`."
)
OLD_GIT = "git 2.28 or newer is needed, this is {version}. Update it with your package manager."
NO_UV = "uv is needed and was not found. Install it with `pipx install uv`, or see https://docs.astral.sh/uv."


def git_version() -> tuple[int, ...] | None:
    """Version of the installed git, or None without one."""
    if shutil.which("git") is None:
        return None
    words = subprocess.run(["git", "--version"], capture_output=True, text=True, check=True).stdout.split()
    return tuple(int(part) for part in words[2].split(".")[:2])


def problems(python: tuple[int, ...], git: tuple[int, ...] | None, uv: bool) -> list[str]:
    """One sentence for each thing that is missing, with the way to get it."""
    found = []
    if python[:2] < MINIMUM_PYTHON:
        found.append(NO_PYTHON.format(version=".".join(map(str, python[:3]))))
    if git is None:
        found.append(NO_GIT)
    elif git < MINIMUM_GIT:
        found.append(OLD_GIT.format(version=".".join(map(str, git))))
    if not uv:
        found.append(NO_UV)
    return found


def main() -> int:
    found = problems(sys.version_info[:3], git_version(), shutil.which("uv") is not None)
    for sentence in found:
        print(f"error: {sentence}", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
