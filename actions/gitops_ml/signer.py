"""Who signs a model, decided before anything that signing needs is installed: a key, the job itself, or nobody."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gitops_ml.errors import UserError
from gitops_ml.inputs import load_json

Wish = Literal["auto", "required", "never"]
Means = Literal["key", "keyless", "none"]
WISHES: tuple[Wish, ...] = ("auto", "required", "never")
# A private key in PEM, as a secret has it.
KEY_VARIABLE = "SIGNING_KEY"

_FIX = """\
Give the action `signing-key`, a private key in PEM (on a laptop: --key key.pem), or let this job prove who it is:

    permissions:
      id-token: write
"""


@dataclass(frozen=True)
class Identities:
    """What a job could sign with. `public` is whether everybody may know its repository."""

    key: bool
    token: bool
    public: bool


@dataclass(frozen=True)
class Choice:
    """With `none`, `why` says what is missing."""

    means: Means
    why: str = ""


def find(environ: Mapping[str, str], key: Path | None = None) -> Identities:
    """What this environment offers; a repository of which nothing is known is not public."""
    return Identities(
        key=key is not None or bool(environ.get(KEY_VARIABLE, "").strip()),
        token=bool(environ.get("ACTIONS_ID_TOKEN_REQUEST_URL")),
        public=_is_public(environ.get("GITHUB_EVENT_PATH", "")),
    )


def _is_public(event: str) -> bool:
    try:
        found = load_json(Path(event)) if event else None
    except UserError:
        return False
    repository = found.get("repository") if isinstance(found, dict) else None
    return isinstance(repository, dict) and repository.get("private") is False


def choose(wish: Wish, identities: Identities) -> Choice:
    """A key before the job's own identity; raises `UserError` when a signature is required and nobody can sign.

    Signing without a key writes the repository's name, workflow and commit into a public log for good. A private
    repository does so only when a signature is required.
    """
    if wish == "never":
        return Choice("none", "it was not asked for")
    if identities.key:
        return Choice("key")
    if identities.token and (identities.public or wish == "required"):
        return Choice("keyless")
    if wish == "required":
        raise UserError("The model has to be signed, and there is no identity to sign it with.", _FIX)
    if identities.token:
        return Choice("none", "no key, and without one a public log would name this private repository")
    return Choice("none", "no identity: neither a key nor a token of this job")
