"""`target:` of an environment in `pipeline.yaml`: which kind of place it is, and where. No secret stands here."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Literal

from pydantic import Field

from gitops_ml.delivery.duration import Duration
from gitops_ml.delivery.typed import Strict
from gitops_ml.reading import tupled

Port = Annotated[int, Field(ge=1, le=65535)]
# Paths inside the repository, and addresses of services.
InRepository = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)*$", max_length=200)
]
Url = Annotated[str, Field(pattern=r"^https?://[^\s@#?]{1,300}$")]
Name = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]


class Canary(Strict):
    """How a new release earns the traffic: `weight` percent of it for `duration`, then all, or none.

    It is abandoned when more than `max_error_rate` of its answers are server errors, or when its 95th percentile of
    latency is more than `max_latency_ratio` times that of the release that serves. With fewer than `min_requests`
    answers nothing was shown, and it is abandoned as well.
    """

    weight: Annotated[int, Field(ge=1, le=50)]
    duration: Duration = dt.timedelta(minutes=5)
    min_requests: Annotated[int, Field(ge=1, le=10**6)] = 20
    max_error_rate: Annotated[float, Field(ge=0, le=1)] = 0.01
    max_latency_ratio: Annotated[float, Field(ge=1, le=100)] = 2.0


class RegistryTarget(Strict):
    """The environment is a tag of its own name beside the image; the release is run and proven on the runner first.

    `network` is that of the container on the runner, as docker names it.
    """

    kind: Literal["registry"] = "registry"
    network: Literal["", "host"] = ""


class ComposeTarget(Strict):
    """Two colours behind a proxy on one Docker host: `host` (`ssh://user@machine`), else DOCKER_HOST, else this one.

    The proxy answers at `port` of the host's address `listen`. `timeout` is for a release to become ready.
    """

    kind: Literal["compose"]
    project: Name | None = None  # default: the image's name and the environment's
    files: Annotated[tuple[InRepository, ...], tupled, Field(min_length=1, max_length=5)] = (
        "deploy/compose.yaml",
    )
    # A name that begins with a dash would be an option of ssh.
    host: Annotated[str, Field(pattern=r"^((ssh|tcp)://[A-Za-z0-9\[]|unix:///)[^\s]{1,200}$")] | None = None
    listen: Annotated[str, Field(pattern=r"^[0-9]{1,3}(\.[0-9]{1,3}){3}$")] = "127.0.0.1"
    port: Port = 8000
    timeout: Duration = dt.timedelta(minutes=5)
    canary: Canary | None = None


class KubernetesTarget(Strict):
    """A kustomize overlay, applied with kubectl to the cluster that `context` names."""

    kind: Literal["kubernetes"]
    overlay: InRepository
    context: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/@-]{0,199}$")] | None = None
    timeout: Duration = dt.timedelta(minutes=10)
    canary: Canary | None = None


class GitopsPullTarget(Strict):
    """Rendered manifests on `branch`, from which Argo CD or Flux pulls; `url` is where the service then answers."""

    kind: Literal["gitops-pull"]
    overlay: InRepository
    branch: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9/-]{0,99}$")]
    url: Url
    timeout: Duration = dt.timedelta(minutes=15)


TargetSettings = Annotated[
    RegistryTarget | ComposeTarget | KubernetesTarget | GitopsPullTarget, Field(discriminator="kind")
]
