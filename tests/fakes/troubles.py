"""Answers of a GitHub that does not do what it is asked, worded as GitHub words them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Answer:
    """Status, body (None for none) and headers of one response."""

    status: int
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    # Sent as it is instead of `body`; such an answer is not held against the description.
    raw: bytes | None = None

    def content(self) -> bytes:
        if self.raw is not None:
            return self.raw
        return b"" if self.body is None else json.dumps(self.body).encode()


def said(status: int, message: str, **headers: str) -> Answer:
    """An error with GitHub's usual body; header names are written with `_` for `-`."""
    body = {"message": message, "documentation_url": "https://docs.github.com/rest"}
    return Answer(status, body, {name.replace("_", "-"): value for name, value in headers.items()})


READ_ONLY = said(
    403, "Resource not accessible by integration", X_Accepted_GitHub_Permissions="pull_requests=write"
)
PERSONAL = said(403, "Resource not accessible by personal access token")
POLICY = said(403, "`octo` forbids access via a personal access token (classic). Please use a GitHub App.")
IP_LIST = said(
    403,
    "Although you appear to have the correct authorization credentials, the `octo` organization has "
    "an IP allow list enabled, and your IP address is not permitted to access this resource.",
)
SSO = said(
    403,
    "Resource protected by organization SAML enforcement. You must grant your token access.",
    X_GitHub_SSO="required; url=https://github.com/orgs/octo/sso?authorization_request=x",
)
LOCKED = said(403, "Unable to create comment because issue is locked.")
SECONDARY = said(
    403,
    "You have exceeded a secondary rate limit. Please wait a few minutes before you try again.",
    Retry_After="7",
)
SECONDARY_SILENT = said(403, "You have exceeded a secondary rate limit and have been temporarily blocked.")
TOO_MANY = said(429, "Too many requests", Retry_After="3")
BAD_TOKEN = said(401, "Bad credentials")
NOT_FOUND = said(404, "Not Found")
SERVER_ERROR = said(502, "Server Error")


def used_up(reset: int) -> Answer:
    """The primary limit, over until the Unix time `reset`."""
    message = "API rate limit exceeded for installation ID 1."
    return said(403, message, X_RateLimit_Remaining="0", X_RateLimit_Reset=str(reset))


NO_PULLS_BY_ACTIONS = said(403, "GitHub Actions is not permitted to create or approve pull requests.")


def invalid(resource: str, name: str, message: str, code: str = "custom") -> Answer:
    """The refusal of a request whose field `name` is not what GitHub wants."""
    error = {"resource": resource, "code": code, "field": name, "message": message}
    body = {
        "message": "Validation Failed",
        "errors": [error],
        "documentation_url": "https://docs.github.com/rest",
    }
    return Answer(422, body)


def too_long(resource: str = "IssueComment", name: str = "data") -> Answer:
    """The refusal of a text over 65,536 characters."""
    return invalid(resource, name, "body is too long (maximum is 65536 characters)", "unprocessable")
