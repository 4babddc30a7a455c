"""Where an image comes from: the commit, the repository and the files of the model that go into it."""

from __future__ import annotations

import hashlib
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from gitops_ml.errors import UserError
from gitops_ml.inputs import check_regular, load_json

MODEL_LIMIT_BYTES = 10 * 1024**3
UNKNOWN = "unknown"
_SSH = re.compile(r"(?:ssh://)?[\w.-]+@([\w.-]+)(?::\d+)?[:/](.+)")


@dataclass(frozen=True)
class Provenance:
    """`revision` is a commit, with `-dirty` when tracked files differ from it; `epoch` is its time, in seconds."""

    source: str
    revision: str
    epoch: int
    model_hash: str
    data_hash: str


def of(project: Path, environ: Mapping[str, str]) -> Provenance:
    """What `project` holds now; raises `UserError` when its model is missing or not the contract's."""
    model_hash, data_hash = of_model(project / "model")
    return Provenance(
        source=_source(project, environ),
        revision=_revision(project),
        epoch=int(_git(project, "log", "-1", "--format=%ct") or 0),
        model_hash=model_hash,
        data_hash=data_hash,
    )


def of_model(folder: Path) -> tuple[str, str]:
    """The hashes of the model file and of the data it was trained on."""
    path, contract = folder / "model.skops", folder / "contract.json"
    if not path.is_file():
        raise UserError(
            f"{path} does not exist, so there is no model to put into an image.", "Run: make train"
        )
    check_regular(path, MODEL_LIMIT_BYTES)
    with path.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    named = load_json(contract)
    if not isinstance(named, dict) or named.get("model_hash") != found:
        raise UserError(
            f"{path} is not the model that {contract} was written for.",
            "Both must come from one training: run make train.",
        )
    return found, str(named.get("data_hash", ""))


def _revision(project: Path) -> str:
    commit = _git(project, "rev-parse", "--verify", "HEAD")
    if not commit:
        return UNKNOWN
    # DVC writes dvc.lock while it trains; that is a result, not a change of what was checked out.
    words = ("status", "--porcelain", "--untracked-files=no", "--", ":(top)", ":(exclude)dvc.lock")
    changed = _git(project, *words)
    return f"{commit}-dirty" if changed else commit


def _source(project: Path, environ: Mapping[str, str]) -> str:
    server, repository = environ.get("GITHUB_SERVER_URL"), environ.get("GITHUB_REPOSITORY")
    if server and repository:
        return f"{server}/{repository}"
    return public_url(_git(project, "remote", "get-url", "origin"))


def public_url(remote: str) -> str:
    """A git remote as a web address without credentials; empty when it is none, such as a folder."""
    ssh = _SSH.fullmatch(remote)
    if ssh:
        return f"https://{ssh[1]}/{ssh[2].removesuffix('.git')}"
    parts = urlsplit(remote)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return ""
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{parts.hostname}{port}{parts.path.removesuffix('.git')}"


def _git(project: Path, *words: str) -> str:
    """What git prints; empty when the project is no repository."""
    try:
        done = subprocess.run(
            ["git", "-C", str(project), *words], capture_output=True, text=True, stdin=subprocess.DEVNULL
        )
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
