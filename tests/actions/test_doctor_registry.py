"""`gitops-ml doctor` says what a run still lacks to log in to the registry of images."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.actions.test_doctor import in_a_run, sound
from tests.actions.test_settings import Town, contract, town
from tests.delivery.repositories import PIPELINE

__all__ = ["contract", "in_a_run", "sound", "town"]

ECR = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/churn"


def keep(town: Town, image: str, variables: list[str], secrets: list[str] | None = None) -> None:
    """Images are at `image`, and these names are set in the repository."""
    path: Path = town.folder / "environments" / "pipeline.yaml"
    path.write_text(PIPELINE.replace("ghcr.io/octo/churn", image), encoding="utf-8")
    town.forge.state.settings.variables = variables
    town.forge.state.settings.secrets = secrets or []


def test_the_forge_s_own_registry_needs_nothing(sound: Town) -> None:
    assert sound.run("doctor") == 0
    assert "ok      runs can log in to ghcr.io with the token that each of them has" in sound.said


@pytest.mark.parametrize(
    ("image", "variables", "secrets"),
    [
        (ECR, ["AWS_ROLE"], []),
        ("europe-docker.pkg.dev/p/r/churn", ["GCP_PROVIDER", "GCP_SERVICE_ACCOUNT"], []),
        ("shop.azurecr.io/churn", ["AZURE_CLIENT_ID", "AZURE_TENANT_ID"], []),
        ("docker.io/octo/churn", ["REGISTRY_USERNAME"], ["REGISTRY_PASSWORD"]),
        (ECR, ["REGISTRY_USERNAME"], ["REGISTRY_PASSWORD"]),
    ],
)
def test_what_a_registry_needs_is_named_until_it_is_set(
    sound: Town, image: str, variables: list[str], secrets: list[str]
) -> None:
    keep(sound, image, variables, secrets)
    assert sound.run("doctor") == 0, sound.said
    assert f"ok      what is needed so that runs can log in to {image.split('/')[0]} is set" in sound.said
    assert "secrets at the level of the repository" not in sound.said, "the job that pushes needs it there"
    sound.forge.state.settings.variables = variables[1:]
    sound.forge.state.settings.secrets = []
    missing = sound.run("doctor")
    assert f"fix: gh variable set {variables[0]}" in sound.said or not variables[1:]
    if image.startswith("docker.io"):
        assert missing == 0
        assert "advice  no account is set with which runs can log in to docker.io" in sound.said
        assert "gh secret set REGISTRY_PASSWORD" in sound.said
    else:
        assert missing == 1
        assert "not set, so that no run can log in" in sound.said


def test_half_an_account_is_a_fault(sound: Town) -> None:
    keep(sound, "registry.example.org/team/churn", ["REGISTRY_USERNAME"])
    assert sound.run("doctor") == 1
    assert "MISSING REGISTRY_PASSWORD not set, so that no run can log in" in sound.said


def test_what_the_organisation_shares_counts(sound: Town) -> None:
    keep(sound, ECR, [])
    sound.forge.state.settings.shared = {"variables": ["AWS_ROLE"]}
    assert sound.run("doctor") == 0, sound.said
    sound.forge.state.settings.shared = {"variables": ["OTHER"]}
    assert sound.run("doctor") == 1


def test_a_token_that_may_not_look_says_so(in_a_run: Town) -> None:
    keep(in_a_run, ECR, ["AWS_ROLE"])
    assert in_a_run.run("doctor") == 0
    assert (
        "?       logging in to 123456789012.dkr.ecr.eu-central-1.amazonaws.com: not visible" in in_a_run.said
    )
