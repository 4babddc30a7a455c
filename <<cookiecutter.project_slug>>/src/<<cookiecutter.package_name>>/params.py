"""`params.yaml`, read and checked; a mistake is named with its file and key."""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from .errors import UserError
from .files import PARAMS

Task = Literal["classification", "regression"]
# A class label or a column may look like a number or a boolean in YAML.
Text = Annotated[str, BeforeValidator(lambda value: str(value) if isinstance(value, bool | int | float) else value)]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Data(Section):
    path: Path
    target: Text
    id_column: Text | None = None
    positive_class: Text | None = None
    drop: list[Text] = []
    slices: list[Text] = []
    time_column: Text | None = None
    encoding: str = "utf-8"
    separator: str = Field(default=",", min_length=1, max_length=1)

    @model_validator(mode="after")
    def one_role_per_column(self) -> Data:
        roles = {"target": self.target, "id_column": self.id_column, "time_column": self.time_column}
        named = [column for column in roles.values() if column is not None]
        if len(named) != len(set(named)):
            raise ValueError("target, id_column and time_column must be different columns")
        for role, column in roles.items():
            if column is not None and column in self.drop:
                raise ValueError(f"{column!r} is the {role}, so it cannot be dropped")
        if self.target in self.slices or (self.id_column is not None and self.id_column in self.slices):
            raise ValueError("neither target nor id_column can be a slice")
        for reserved in ("id", "y_true", "y_pred", "y_score"):
            if reserved in self.slices:
                raise ValueError(f"a slice column cannot be named {reserved!r}, which predictions use; rename it")
        return self


class Split(Section):
    test_size: float = Field(gt=0, lt=1)
    seed: int = Field(ge=0)


class Model(Section):
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")
    estimator: str
    params: dict[str, Any] = {}
    seed: int = Field(ge=0)


class Params(Section):
    task: Task
    data: Data
    split: Split
    model: Model

    @model_validator(mode="after")
    def positive_class_needs_classes(self) -> Params:
        if self.task == "regression" and self.data.positive_class is not None:
            raise ValueError("data.positive_class has no meaning for regression; remove it")
        return self

    def flat(self) -> dict[str, Any]:
        """Every parameter by its dotted key, as `run.json` and MLflow record them."""
        return _flat("", self.model_dump(mode="json"))


class _Loader(yaml.SafeLoader):
    """YAML in which only true and false are booleans: `positive_class: Yes` is the word Yes, as DVC reads it."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:bool"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|false|False)$"), list("tTfF"))


def load(path: Path = PARAMS) -> Params:
    """Read the parameters.

    Raises:
        UserError: the file is missing, is not YAML, or has an unknown, missing or wrong key.
    """
    try:
        # A loader derived from SafeLoader builds plain values only.
        raw = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)  # noqa: S506
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; run this from the folder of the project") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not YAML: {error}") from None
    try:
        return Params.model_validate(raw)
    except ValidationError as error:
        raise UserError(f"{path}: " + "; ".join(_problem(entry) for entry in error.errors())) from None


def _problem(entry: Any) -> str:
    key = ".".join(str(part) for part in entry["loc"])
    if entry["type"] == "extra_forbidden":
        known = _keys(entry["loc"][:-1])
        near = difflib.get_close_matches(str(entry["loc"][-1]), known, 1)
        return f"{key} is not a known key; " + (f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}")
    if entry["type"] == "missing":
        return f"{key} is missing"
    said = entry["msg"].removeprefix("Value error, ")
    return f"{key}: {said}" if key else said


def _keys(place: tuple[Any, ...]) -> list[str]:
    """The keys of the section at `place`."""
    section: Any = Params
    for part in place:
        section = section.model_fields[part].annotation
    return list(section.model_fields)


def _flat(prefix: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        return {prefix: value}
    flat: dict[str, Any] = {}
    for key, inner in value.items():
        flat |= _flat(f"{prefix}.{key}" if prefix else str(key), inner)
    return flat
