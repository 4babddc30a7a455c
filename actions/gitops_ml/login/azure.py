"""Azure's registry: Entra takes the job's identity for an application's, and the registry exchanges what that gives.

After the Microsoft identity platform (client credentials with a federated credential) and ACR's POST /oauth2/exchange.
"""

from __future__ import annotations

import re

from gitops_ml.delivery.registry_login import Login
from gitops_ml.errors import UserError
from gitops_ml.inputs import shown
from gitops_ml.login.identity import Desk
from gitops_ml.login.place import Place

AUDIENCE = "api://AzureADTokenExchange"
TOKENS = "https://login.microsoftonline.com"
SCOPE = "https://containerregistry.azure.net/.default"
# The registry's name for whoever logs in with a token.
USER = "00000000-0000-0000-0000-000000000000"
_ID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def log_in(place: Place, desk: Desk) -> Login:
    """User and password for the registry `place`, for three hours; raises `UserError` with what to change."""
    client, tenant = desk.environ["AZURE_CLIENT_ID"], desk.environ["AZURE_TENANT_ID"]
    for name, value in (("AZURE_CLIENT_ID", client), ("AZURE_TENANT_ID", tenant)):
        if not _ID.fullmatch(value):
            raise UserError(
                f"The variable {name} is {shown(value)}, which is not an id.", f"It looks like {USER}."
            )
    access = _token(client, tenant, desk)
    form = {"grant_type": "access_token", "service": place.host, "tenant": tenant, "access_token": access}
    answer = desk.web.post_form(f"https://{place.host}/oauth2/exchange", form)
    token = desk.secret(answer.text("refresh_token"))
    if answer.status == 200 and token:
        return Login(USER, token)
    errors = answer.value().get("errors")
    first = errors[0] if isinstance(errors, list) and errors and isinstance(errors[0], dict) else {}
    said = str(first.get("message") or answer.status)
    raise UserError(
        f"{place.host} gives {client} no login: {shown(said, 200)}.",
        "Give it the role AcrPush on the registry where images are pushed, AcrPull where they are only run.",
    )


def _token(client: str, tenant: str, desk: Desk) -> str:
    identity = desk.identity(AUDIENCE)
    form = {
        "grant_type": "client_credentials",
        "client_id": client,
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": identity.token,
        "scope": SCOPE,
    }
    answer = desk.web.post_form(f"{TOKENS}/{tenant}/oauth2/v2.0/token", form)
    token = desk.secret(answer.text("access_token"))
    if answer.status == 200 and token:
        return token
    said = answer.text("error_description").partition(" Trace ID:")[0] or str(answer.status)
    raise UserError(
        f"Azure does not take this job for {client}: {shown(said, 300)}.",
        f"It needs a federated credential with the issuer {identity.issuer}, the audience {AUDIENCE} and the subject "
        f"{identity.subject}, in exactly these letters.",
    )
