"""Where images are kept, and what it takes to log in there."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from gitops_ml.delivery.oci import Repository

Kind = Literal["account", "forge", "aws", "google", "azure"]

_ECR = re.compile(r"[0-9]{12}\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.(?P<domain>amazonaws\.com(?:\.cn)?)")
_GAR = re.compile(r"[a-z0-9-]+-docker\.pkg\.dev")
_ACR = re.compile(r"[a-z0-9-]+\.azurecr\.io")
ACCOUNT = "REGISTRY_USERNAME"
PASSWORD = "REGISTRY_PASSWORD"  # noqa: S105 -- the name of a secret, and none itself
# Variables that a workflow takes from the repository or its environment, by what they are for.
_VARIABLES: dict[Kind, tuple[str, ...]] = {
    "account": (ACCOUNT,),
    "forge": (),
    "aws": ("AWS_ROLE",),
    "google": ("GCP_PROVIDER", "GCP_SERVICE_ACCOUNT"),
    "azure": ("AZURE_CLIENT_ID", "AZURE_TENANT_ID"),
}


@dataclass(frozen=True)
class Place:
    """A registry: its host, and who decides there. `region` and `domain` are those of AWS, else empty."""

    host: str
    kind: Kind
    region: str = ""
    domain: str = ""

    @property
    def variables(self) -> tuple[str, ...]:
        """Names of the variables without which nobody can log in."""
        return _VARIABLES[self.kind]


def place_of(image: str, environ: Mapping[str, str]) -> Place:
    """The registry of `image`, such as `ghcr.io/octo/churn`, as seen by a run on GITHUB_SERVER_URL."""
    host = Repository(image).host
    if found := _ECR.fullmatch(host):
        return Place(host, "aws", found["region"], found["domain"])
    if _GAR.fullmatch(host):
        return Place(host, "google")
    if _ACR.fullmatch(host):
        return Place(host, "azure")
    return Place(host, "forge" if host in _own(environ) else "account")


def _own(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Registries of the forge itself; the run's token is sent to no other."""
    server = urlsplit(environ.get("GITHUB_SERVER_URL") or "https://github.com").netloc
    # Enterprise Server has its registry beside it, Forgejo and Gitea under the same name.
    return ("ghcr.io",) if server == "github.com" else (server, f"containers.{server}")
