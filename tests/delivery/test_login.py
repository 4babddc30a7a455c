"""Logging in to registries: which way for which host, a real docker where one matters, and what it remembers."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from gitops_ml.delivery.oci import Repository
from gitops_ml.delivery.registry_login import find_login
from gitops_ml.engine import Docker
from gitops_ml.login.place import place_of

from tests.actions.launching import files_of, launch
from tests.delivery.job import ACR, ECR, GAR, Job, clouds, job
from tests.delivery.registries import PASSWORD, USER, locked_registry, push_image
from tests.fakes.clouds import Clouds
from tests.image.conftest import engine, registry, surroundings

__all__ = ["clouds", "engine", "job", "registry"]


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
