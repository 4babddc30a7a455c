"""Clouds for tests: who gives identities, tokens and logins, from the shapes that their references document.

Requests go to the real names; `Rerouted` brings them to a server on this machine, and to nothing else.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import urllib3

from tests.fakes.loopback import Answer, Loopback

ISSUER = "https://token.actions.githubusercontent.com"
SUBJECT = "repo:octo/churn:environment:production"
RUNTIME = "https://runtime.actions.invalid/token?api-version=2.0"
RUNTIME_TOKEN = "runtime-token"
Reply = tuple[int, object]


class Rerouted(urllib3.PoolManager):
    """Sends what is meant for a name to the address that `routes` has for its end, over plain HTTP."""

    def __init__(self, routes: dict[str, str]) -> None:
        super().__init__()
        self.routes = routes
        self.hosts: list[str] = []
        self.headers: list[dict[str, str]] = []

    def request(self, method: str, url: str, **given: Any) -> Any:
        parts = urlsplit(url)
        self.hosts.append(parts.netloc)
        self.headers.append(dict(given["headers"]))
        if parts.hostname not in ("127.0.0.1", "localhost"):
            assert parts.scheme == "https", url
            (address,) = [to for end, to in self.routes.items() if parts.netloc.endswith(end)] or [""]
            if not address:
                raise urllib3.exceptions.NameResolutionError(parts.netloc, self, OSError())
            url = f"{address}{parts.path or '/'}" + (f"?{parts.query}" if parts.query else "")
            own = {name: value for name, value in given["headers"].items() if name.lower() != "host"}
            given["headers"] = {**own, "Host": parts.netloc}
        return super().request(method, url, **given)


def identity(audience: str, subject: str = SUBJECT) -> str:
    """A token as GitHub would sign it, but for the signature."""

    def part(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    return f"{part({'alg': 'RS256'})}.{part({'iss': ISSUER, 'sub': subject, 'aud': audience})}.c2lnbmVk"


def claims(token: str) -> dict[str, Any]:
    part = token.split(".")[1]
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return found


@dataclass
class Clouds(Loopback):
    """GitHub's identities, Google's and Microsoft's tokens, Azure's registry. `refusals` are answers by host."""

    refusals: dict[str, list[Reply]] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    provider: str = "projects/1/locations/global/workloadIdentityPools/github/providers/octo"
    account: str = "push@shop.iam.gserviceaccount.com"
    client: str = "11111111-2222-3333-4444-555555555555"
    tenant: str = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"

    @property
    def address(self) -> str:
        return f"http://{self.host}"

    def pool(self, **more: str) -> Rerouted:
        own = (".invalid", ".googleapis.com", ".microsoftonline.com", ".azurecr.io", ".amazonaws.com")
        return Rerouted({**dict.fromkeys(own, self.address), **more})

    def respond(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Answer:
        status, value = self.answer(headers["Host"], target, headers, body.decode())
        return status, {}, value.encode() if isinstance(value, str) else json.dumps(value).encode()

    def answer(self, host: str, target: str, headers: dict[str, str], body: str) -> Reply:
        parts = urlsplit(target)
        given = {name: values[0] for name, values in parse_qs(parts.query or body).items()}
        if headers.get("Content-Type", "").startswith("application/json"):
            given = json.loads(body)
        self.asked.append((host, given))
        if self.refusals.get(host):
            return self.refusals[host].pop(0)
        authorization = headers.get("Authorization", "")
        if host.endswith(".azurecr.io") and parts.path == "/oauth2/exchange":
            return self._exchange(host, given)
        if host.startswith("sts.") and host.endswith(".amazonaws.com"):
            keys = ("AccessKeyId", "SecretAccessKey", "SessionToken")
            return 200, "".join(f"<{name}>lent-{name}</{name}>" for name in keys)
        if host == "runtime.actions.invalid":
            return _identify(authorization, given)
        if host == "sts.googleapis.com":
            return self._federate(given)
        if host == "iamcredentials.googleapis.com":
            return self._lend(parts.path, authorization)
        if host == "login.microsoftonline.com":
            return self._entra(parts.path, given)
        return 404, {"message": f"nothing at {host}{parts.path}"}

    def _lend(self, path: str, authorization: str) -> Reply:
        known = path == f"/v1/projects/-/serviceAccounts/{self.account}:generateAccessToken"
        if not known or authorization != "Bearer federated-token":
            return denied("Permission 'iam.serviceAccounts.getAccessToken' denied on resource.")
        return 200, {"accessToken": "lent-token", "expireTime": "2026-01-01T01:00:00Z"}

    def _exchange(self, host: str, given: dict[str, Any]) -> Reply:
        wanted = {"grant_type": "access_token", "service": host, "tenant": self.tenant}
        if {**given, "access_token": ""} != {**wanted, "access_token": ""}:
            return 400, {"errors": [{"code": "BAD_REQUEST", "message": "the form is another one"}]}
        if given["access_token"] != "entra-token":
            return 401, {"errors": [{"code": "UNAUTHORIZED", "message": "authentication required"}]}
        return 200, {"refresh_token": "registry-token"}

    def _federate(self, given: dict[str, Any]) -> Reply:
        kind = "urn:ietf:params:oauth"
        asked = (given["grant_type"], given["subject_token_type"], given["requested_token_type"])
        if asked != (
            f"{kind}:grant-type:token-exchange",
            f"{kind}:token-type:jwt",
            f"{kind}:token-type:access_token",
        ):
            return 400, {"error": "invalid_request", "error_description": "Invalid grant or token type."}
        if given["audience"] != f"//iam.googleapis.com/{self.provider}":
            return 400, {"error": "invalid_target", "error_description": "The target service is invalid."}
        if claims(given["subject_token"])["aud"] != f"https://iam.googleapis.com/{self.provider}":
            said = "The audience in ID Token does not match the expected audience."
            return 400, {"error": "invalid_grant", "error_description": said}
        return 200, {"access_token": "federated-token", "token_type": "Bearer", "expires_in": 3600}

    def _entra(self, path: str, given: dict[str, Any]) -> Reply:
        found = claims(given["client_assertion"])
        if path != f"/{self.tenant}/oauth2/v2.0/token" or given["client_id"] != self.client:
            return entra(700016, "Application with identifier was not found in the directory.")
        if given["scope"] != "https://containerregistry.azure.net/.default":
            return entra(500011, "The resource principal was not found in the tenant.")
        if (found["aud"], found["sub"]) != ("api://AzureADTokenExchange", SUBJECT):
            said = f"No matching federated identity record found for presented assertion subject '{found['sub']}'."
            return entra(700213, said)
        return 200, {"access_token": "entra-token", "token_type": "Bearer", "expires_in": 3599}


def _identify(authorization: str, given: dict[str, Any]) -> Reply:
    if authorization != f"bearer {RUNTIME_TOKEN}":
        return 401, {"message": "Unauthorized"}
    return 200, {"value": identity(given["audience"])}


def denied(message: str) -> Reply:
    """As Google's APIs refuse."""
    return 403, {"error": {"code": 403, "message": message, "status": "PERMISSION_DENIED"}}


def entra(code: int, message: str) -> Reply:
    """As Entra refuses."""
    said = f"AADSTS{code}: {message} Trace ID: 1-2 Correlation ID: 3-4 Timestamp: 2026-01-01 00:00:00Z"
    return 401, {"error": "invalid_client", "error_description": said, "error_codes": [code]}


def sts(status: int, code: str, message: str) -> Reply:
    """As AWS' token service refuses."""
    error = f"<Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>"
    return status, (
        f'<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">{error}</ErrorResponse>'
    )
