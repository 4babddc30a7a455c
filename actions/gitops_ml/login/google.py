"""Google's registry: the token service takes the job's identity, and lends it a service account for an hour.

After the references of Security Token Service (v1.token) and IAM Service Account Credentials (generateAccessToken).
"""

from __future__ import annotations

import re

from gitops_ml.delivery.registry_login import Login
from gitops_ml.errors import UserError
from gitops_ml.inputs import shown
from gitops_ml.login.identity import Desk, Identity

TOKENS = "https://sts.googleapis.com/v1/token"
ACCOUNTS = "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts"
SCOPE = "https://www.googleapis.com/auth/cloud-platform"
USER = "oauth2accesstoken"
_KIND = "urn:ietf:params:oauth"
_PROVIDER = re.compile(
    r"projects/[0-9]+/locations/global/workloadIdentityPools/[a-z0-9-]+/providers/[a-z0-9-]+"
)
_ACCOUNT = re.compile(r"[a-z0-9-]+@[a-z0-9.:-]+\.gserviceaccount\.com")


def log_in(desk: Desk) -> Login:
    """User and password for every registry that the account may use; raises `UserError` with what to change."""
    provider, account = desk.environ["GCP_PROVIDER"], desk.environ["GCP_SERVICE_ACCOUNT"]
    if not _PROVIDER.fullmatch(provider):
        raise UserError(
            f"The variable GCP_PROVIDER is {shown(provider, 200)}, which is not the name of a provider.",
            "It looks like projects/123456789012/locations/global/workloadIdentityPools/github/providers/github.",
        )
    if not _ACCOUNT.fullmatch(account):
        raise UserError(
            f"The variable GCP_SERVICE_ACCOUNT is {shown(account)}, which is not the address of a service account.",
            "It looks like push-images@your-project.iam.gserviceaccount.com.",
        )
    identity = desk.identity(f"https://iam.googleapis.com/{provider}")
    federated = _federate(provider, identity, desk)
    url = f"{ACCOUNTS}/{account}:generateAccessToken"
    answer = desk.web.post_json(url, {"scope": [SCOPE], "lifetime": "3600s"}, f"Bearer {federated}")
    token = desk.secret(answer.text("accessToken"))
    if answer.status == 200 and token:
        return Login(USER, token)
    said = answer.text("error", "message") or str(answer.status)
    pool = provider.rpartition("/providers/")[0]
    raise UserError(
        f"Google does not lend {account} to this job: {shown(said, 200)}.",
        "Give the role roles/iam.workloadIdentityUser on that account to\n"
        f"principal://iam.googleapis.com/{pool}/subject/{identity.subject}",
    )


def _federate(provider: str, identity: Identity, desk: Desk) -> str:
    form = {
        "grant_type": f"{_KIND}:grant-type:token-exchange",
        "audience": f"//iam.googleapis.com/{provider}",
        "scope": SCOPE,
        "requested_token_type": f"{_KIND}:token-type:access_token",
        "subject_token_type": f"{_KIND}:token-type:jwt",
        "subject_token": identity.token,
    }
    answer = desk.web.post_form(TOKENS, form)
    token = desk.secret(answer.text("access_token"))
    if answer.status == 200 and token:
        return token
    said = answer.text("error_description") or answer.text("error") or str(answer.status)
    raise UserError(
        f"Google does not take this job's identity: {shown(said, 200)}.",
        f"{provider} has to trust the issuer {identity.issuer} with its own default audience, and its condition has to "
        f"let in the subject {identity.subject}.",
    )
