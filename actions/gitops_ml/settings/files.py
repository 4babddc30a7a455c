"""`.github/settings/*.json`: what the repository's settings should be, in the shape of GitHub's REST API."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError

from gitops_ml.delivery.typed import EnvironmentName, Strict
from gitops_ml.errors import UserError

FOLDER = ".github/settings"
Kind = Literal["repository", "actions", "ruleset", "environment", "label"]
Name = Annotated[str, Field(min_length=1, max_length=100)]


class Rule(Strict):
    type: Annotated[str, Field(pattern=r"^[a-z_]{1,60}$")]
    parameters: Mapping[str, Any] = Field(default_factory=dict)


class RefName(Strict):
    include: tuple[str, ...]
    exclude: tuple[str, ...] = ()


class Conditions(Strict):
    ref_name: RefName


class BypassActor(Strict):
    actor_id: int | None = None
    actor_type: str
    bypass_mode: str = "always"


class Ruleset(Strict):
    name: Name
    target: Literal["branch", "tag"] = "branch"
    enforcement: Literal["active", "disabled", "evaluate"]
    bypass_actors: tuple[BypassActor, ...] = ()
    conditions: Conditions
    rules: Annotated[tuple[Rule, ...], Field(min_length=1)]


class BranchPolicy(Strict):
    protected_branches: bool
    custom_branch_policies: bool


class Environment(Strict):
    name: EnvironmentName
    deployment_branch_policy: BranchPolicy | None = None
    branches: tuple[Name, ...] = ()


class Label(Strict):
    name: Name
    color: Annotated[str, Field(pattern=r"^[0-9a-f]{6}$")]
    description: Annotated[str, Field(max_length=100)] = ""


class Actions(Strict):
    default_workflow_permissions: Literal["read", "write"]
    can_approve_pull_request_reviews: bool


class Repository(Strict):
    allow_squash_merge: bool | None = None
    allow_merge_commit: bool | None = None
    allow_rebase_merge: bool | None = None
    allow_auto_merge: bool | None = None
    delete_branch_on_merge: bool | None = None


@dataclass(frozen=True)
class Setting:
    """One thing to have on the forge: `wanted` are the keys that are compared and written."""

    kind: Kind
    name: str
    wanted: Mapping[str, Any]

    @property
    def title(self) -> str:
        return self.kind if self.name == "" else f"{self.kind} {self.name}"


def read_settings(folder: Path) -> list[Setting]:
    """The settings of the project in `folder`; raises `UserError` naming the file and the key that is wrong."""
    files = sorted((folder / FOLDER).glob("*.json"))
    if not files:
        raise UserError(
            f"{folder / FOLDER} holds no settings.",
            "Run this in the repository, or name it with --repository.",
        )
    return [setting for path in files for setting in _read(path)]


def _read(path: Path) -> Iterator[Setting]:
    content = path.read_bytes()
    if path.name.startswith("ruleset-"):
        yield _setting("ruleset", _typed(path, content, Ruleset))
    elif path.name == "environments.json":
        for one in _typed(path, content, tuple[Environment, ...]):
            yield _setting("environment", one)
    elif path.name == "labels.json":
        for one in _typed(path, content, tuple[Label, ...]):
            yield _setting("label", one)
    elif path.name == "actions.json":
        yield _setting("actions", _typed(path, content, Actions))
    elif path.name == "repository.json":
        yield _setting("repository", _typed(path, content, Repository))
    else:
        known = "ruleset-<name>.json, environments.json, labels.json, actions.json, repository.json"
        raise UserError(f"{path} is no file of settings.", f"These are: {known}.")


def _setting(kind: Kind, one: Strict) -> Setting:
    wanted = one.model_dump(mode="json", exclude_none=True)
    return Setting(kind, str(wanted.get("name", "")), wanted)


def _typed(path: Path, content: bytes, model: Any) -> Any:
    try:
        return TypeAdapter(model).validate_json(content)
    except ValidationError as error:
        detail = error.errors()[0]
        place = ".".join(map(str, detail["loc"])) or "the top"
        raise UserError(f"{path}: {place}: {detail['msg']}.", "GitHub's REST API gives the shape.") from None
