"""MLflow's Model Registry follows deliveries: a release is a model version, what an environment runs has its alias.

Nothing is decided by what the registry says. A server that is down stops no delivery: the version and the alias are
made up for when the environment is looked after the next time.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from gitops_ml.delivery.mlflow_server import MlflowServer, ServerError, server_of
from gitops_ml.delivery.pipeline import Pipeline
from gitops_ml.delivery.release import Manifest, short
from gitops_ml.errors import UserError

CHAMPION = "champion"
TROUBLE = "MLflow's registry is not up to date: "
RELEASE_TAG = "gitops-ml.release"
_RUN = re.compile(r"[0-9a-f]{32}")


def register(environ: Mapping[str, str], manifest: Manifest) -> str:
    """Have the release as a model version, once; what was done in one sentence, empty without a server.

    Never raises; `is_trouble` tells whether the server could not be told.
    """
    return _told(environ, lambda server: _registered(server, manifest))


def follow(environ: Mapping[str, str], pipeline: Pipeline, environment: str, manifest: Manifest) -> str:
    """Let the alias of `environment` name the release that is healthy there; returns as `register` does.

    The alias is `champion` for the last environment of the pipeline, else the environment's own name. A release that
    is not registered yet is registered first.
    """
    alias = CHAMPION if environment == pipeline.names[-1] else environment
    return _told(environ, lambda server: _followed(server, alias, manifest))


def is_trouble(sentence: str) -> bool:
    """Whether `sentence` says that the server could not be told."""
    return sentence.startswith(TROUBLE)


def _told(environ: Mapping[str, str], tell: Callable[[MlflowServer], str]) -> str:
    try:
        server = server_of(environ)
        return "" if server is None else tell(server)
    except UserError as error:
        return f"{TROUBLE}{error.message.rstrip('.')}."
    except (KeyError, TypeError, ValueError, AttributeError):
        # An answer that has not the shape of MLflow's.
        return f"{TROUBLE}the server's answer is not MLflow's."


def name_of(manifest: Manifest) -> str:
    """The registered model: the model's own name, else that of the image."""
    return manifest.model_name or manifest.artifacts.image.partition("@")[0].rpartition("/")[2]


def _registered(server: MlflowServer, manifest: Manifest) -> str:
    version, source = _version(server, manifest)
    place = (
        " (its run is not on this server, so it names the image)" if source.startswith("docker://") else ""
    )
    return f"MLflow has {short(manifest.release)} as version {version} of {name_of(manifest)}{place}."


def _followed(server: MlflowServer, alias: str, manifest: Manifest) -> str:
    name = name_of(manifest)
    version, _ = _version(server, manifest)
    # Some servers answer with the second code where an alias is not set.
    absent = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
    now = server.find("registered-models/alias", absent, name=name, alias=alias)
    what = f"version {version} of {name}, {short(manifest.release)}"
    if now is not None and str(now["model_version"]["version"]) == version:
        return f"MLflow's alias {alias} is {what}."
    server.post("registered-models/alias", name=name, alias=alias, version=version)
    return f"MLflow's alias {alias} is now {what}."


def _version(server: MlflowServer, manifest: Manifest) -> tuple[str, str]:
    """Number and source of the version of the release, which is made when there is none."""
    found = _find_version(server, manifest)
    if found is None:
        _make_version(server, manifest)
        # Looked for again, because another run may have made one at the same time: the first counts.
        found = _find_version(server, manifest)
    if found is None:
        raise ServerError("a version that was just made is not there")
    return str(int(found["version"])), str(found.get("source", ""))


def _find_version(server: MlflowServer, manifest: Manifest) -> dict[str, Any] | None:
    # Neither a name of the pattern in Manifest nor a release holds a quotation mark.
    wanted = f"name = '{name_of(manifest)}' and tags.`{RELEASE_TAG}` = '{manifest.release}'"
    listed = server.get("model-versions/search", filter=wanted, max_results=100).get("model_versions", [])
    fitting = [
        item
        for item in listed
        if item["name"] == name_of(manifest)
        and {"key": RELEASE_TAG, "value": manifest.release} in item["tags"]
    ]
    return min(fitting, key=lambda item: int(item["version"]), default=None)


def _make_version(server: MlflowServer, manifest: Manifest) -> None:
    try:
        server.post("registered-models/create", name=name_of(manifest))
    except ServerError as error:
        if error.code != "RESOURCE_ALREADY_EXISTS":
            raise
    parts = manifest.artifacts
    tags = {
        RELEASE_TAG: manifest.release,
        "gitops-ml.commit": parts.commit,
        "gitops-ml.image": parts.image,
        "gitops-ml.model-hash": parts.model,
        "gitops-ml.data-hash": parts.data,
    }
    server.post(
        "model-versions/create",
        name=name_of(manifest),
        description=f"Release {manifest.release} of commit {parts.commit}, model {parts.model}.",
        tags=[{"key": key, "value": value} for key, value in tags.items()],
        **_origin(server, manifest),
    )


def _origin(server: MlflowServer, manifest: Manifest) -> dict[str, str]:
    """Where the version's files are: with the run that trained it, else, where the run is not known, in the image."""
    parts = manifest.artifacts
    in_image = {"source": f"docker://{parts.image}"}
    if not _RUN.fullmatch(parts.run):
        return in_image
    found = server.find("runs/get", run_id=parts.run)
    if found is None:
        return in_image
    run = found["run"]
    hashes = [tag["value"] for tag in run.get("data", {}).get("tags", []) if tag["key"] == "model_hash"]
    if hashes and hashes != [parts.model]:
        return in_image  # a run of this number, but not the one that trained this model
    known = {"run_id": parts.run}
    for output in run.get("outputs", {}).get("model_outputs", [])[-1:]:
        # MLflow 3 keeps models apart from the run that logged them.
        logged = server.get(f"logged-models/{output['model_id']}")["model"]["info"]
        return known | {"source": logged["artifact_uri"], "model_id": logged["model_id"]}
    return known | {"source": f"{run['info']['artifact_uri']}/model"}
