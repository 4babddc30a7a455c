"""One step of a job on a runner: what it is given, whom it asks, and a docker that only writes down its calls."""

from __future__ import annotations

import argparse
import io
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from gitops_ml.errors import UserError
from gitops_ml.login.web import Web
from gitops_ml.runner import Runner
from gitops_ml.verbs.login import run

from tests.actions.launching import files_of
from tests.fakes.clouds import RUNTIME, RUNTIME_TOKEN, Clouds, Rerouted

ECR = "123456789012.dkr.ecr.eu-central-1.amazonaws.com"
GAR, ACR = "europe-west3-docker.pkg.dev", "shop.azurecr.io"
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
