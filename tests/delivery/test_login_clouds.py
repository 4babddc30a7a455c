"""Identities instead of keys: moto as AWS, played Google and Azure, and what each of them says when it refuses."""

from __future__ import annotations

import json
import os
import urllib.request
from pathlib import Path
from urllib.parse import urlencode

import pytest
from gitops_ml.errors import UserError

from tests.delivery.job import ACR, ECR, GAR, Job, clouds, job
from tests.fakes.clouds import ISSUER, SUBJECT, Clouds, Rerouted, denied, entra, sts
from tests.fakes.moto import moto_server

__all__ = ["clouds", "job"]

STS, API = "sts.eu-central-1.amazonaws.com", "api.ecr.eu-central-1.amazonaws.com"


@pytest.mark.parametrize("image", [f"{ECR}/m", f"{GAR}/p/r/m", f"{ACR}/m"])
def test_a_job_without_the_right_to_an_identity_is_told_how_to_get_it(
    job: Job, clouds: Clouds, image: str
) -> None:
    error = job.refused(image, ACTIONS_ID_TOKEN_REQUEST_URL="")
    assert "has no `id-token: write`" in error.message
    assert "id-token: write" in error.fix
    clouds.refusals["runtime.actions.invalid"] = [(403, {"message": "no"})]
    assert "GitHub gave this job no identity: status 403" in job.refused(image).message


def test_google_lends_an_account(job: Job, clouds: Clouds, capsys: pytest.CaptureFixture[str]) -> None:
    job.log_in(f"{GAR}/shop/models/churn")
    assert job.called() == (f"login --username oauth2accesstoken --password-stdin {GAR}", "lent-token")
    lines = capsys.readouterr().out.splitlines()
    assert lines[1:] == [
        "::add-mask::federated-token",
        "::add-mask::lent-token",
        f"Logged in to {GAR} as oauth2accesstoken.",
    ]
    assert lines[0].startswith("::add-mask::ey"), "the identity is a secret, too"
    assert [host for host, _ in clouds.asked] == [
        "runtime.actions.invalid",
        "sts.googleapis.com",
        "iamcredentials.googleapis.com",
    ]


def test_azure_exchanges_an_identity(job: Job, capsys: pytest.CaptureFixture[str]) -> None:
    job.log_in(f"{ACR}/churn")
    user = "00000000-0000-0000-0000-000000000000"
    assert job.called() == (f"login --username {user} --password-stdin {ACR}", "registry-token")
    lines = capsys.readouterr().out.splitlines()
    assert lines[1:3] == ["::add-mask::entra-token", "::add-mask::registry-token"]


REFUSALS = {
    "the token service of AWS does not know the subject": (
        f"{ECR}/m",
        STS,
        sts(403, "AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity"),
        "'AccessDenied', 'Not authorized",
        f"{ISSUER}, the audience sts.amazonaws.com and the subject {SUBJECT}",
    ),
    "the account of AWS does not know GitHub": (
        f"{ECR}/m",
        STS,
        sts(400, "InvalidIdentityToken", f"No OpenIDConnect provider found in your account for {ISSUER}"),
        "No OpenIDConnect provider found",
        f"Add the identity provider {ISSUER}",
    ),
    "the identity is too old for AWS": (
        f"{ECR}/m",
        STS,
        sts(400, "ExpiredTokenException", "Token expired: current date/time must be before the expiration"),
        "'ExpiredTokenException'",
        "Run the job again.",
    ),
    "the role of AWS may do nothing": (
        f"{ECR}/m",
        API,
        (400, {"__type": "com.amazon#AccessDeniedException", "message": "User is not authorized to perform"}),
        "status 400, 'AccessDeniedException', 'User is not",
        "`ecr:GetAuthorizationToken`",
    ),
    "ECR says nothing": (
        f"{ECR}/m",
        API,
        (200, {"authorizationData": []}),
        "ECR answered without a login",
        "",
    ),
    "AWS says nothing": (f"{ECR}/m", STS, (200, ""), "STS answered without keys", ""),
    "Google knows another audience": (
        f"{GAR}/p/r/m",
        "sts.googleapis.com",
        (400, {"error": "invalid_grant", "error_description": "The audience in ID Token does not match."}),
        "does not take this job's identity: 'The audience",
        f"has to trust the issuer {ISSUER}",
    ),
    "Google's condition is not met": (
        f"{GAR}/p/r/m",
        "sts.googleapis.com",
        (
            403,
            {
                "error": "unauthorized_client",
                "error_description": "The given credential is rejected by the attribute condition.",
            },
        ),
        "rejected by the attribute condition",
        f"let in the subject {SUBJECT}",
    ),
    "Google's account is not lent": (
        f"{GAR}/p/r/m",
        "iamcredentials.googleapis.com",
        denied("Permission 'iam.serviceAccounts.getAccessToken' denied on resource."),
        "does not lend push@shop.iam.gserviceaccount.com",
        f"workloadIdentityPools/github/subject/{SUBJECT}",
    ),
    "Azure knows no such credential": (
        f"{ACR}/m",
        "login.microsoftonline.com",
        entra(
            700213,
            f"No matching federated identity record found for presented assertion subject '{SUBJECT}'.",
        ),
        "AADSTS700213",
        f"the audience api://AzureADTokenExchange and the subject {SUBJECT}",
    ),
    "the identity is too old for Azure": (
        f"{ACR}/m",
        "login.microsoftonline.com",
        entra(700024, "Client assertion is not within its valid time range."),
        "valid time range",
        "federated credential",
    ),
    "Azure's registry does not let it in": (
        f"{ACR}/m",
        ACR,
        (401, {"errors": [{"code": "UNAUTHORIZED", "message": "authentication required"}]}),
        "'authentication required'",
        "AcrPush",
    ),
}


@pytest.mark.parametrize(("image", "host", "reply", "sentence", "fix"), REFUSALS.values(), ids=list(REFUSALS))
def test_a_refusal_is_one_sentence_with_what_to_change(
    job: Job, clouds: Clouds, image: str, host: str, reply: tuple[int, object], sentence: str, fix: str
) -> None:
    clouds.refusals[host] = [reply]
    error = job.refused(image)
    assert sentence in error.message
    assert fix in error.fix
    assert "Trace ID" not in error.message


def test_a_cloud_that_fails_for_a_moment_is_asked_again(job: Job, clouds: Clouds) -> None:
    clouds.refusals["sts.googleapis.com"] = [(503, {}), (429, {})]
    job.log_in(f"{GAR}/p/r/m")
    clouds.refusals["login.microsoftonline.com"] = [(500, {})] * 4
    with pytest.raises(UserError, match=r"login\.microsoftonline\.com failed with status 500"):
        job.log_in(f"{ACR}/m")
    job.pool.routes = {}
    with pytest.raises(UserError, match=r"runtime\.actions\.invalid can't be reached"):
        job.log_in(f"{ACR}/m")


def test_nothing_is_sent_without_encryption(job: Job) -> None:
    error = job.refused(f"{ACR}/m", ACTIONS_ID_TOKEN_REQUEST_URL="http://runtime.actions.invalid/token")
    assert "not reached over TLS" in error.message
    assert job.pool.hosts == []


def form(address: str, **fields: str) -> None:
    """One request to IAM, which takes any key while nobody checks."""
    scope = "AWS4-HMAC-SHA256 Credential=any/20260101/us-east-1/iam/aws4_request"
    request = urllib.request.Request(
        address, urlencode({"Version": "2010-05-08", **fields}).encode(), {"Authorization": scope}
    )
    urllib.request.urlopen(request, timeout=60).read()


def from_now_on_check(address: str, after: str) -> None:
    """Let moto check signatures and policies after as many requests."""
    plain = {"Content-Type": "text/plain"}
    request = urllib.request.Request(f"{address}/moto-api/reset-auth", after.encode(), plain)
    urllib.request.urlopen(request, timeout=60).read()


def test_aws_lends_a_role_whose_signature_it_accepts(
    tmp_path: Path, clouds: Clouds, capsys: pytest.CaptureFixture[str]
) -> None:
    """moto plays STS, IAM and ECR, and checks the signature with Amazon's own library; the role's policy counts."""
    trust = json.dumps({"Version": "2012-10-17", "Statement": []})
    with moto_server(os.environ) as address:
        from_now_on_check(address, "inf")
        for role, action in (("push", "ecr:GetAuthorizationToken"), ("idle", "ecr:ListImages")):
            form(address, Action="CreateRole", RoleName=role, AssumeRolePolicyDocument=trust)
            allowed = {"Effect": "Allow", "Action": action, "Resource": "*"}
            policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
            form(address, Action="PutRolePolicy", RoleName=role, PolicyName="p", PolicyDocument=policy)
        job = Job(tmp_path, clouds, Rerouted({".invalid": clouds.address, ".amazonaws.com": address}))
        # Anybody may ask STS; ECR is the second request.
        from_now_on_check(address, "1")
        job.log_in(f"{ECR}/churn")
        masked = capsys.readouterr().out.splitlines()[:-1]
        assert [line[:12] for line in masked] == ["::add-mask::"] * 4, "identity, key, session and password"
        from_now_on_check(address, "1")
        with pytest.raises(
            UserError, match="ECR gives arn:aws:iam::123456789012:role/idle no login: status 403"
        ):
            job.log_in(f"{ECR}/churn", AWS_ROLE="arn:aws:iam::123456789012:role/idle")
    assert job.called() == (f"login --username AWS --password-stdin {ECR}", "123456789012-auth-token")
    assert "/eu-central-1/ecr/aws4_request, SignedHeaders=" in job.pool.headers[-1]["authorization"]
    assert job.pool.hosts[-3:] == ["runtime.actions.invalid", STS, API]
