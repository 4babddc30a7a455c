"""Logging in to each kind of registry: with real ones, with moto as AWS, and with played clouds that also refuse."""

from __future__ import annotations

import argparse
import io
import json
import os
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest
from gitops_ml.delivery.oci import Repository
from gitops_ml.delivery.registry_login import find_login
from gitops_ml.engine import Docker
from gitops_ml.errors import UserError
from gitops_ml.login.place import place_of
from gitops_ml.login.web import Web
from gitops_ml.runner import Runner
from gitops_ml.verbs.login import run

from tests.actions.launching import files_of, launch
from tests.delivery.registries import PASSWORD, USER, locked_registry, push_image
from tests.fakes.clouds import ISSUER, RUNTIME, RUNTIME_TOKEN, SUBJECT, Clouds, Rerouted, denied, entra, sts
from tests.fakes.moto import moto_server
from tests.image.conftest import engine, registry, surroundings

__all__ = ["engine", "registry"]

ECR = "123456789012.dkr.ecr.eu-central-1.amazonaws.com"
GAR, ACR = "europe-west3-docker.pkg.dev", "shop.azurecr.io"
STS, API = "sts.eu-central-1.amazonaws.com", "api.ecr.eu-central-1.amazonaws.com"
# It writes down how it was called, and keeps the login where docker would.
DOCKER = """\
#!/bin/sh
if [ "$1" = login ]; then
  printf '%s\\n' "$*" >>"$CALLS"
  if [ -n "$REFUSES" ]; then echo "Error response from daemon: $REFUSES" >&2; exit 1; fi
  cat >>"$CALLS"
  printf '\\nin %s\\n' "$DOCKER_CONFIG" >>"$CALLS"
fi
"""


class Job:
    """One step of a job on a runner, with a docker that only writes down what it is asked."""

    def __init__(self, folder: Path, clouds: Clouds, pool: Rerouted | None = None) -> None:
        self.folder, self.pool = folder, pool or clouds.pool()
        self.home = folder / "home"
        self.home.mkdir()
        self.calls, self.exported = folder / "calls", folder / "exported"
        docker = folder / "docker"
        docker.write_text(DOCKER, encoding="utf-8")
        docker.chmod(0o755)
        self.environ = {
            "GITHUB_ACTIONS": "true",
            "GITHUB_ENV": str(self.exported),
            "GITHUB_ACTOR": "octo",
            "GITHUB_TOKEN": "token-of-the-run",
            "GITHUB_SERVER_URL": "https://github.com",
            "RUNNER_TEMP": str(folder / "temp"),
            "HOME": str(self.home),
            "PATH": os.environ["PATH"],
            "DOCKER": str(docker),
            "CALLS": str(self.calls),
            "ACTIONS_ID_TOKEN_REQUEST_URL": RUNTIME,
            "ACTIONS_ID_TOKEN_REQUEST_TOKEN": RUNTIME_TOKEN,
            "AWS_ROLE": "arn:aws:iam::123456789012:role/push",
            "GCP_PROVIDER": clouds.provider,
            "GCP_SERVICE_ACCOUNT": clouds.account,
            "AZURE_CLIENT_ID": clouds.client,
            "AZURE_TENANT_ID": clouds.tenant,
        }

    def log_in(self, image: str, **environ: str) -> None:
        runner = Runner({**self.environ, **environ}, io.StringIO())
        options = argparse.Namespace(image=image, repository=self.folder)
        run(options, runner, Web(self.pool, sleep=lambda seconds: None))

    def refused(self, image: str, **environ: str) -> UserError:
        """The error; docker was not called and no later step is told anything."""
        with pytest.raises(UserError) as caught:
            self.log_in(image, **environ)
        assert not self.exported.exists()
        return caught.value

    def called(self) -> tuple[str, str]:
        """How docker was called, and what it read."""
        command, secret, place = self.calls.read_text(encoding="utf-8").splitlines()
        assert place == f"in {self.folder / 'temp' / 'gitops-ml' / 'docker'}"
        assert files_of(self.exported) == {"DOCKER_CONFIG": place.removeprefix("in ")}
        return command, secret


@pytest.fixture
def clouds() -> Iterator[Clouds]:
    with Clouds() as running:
        yield running


@pytest.fixture
def job(tmp_path: Path, clouds: Clouds) -> Job:
    return Job(tmp_path, clouds)


@pytest.mark.parametrize(
    ("image", "server", "kind"),
    [
        ("ghcr.io/octo/churn", "https://github.com", "forge"),
        ("docker.io/octo/churn", "https://github.com", "account"),
        ("octo/churn", "https://github.com", "account"),
        (f"{ECR}/churn", "https://github.com", "aws"),
        ("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn/churn", "https://github.com", "aws"),
        (f"{GAR}/shop/models/churn", "https://github.com", "google"),
        (f"{ACR}/churn", "https://github.com", "azure"),
        ("evil.example/shop.azurecr.io/churn", "https://github.com", "account"),
        ("shop.azurecr.io.evil.example/churn", "https://github.com", "account"),
        ("1234567890123.dkr.ecr.eu-central-1.amazonaws.com/churn", "https://github.com", "account"),
        ("code.example.org/octo/churn", "https://code.example.org", "forge"),
        ("containers.code.example.org/octo/churn", "https://code.example.org", "forge"),
        ("ghcr.io/octo/churn", "https://code.example.org", "account"),
        ("code.example.org/octo/churn", "https://github.com", "account"),
    ],
)
def test_the_host_says_who_decides(image: str, server: str, kind: str) -> None:
    """The token of a run goes to the registry of its own forge, and the identity of a job to no stranger."""
    assert place_of(image, {"GITHUB_SERVER_URL": server}).kind == kind


def test_the_forge_takes_the_run_s_own_token(job: Job, capsys: pytest.CaptureFixture[str]) -> None:
    job.log_in("ghcr.io/octo/churn")
    assert job.called() == ("login --username octo --password-stdin ghcr.io", "token-of-the-run")
    assert capsys.readouterr().out == "::add-mask::token-of-the-run\nLogged in to ghcr.io as octo.\n"
    assert job.pool.hosts == []


def test_an_account_is_taken_wherever_it_is_given(job: Job) -> None:
    given = {"REGISTRY_USERNAME": "robot", "REGISTRY_PASSWORD": "its password"}
    for image, host in (("ghcr.io/o/m", "ghcr.io"), (f"{ACR}/m", ACR), ("docker.io/o/m", "docker.io")):
        job.calls.unlink(missing_ok=True)
        job.exported.unlink(missing_ok=True)
        job.log_in(image, **given)
        assert job.called() == (f"login --username robot --password-stdin {host}", "its password")


def test_what_is_missing_is_named(job: Job) -> None:
    said = {
        "ghcr.io/o/m": ({"GITHUB_TOKEN": ""}, "ghcr.io: GITHUB_TOKEN is not set"),
        "docker.io/o/m": ({"REGISTRY_PASSWORD": "x"}, "docker.io: REGISTRY_USERNAME is not set"),
        f"{ECR}/m": ({"AWS_ROLE": ""}, f"{ECR}: AWS_ROLE is not set"),
        f"{GAR}/p/r/m": (
            {"GCP_PROVIDER": "", "GCP_SERVICE_ACCOUNT": ""},
            "GCP_PROVIDER and GCP_SERVICE_ACCOUNT are not set",
        ),
        f"{ACR}/m": ({"AZURE_TENANT_ID": ""}, f"{ACR}: AZURE_TENANT_ID is not set"),
    }
    for image, (environ, sentence) in said.items():
        error = job.refused(image, **environ)
        assert sentence in error.message
        assert "variable of the repository" in error.fix


def test_what_cannot_be_is_refused_before_anything_is_sent(job: Job) -> None:
    wrong = {
        f"{ECR}/m": ("AWS_ROLE", "push", "not the ARN of a role"),
        f"{GAR}/p/r/m": ("GCP_PROVIDER", "https://iam.googleapis.com/x", "not the name of a provider"),
        f"{GAR}/p/r/n": ("GCP_SERVICE_ACCOUNT", "me@example.org", "not the address of a service account"),
        f"{ACR}/m": ("AZURE_CLIENT_ID", "../../v2", "not an id"),
    }
    for image, (name, value, sentence) in wrong.items():
        error = job.refused(image, **{name: value})
        assert sentence in error.message
        assert "looks like" in error.fix
    assert job.pool.hosts == []


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


def test_docker_s_own_words_are_passed_on(job: Job) -> None:
    error = job.refused("ghcr.io/o/m", REFUSES='Get "https://ghcr.io/v2/": denied: denied')
    assert "ghcr.io refuses the login of octo" in error.message
    assert "denied: denied" in error.message


def test_the_rest_of_docker_s_folder_stays_as_it_was(job: Job) -> None:
    """Plugins, contexts and other logins; this login is kept by no helper that outlives the job."""
    own = job.home / ".docker"
    (own / "cli-plugins").mkdir(parents=True)
    before = {
        "auths": {"mirror.example": {"auth": "b2N0bzp4"}},
        "credsStore": "desktop",
        "currentContext": "a",
    }
    (own / "config.json").write_text(json.dumps(before), encoding="utf-8")
    job.log_in("docker.io/o/m", REGISTRY_USERNAME="robot", REGISTRY_PASSWORD="x")
    new = Path(files_of(job.exported)["DOCKER_CONFIG"])
    assert (new / "cli-plugins").resolve() == (own / "cli-plugins").resolve()
    assert json.loads((new / "config.json").read_text(encoding="utf-8")) == {
        **before,
        "credHelpers": {"https://index.docker.io/v1/": ""},
    }
    assert (new / "config.json").stat().st_mode & 0o077 == 0
    assert json.loads((own / "config.json").read_text(encoding="utf-8")) == before
    # A second login in one job builds on the first.
    again = {"REGISTRY_USERNAME": "robot", "REGISTRY_PASSWORD": "x", "DOCKER_CONFIG": str(new)}
    job.log_in("quay.io/o/m", **again)
    assert (new / "cli-plugins").is_dir()
    helpers = json.loads((new / "config.json").read_text(encoding="utf-8"))["credHelpers"]
    assert helpers == {"https://index.docker.io/v1/": "", "quay.io": ""}


def test_an_open_registry_is_left_alone_and_a_closed_one_is_not(
    registry: str, tmp_path: Path, clouds: Clouds, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "job").mkdir()
    job = Job(tmp_path / "job", clouds)
    job.log_in(f"{registry}/team/model")
    assert capsys.readouterr().out == f"{registry} asks nobody for a login.\n"
    assert not job.calls.exists()
    with locked_registry(tmp_path / "locked") as host:
        error = job.refused(f"{host}/team/model")
    assert error.message == f"{host} asks for an account, and none was given."


def test_a_step_logs_in_and_the_later_steps_are(engine: Docker, tmp_path: Path) -> None:
    """The whole way: `launch`, a real docker and a real registry with a password; then our own client and docker's."""
    checkout, temp, exported = tmp_path / "checkout", tmp_path / "temp", tmp_path / "exported"
    (checkout / "environments").mkdir(parents=True)
    with locked_registry(tmp_path / "locked") as host:
        pipeline = f"schema: 1\nimage: {host}/octo/churn\nenvironments: [{{name: staging, follow: true}}]\n"
        (checkout / "environments" / "pipeline.yaml").write_text(pipeline, encoding="utf-8")
        home = tmp_path / "home"
        home.mkdir()
        step = {
            **{name: value for name, value in surroundings().items() if name.startswith("DOCKER")},
            "DOCKER": engine.command,
            "HOME": str(home),
            "UV_CACHE_DIR": os.environ.get("UV_CACHE_DIR", str(Path.home() / ".cache" / "uv")),
            "GITHUB_ENV": str(exported),
            "GITHUB_ACTIONS": "true",
            "REGISTRY_USERNAME": USER,
        }
        words = ("deliver", "login", "--repository=.")
        wrong = launch(checkout, temp, *words, environ=step | {"REGISTRY_PASSWORD": "guessed"})
        assert wrong.returncode == 2, wrong.stdout + wrong.stderr
        assert f"{host} refuses the login of {USER}" in wrong.stdout
        assert not exported.exists()
        done = launch(checkout, temp, *words, environ=step | {"REGISTRY_PASSWORD": PASSWORD})
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stdout == f"::add-mask::{PASSWORD}\nLogged in to {host} as {USER}.\n"
        assert not (home / ".docker" / "config.json").exists(), "nothing of it outlives the job"
        later = files_of(exported)
        login = find_login(host, later)
        assert login is not None
        digest = push_image(host, "octo/churn", "one", login.basic)
        assert Repository(f"{host}/octo/churn", later).find(digest) is not None


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
