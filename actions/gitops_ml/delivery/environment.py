"""`environments/<env>.yaml`: what one environment should run. A function of the release alone, so a revert is exact."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from gitops_ml.delivery.pipeline import Step
from gitops_ml.delivery.release import Artifacts, release_id
from gitops_ml.delivery.typed import EnvironmentName, ReleaseId, Strict
from gitops_ml.errors import UserError
from gitops_ml.reading import read_document, read_typed
from gitops_ml.strict_yaml import Document

FOLDER = "environments/"
HEADER = "# The release that this environment runs. `make promote` and `make rollback` write it, a merge applies it.\n"


class Following(Strict):
    """A file that follows main, or holds still at `pin`."""

    schema_version: Literal[1] = Field(alias="schema")
    environment: EnvironmentName
    follow: Literal["main"] | None = None
    pin: ReleaseId | None = None


class Promoted(Strict):
    """A file that names one release and what it consists of; `release: none` before the first promotion."""

    schema_version: Literal[1] = Field(alias="schema")
    environment: EnvironmentName
    release: ReleaseId | Literal["none"]
    artifacts: Artifacts | None = None

    @property
    def wanted(self) -> str | None:
        return None if self.release == "none" else self.release


def environment_of(path: str) -> str:
    """The environment whose file `path` is; `pipeline` and `revoked` are not environments."""
    return path.removeprefix(FOLDER).removesuffix(".yaml")


def file_of(environment: str) -> str:
    """The file that says what `environment` should run."""
    return f"{FOLDER}{environment}.yaml"


def render(environment: str, artifacts: Artifacts | None) -> bytes:
    """The file of a promoted environment, byte for byte; None is `release: none`."""
    lines = [HEADER, "schema: 1\n", f"environment: {environment}\n"]
    if artifacts is None:
        lines.append("release: none\n")
    else:
        lines += [f"release: {release_id(artifacts)}\n", "artifacts:\n"]
        # Quoted, because 40 digits without a letter would be read as a number.
        lines += [f'  {name}: "{value}"\n' for name, value in artifacts.model_dump(mode="json").items()]
    return "".join(lines).encode("ascii")


def read_environment(document: Document, step: Step) -> Following | Promoted:
    """Check the file of `step`; raises `UserError` that names file, line and key."""
    found: Following | Promoted
    found = read_typed(document, Following) if step.follow else read_typed(document, Promoted)
    if found.environment != step.name:
        problem = f"this is the file of {step.name}, not of {found.environment}."
        raise document.error(("environment",), problem, f"Write: environment: {step.name}")
    if isinstance(found, Following):
        if (found.follow is None) == (found.pin is None):
            raise document.error(
                (), "must say either `follow: main` or `pin: r-...`.", "Keep one of the two lines."
            )
        return found
    _check_hash(found, document)
    return found


def wish_of(step: Step, files: Mapping[str, bytes]) -> Following | Promoted:
    """What the file of `step` among `files` asks for; raises `UserError` when it is missing or wrong."""
    path = file_of(step.name)
    if path not in files:
        raise UserError(
            f"{FOLDER}pipeline.yaml names {step.name}, but {path} does not exist.", f"Add {path}."
        )
    return read_environment(read_document(files[path], path), step)


def _check_hash(found: Promoted, document: Document) -> None:
    if found.release == "none":
        if found.artifacts is not None:
            raise document.error(("artifacts",), "`release: none` has no artifacts.", "Take the block out.")
        return
    fix = "Don't edit this file; run: make promote RELEASE=r-..."
    if found.artifacts is None:
        raise document.error(("release",), "the artifacts that hash to it are missing.", fix)
    hashed = release_id(found.artifacts)
    if hashed != found.release:
        raise document.error(("release",), f"the artifacts hash to {hashed}, not to this release.", fix)


def is_canonical(content: bytes, found: Promoted) -> bool:
    """Whether `content` is what `render` writes; any other spelling would make reverts and conflicts inexact."""
    return content == render(found.environment, found.artifacts)


def pinned(content: bytes, release: str) -> bytes:
    """The file `content` of an environment that follows main, held at `release`; comments and spelling stay."""
    line = re.compile(rb"^(?:follow|pin):[^\n#]*?(?=[ \t]*(?:#|\r?\n|\Z))", re.MULTILINE)
    return line.sub(b"pin: " + release.encode("ascii"), content)
