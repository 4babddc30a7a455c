"""What a refusal of the API means, and the lines to paste that mend it.

GitHub answers 403 to a token that may not write, to one it has throttled, and to one an organisation has not let
in; only headers and wording tell them apart.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from gitops_ml.errors import UserError
from gitops_ml.escape import visible

Kind = Literal[
    "single sign-on",
    "rate limit",
    "secondary limit",
    "locked",
    "organisation policy",
    "fork",
    "permission",
    "unknown",
]

_PERMISSIONS = """Give the job that posts the comment the right to do so:

permissions:
  actions: read          # takes the report of the run
  pull-requests: write   # posts the comment
"""
_WORKFLOW_RUN = """A run for a fork has a read-only token. Post from a second workflow, on the default branch:

on:
  workflow_run:
    workflows: [pull-request]
    types: [completed]
permissions: {}
jobs:
  comment:
    runs-on: ubuntu-latest
    permissions:
      actions: read          # takes the report of the run
      pull-requests: write   # posts the comment
"""
_POLICY = """An owner of the organisation has to allow it: Settings > Actions > General > Workflow permissions, or
Settings > Personal access tokens, or the IP allow list. With GITHUB_TOKEN no personal token is needed:

    env:
      GITHUB_TOKEN: ${{ github.token }}
"""
_RATE = """GITHUB_TOKEN may make 1,000 requests per hour and repository. Run the job again later, and let newer runs
replace older ones:

concurrency:
  group: comment-${{ github.event.workflow_run.head_branch }}
  cancel-in-progress: true
"""
_SECONDARY = """Too many requests came at the same time. Run the job again later, and let one job post at a time:

concurrency:
  group: comment
  cancel-in-progress: false
"""
_SSO = """Authorise the token for the organisation under Settings > Developer settings > Personal access tokens >
Configure SSO, or use the token of the run, which needs no authorisation:

    env:
      GITHUB_TOKEN: ${{ github.token }}
"""
_LOCKED = "The conversation is locked. Unlock it, or leave the report in the job summary."
_FIXES: Mapping[Kind, str] = {
    "single sign-on": _SSO,
    "rate limit": _RATE,
    "secondary limit": _SECONDARY,
    "locked": _LOCKED,
    "organisation policy": _POLICY,
    "fork": _WORKFLOW_RUN,
    "permission": _PERMISSIONS,
    "unknown": _PERMISSIONS,
}
_REASONS: Mapping[Kind, str] = {
    "single sign-on": "the organisation wants single sign-on and the token is not authorised for it",
    "rate limit": "the token has used up its requests of this hour",
    "secondary limit": "GitHub's limit for requests at the same time is reached",
    "locked": "the conversation of the pull request is locked",
    "organisation policy": "a policy of the organisation forbids it",
    "fork": "the run belongs to a pull request from a fork, whose token is read-only",
    "permission": "the token lacks a permission",
    "unknown": "it gave no reason that is known here",
}
_SECONDARY_WORDS = ("secondary rate limit", "abuse detection", "submitted too quickly")
_POLICY_WORDS = (
    "organization has enabled",
    "organization has enforced",
    "ip allow list",
    "forbids access via",
    "oauth app access restrictions",
    "enterprise policy",
    "organization policy",
    "not permitted by the organization",
    "disabled by the organization",
)
_PERMISSION_WORDS = ("resource not accessible by", "must have admin rights", "must have push access")


@dataclass(frozen=True)
class Refusal:
    """An answer that is not what was asked for: status, headers in lower case, GitHub's own message."""

    status: int
    headers: Mapping[str, str]
    message: str

    def kind(self, from_fork: bool) -> Kind:
        """Which of the reasons for a 403 or 429 it is."""
        words = self.message.lower()
        if "x-github-sso" in self.headers or "saml enforcement" in words or "saml sso" in words:
            return "single sign-on"
        if self.headers.get("x-ratelimit-remaining") == "0" or "api rate limit exceeded" in words:
            return "rate limit"
        if (
            self.status == 429
            or "retry-after" in self.headers
            or any(part in words for part in _SECONDARY_WORDS)
        ):
            return "secondary limit"
        if "is locked" in words:
            return "locked"
        if any(part in words for part in _POLICY_WORDS):
            return "organisation policy"
        if any(part in words for part in _PERMISSION_WORDS):
            return "fork" if from_fork else "permission"
        return "unknown"

    @property
    def throttled(self) -> bool:
        """Whether the same request may succeed after waiting."""
        return self.status in (403, 429) and self.kind(False) in ("rate limit", "secondary limit")

    def wait(self, now: float, attempt: int) -> float:
        """Seconds to wait before attempt number `attempt` + 1, as GitHub documents it; `now` is Unix time."""
        asked = self.headers.get("retry-after", "")
        if re.fullmatch(r"\d{1,6}", asked):
            return float(asked)
        reset = self.headers.get("x-ratelimit-reset", "")
        if self.headers.get("x-ratelimit-remaining") == "0" and re.fullmatch(r"\d{1,12}", reset):
            return max(0.0, float(reset) - now) + 1
        return float(60 * 2 ** (attempt - 1))

    def error(self, what: str, from_fork: bool) -> UserError:
        """The user's error for a refused `what` (method and path)."""
        said = f' It says: "{visible(self.message, 200)}".' if self.message else ""
        match self.status:
            case 401:
                return UserError(
                    f"GitHub does not know the token ({what}: 401).{said}",
                    "Pass a token that has not expired:\n\n    env:\n      GITHUB_TOKEN: ${{ github.token }}\n",
                )
            case 403 | 429:
                kind = self.kind(from_fork)
                needed = visible(self.headers.get("x-accepted-github-permissions", ""), 100)
                wants = f" It wants: {needed}." if needed and kind in ("permission", "unknown") else ""
                return UserError(
                    f"GitHub refused {what} ({self.status}): {_REASONS[kind]}.{said}{wants}", _FIXES[kind]
                )
            case 404:
                return UserError(
                    f"GitHub finds nothing at {what} (404); a token that may not read it gets the same.{said}",
                    _PERMISSIONS,
                )
            case _:
                return UserError(
                    f"GitHub answered {what} with status {self.status}.{said}", "Run the job again later."
                )
