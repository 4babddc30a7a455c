"""A job's identity: a token, signed by GitHub for one audience, that says which repository and environment runs."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from gitops_ml.errors import UserError
from gitops_ml.escape import visible
from gitops_ml.login.web import Web

_GRANT = """\
Grant it in this job, and in the job of every workflow that calls this one:

    permissions:
      id-token: write
"""


@dataclass(frozen=True)
class Identity:
    """Who has to be trusted: `subject`, such as `repo:octo/churn:environment:production`, as `issuer` signs it."""

    token: str = field(repr=False)
    subject: str
    issuer: str


@dataclass(frozen=True)
class Desk:
    """What the clouds' logins share: requests, what the step was given, and the runner's list of secrets."""

    web: Web
    environ: Mapping[str, str] = field(repr=False)
    mask: Callable[[str], None]

    def identity(self, audience: str) -> Identity:
        """Raises `UserError` when this job may not prove who it is."""
        url = self.environ.get("ACTIONS_ID_TOKEN_REQUEST_URL", "")
        proof = self.environ.get("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "")
        if not url or not proof:
            raise UserError("This job may not prove who it is: it has no `id-token: write`.", _GRANT)
        address = f"{url}{'&' if '?' in url else '?'}audience={quote(audience, safe='')}"
        answer = self.web.get(address, {"Authorization": f"bearer {proof}"})
        token = self.secret(answer.text("value"))
        if answer.status != 200 or not token:
            raise UserError(f"GitHub gave this job no identity: status {answer.status}.", _GRANT)
        return Identity(token, _shown(token, "sub"), _shown(token, "iss"))

    def secret(self, value: str) -> str:
        """`value`, after the runner was told to show it nowhere."""
        if value:
            self.mask(value)
        return value


def claims(token: str) -> Mapping[str, Any]:
    """What the token says of itself; who receives it checks the signature. Empty when it is not one of GitHub's."""
    part = token.split(".")[1] if token.count(".") == 2 else ""
    try:
        found = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _shown(token: str, name: str) -> str:
    """For a person to read."""
    return visible(str(claims(token).get(name, "of this job")), 200)
