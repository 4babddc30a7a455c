"""`gitops-ml login`: log in to the registry that environments/pipeline.yaml names, for the rest of the job."""

from __future__ import annotations

import argparse
import datetime as dt
from collections.abc import Mapping
from pathlib import Path

from gitops_ml import engine as engines
from gitops_ml.delivery.checkout import PIPELINE
from gitops_ml.delivery.oci import Repository
from gitops_ml.delivery.pipeline import read_pipeline
from gitops_ml.delivery.registry_login import Login
from gitops_ml.errors import UserError
from gitops_ml.inputs import read_bytes
from gitops_ml.login import aws, azure, docker, google
from gitops_ml.login.identity import Desk
from gitops_ml.login.place import ACCOUNT, PASSWORD, Place, place_of
from gitops_ml.login.web import Web
from gitops_ml.reading import read_document
from gitops_ml.runner import Runner

_LIMIT_BYTES = 1024 * 1024


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--repository", type=Path, default=Path(), help="the clone (default: this folder)")
    parser.add_argument("--image", default="", help="repository of images (default: that of pipeline.yaml)")


def run(options: argparse.Namespace, runner: Runner, web: Web | None = None) -> int:
    image = options.image or image_of(options.repository)
    place = place_of(image, runner.environ)
    desk = Desk(web or Web(), runner.environ, runner.mask)
    login = find(place, desk, dt.datetime.now(dt.UTC))
    if login is None:
        print(f"{place.host} asks nobody for a login.")
        return 0
    environ = dict(runner.environ)
    if temp := environ.get("RUNNER_TEMP"):
        environ["DOCKER_CONFIG"] = str(docker.folder_for_job(Path(temp), place.host, environ))
    docker.log_in(engines.find(environ, builds=False).command, place.host, login, environ)
    if temp:
        runner.export("DOCKER_CONFIG", environ["DOCKER_CONFIG"])
    print(f"Logged in to {place.host} as {login.user}.")
    return 0


def image_of(repository: Path) -> str:
    """`image:` of the pipeline in the work tree; raises `UserError` when it names none."""
    path = repository / PIPELINE
    pipeline = read_pipeline(read_document(read_bytes(path, _LIMIT_BYTES), PIPELINE))
    if not pipeline.image:
        raise UserError(f"{PIPELINE} does not say where images are.", "Add: image: ghcr.io/owner/model")
    return pipeline.image


def find(place: Place, desk: Desk, now: dt.datetime) -> Login | None:
    """With what to log in: an account that was given, else what the place itself takes; None where nobody has to."""
    environ = desk.environ
    if password := desk.secret(environ.get(PASSWORD, "")):
        return Login(_given((ACCOUNT,), place, environ)[ACCOUNT], password)
    if place.kind == "forge":
        given = _given(("GITHUB_ACTOR", "GITHUB_TOKEN"), place, environ)
        return Login(given["GITHUB_ACTOR"], desk.secret(given["GITHUB_TOKEN"]))
    if place.kind == "account":
        _check_open(place, desk.web)
        return None
    _given(place.variables, place, environ)
    if place.kind == "aws":
        return aws.log_in(place, desk, now)
    return google.log_in(desk) if place.kind == "google" else azure.log_in(place, desk)


def _given(names: tuple[str, ...], place: Place, environ: Mapping[str, str]) -> dict[str, str]:
    missing = [name for name in names if not environ.get(name)]
    if missing:
        raise UserError(
            f"Nothing says how to log in to {place.host}: {' and '.join(missing)} "
            f"{'is' if len(missing) == 1 else 'are'} not set.",
            "Set it as a variable of the repository, and of an environment where its login differs.",
        )
    return {name: environ[name] for name in names}


def _check_open(place: Place, web: Web) -> None:
    """Nothing to do where a registry is open; raises `UserError` where it asks for an account that was not given."""
    answer = web.get(f"{Repository(f'{place.host}/any').address}/v2/")
    if answer.status != 200:
        raise UserError(
            f"{place.host} asks for an account, and none was given.",
            f"Set the variable {ACCOUNT} and the secret {PASSWORD} in the settings of the repository, and the "
            "secret in those of each environment too.",
        )
