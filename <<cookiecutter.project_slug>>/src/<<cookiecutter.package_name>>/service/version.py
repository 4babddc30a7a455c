"""Which release this is: what the build wrote into the environment, and what was computed from the loaded files."""

from __future__ import annotations

import platform
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata

from ..errors import UserError

# As in pyproject.toml; another Python has other packages, of which nobody saw the answers.
PYTHON = "<< cookiecutter.python_version >>"
# These values go into headers and metrics.
_PLAIN = re.compile(r"[A-Za-z0-9._:/@+-]{1,200}")


def check_python(running: str) -> None:
    """Raises UserError when `running`, such as 3.13.1, is not the Python that the model was evaluated with."""
    if not running.startswith(f"{PYTHON}."):
        raise UserError(
            f"pyproject.toml asks for Python {PYTHON}, but this is {running}; install {PYTHON}, or train again"
        )


@dataclass(frozen=True)
class Version:
    release: str
    commit: str
    image_digest: str
    model_name: str
    model_hash: str
    data_hash: str
    python: str
    scikit_learn: str


def of(environ: Mapping[str, str], *, model_name: str, model_hash: str, data_hash: str) -> Version:
    """Identity of this process; `unreleased` and `unknown` stand for what the environment does not say.

    Raises:
        UserError: a variable holds characters that have no place in an identifier.
    """

    def named(variable: str, otherwise: str) -> str:
        value = environ.get(variable) or otherwise
        if not _PLAIN.fullmatch(value):
            raise UserError(f"environment: {variable} is {value[:60]!r}, which is not an identifier")
        return value

    return Version(
        release=named("RELEASE_ID", "unreleased"),
        commit=named("RELEASE_COMMIT", "unknown"),
        image_digest=named("IMAGE_DIGEST", "unknown"),
        model_name=model_name,
        model_hash=model_hash,
        data_hash=data_hash,
        python=platform.python_version(),
        scikit_learn=metadata.version("scikit-learn"),
    )
