"""The manifest of what was built from one commit of main: read from the files that training and building left."""

from __future__ import annotations

import datetime as dt
import hashlib
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from gitops_ml.delivery.git import Git
from gitops_ml.delivery.pipeline import Pipeline
from gitops_ml.delivery.release import Artifacts, Manifest, Origin, release_id
from gitops_ml.delivery.typed import Image, ModelName, Run
from gitops_ml.errors import UserError
from gitops_ml.inputs import load_json, read_bytes, shown
from gitops_ml.provenance import Provenance
from gitops_ml.reports import Reports, read_reports
from gitops_ml.strict_yaml import load_yaml

CONTRACT_LIMIT_BYTES = 5 * 1024 * 1024
_FIX = "Build, push and record in one job, from one checkout."


@dataclass(frozen=True)
class Build:
    """What the job on main knows of a build apart from its files; `commit` is the checked-out one of main."""

    commit: str
    build_key: str
    image: str
    trained: Origin
    pull_request: int | None
    run: Run


def check_image(image: str, pipeline: Pipeline) -> None:
    """Raise `UserError` unless `image` is written by digest and comes from the repository that the pipeline allows."""
    try:
        TypeAdapter(Image).validate_python(image)
    except ValidationError:
        raise UserError(
            f"{shown(image, 120)} is no image by digest.",
            "Give what was pushed: the output `reference` of build-image, registry/name@sha256:...",
        ) from None
    repository = image.partition("@")[0]
    if pipeline.image is not None and repository != pipeline.image:
        raise UserError(
            f"The image comes from {repository}, but environments/pipeline.yaml allows {pipeline.image} alone.",
            "Push to that repository, or change `image:` in a pull request.",
        )


def check_place(git: Git, main: str, made_from: Provenance) -> str:
    """The commit that was built; raises `UserError` unless it is one of main's and no tracked file differs from it."""
    commit = git.run("rev-parse", "HEAD").text
    if commit not in git.commits(main):
        raise UserError(
            f"{commit[:7]} is no commit of main, and nothing else becomes a release.",
            "Check out the output `commit` of release find.",
        )
    if made_from.revision != commit:
        raise UserError(
            f"Tracked files differ from {commit[:7]}, so the release would name a commit it was not built from.",
            "Let the build leave the files of git as they are: git status shows which it changed.",
        )
    return commit


def manifest(git: Git, project: Path, made_from: Provenance, build: Build, now: dt.datetime) -> Manifest:
    """The manifest of `build`; raises `UserError` when the files of `project` are not of one training and one build."""
    contract_path = project / "model" / "contract.json"
    contract = load_json(contract_path)
    reports = read_reports(project / "reports")
    for name, said, found in (
        ("model_hash", reports.run.model_hash, made_from.model_hash),
        ("data_hash", reports.run.data_hash, made_from.data_hash.removeprefix("sha256:")),
    ):
        if not said or said != found:
            raise UserError(
                f"{project / 'reports' / 'run.json'}, key '{name}': not that of {contract_path}.",
                "Both must come from one training: run make train.",
            )
    size = _size_of_built(project / "reports" / "image" / "image.json", made_from)
    try:
        artifacts = Artifacts(
            commit=build.commit,
            build_key=build.build_key,
            image=build.image,
            model=made_from.model_hash,
            data=made_from.data_hash.removeprefix("sha256:"),
            run=_run_id(reports, build.run),
            contract=hashlib.sha256(read_bytes(contract_path, CONTRACT_LIMIT_BYTES)).hexdigest(),
        )
        return Manifest(
            schema=1,
            release=release_id(artifacts),
            artifacts=artifacts,
            sequence=int(git.run("rev-list", "--first-parent", "--count", build.commit, "--").text),
            eval_hash=reports.run.eval_hash,
            primary=_primary(project / "gates.yaml", reports),
            metrics=reports.metrics,
            model_name=_model_name(contract),
            trained=build.trained,
            pull_request=build.pull_request,
            image_bytes=size,
            run=build.run,
            at=now,
        )
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise UserError(f"The release can't be written: {place}: {first['msg']}.", _FIX) from None


def _size_of_built(path: Path, made_from: Provenance) -> int | None:
    """The size of the image that was built last, in bytes; None where `path` does not exist.

    Raises `UserError` when that image does not hold this model or names another commit.
    """
    if not path.exists():
        return None
    built = load_json(path)
    wanted = {
        "revision": made_from.revision,
        "model_hash": made_from.model_hash,
        "data_hash": made_from.data_hash,
    }
    for name, value in wanted.items():
        if not isinstance(built, dict) or built.get(name) != value:
            raise UserError(f"{path}, key '{name}': the image was built from something else.", _FIX)
    size = built.get("size_bytes")
    return size if isinstance(size, int) and not isinstance(size, bool) else None


def _run_id(reports: Reports, run: Run) -> str:
    """The run that trained: MLflow's, else the workflow's."""
    known = (reports.run.mlflow_run_id, f"{run.id}-{run.attempt}" if run.id else None)
    return next((name for name in known if name), "none")


def _primary(gates: Path, reports: Reports) -> str | None:
    """The metric that counts, when the gates name one that was measured."""
    if not gates.exists():
        return None
    value = load_yaml(gates).value
    name = value.get("primary") if isinstance(value, dict) else None
    return name if isinstance(name, str) and name in reports.metrics else None


def _model_name(contract: object) -> str | None:
    name = contract.get("model_name") if isinstance(contract, dict) else None
    try:
        return TypeAdapter(ModelName).validate_python(name)
    except ValidationError:
        return None  # a name that no registry takes is as good as none
