"""From a strictly read YAML document to typed values, with errors at the line of the key."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, BeforeValidator, ValidationError

from gitops_ml.inputs import decode
from gitops_ml.strict_yaml import Document, Place, parse_yaml

Model = TypeVar("Model", bound=BaseModel)


def _as_tuple(value: object) -> object:
    return () if value is None else tuple(value) if isinstance(value, list) else value


# YAML has lists, frozen values have tuples; an empty value after the colon is an empty list.
tupled = BeforeValidator(_as_tuple)


def read_document(content: bytes, path: str) -> Document:
    """`content` as strict YAML; `path` is named in errors."""
    return parse_yaml(decode(content, Path(path)), Path(path))


def read_typed(document: Document, model: type[Model]) -> Model:
    """`document` as a `model`; raises `UserError` with the line of the first thing that is wrong."""
    if not isinstance(document.value, dict):
        raise document.error((), "must be a mapping.", "Start with: schema: 1")
    try:
        return model.model_validate(document.value)
    except ValidationError as error:
        # A key too many says more about what was meant than one that is missing.
        detail = min(error.errors(), key=lambda one: one["type"] != "extra_forbidden")
        place = _known_place(document.value, tuple(part for part in detail["loc"] if part != "[key]"))
        if detail["type"] == "extra_forbidden":
            keys = ", ".join(_keys(model, place[:-1]))
            raise document.error(place, "this key is not known.", f"Keys here: {keys}.") from None
        if detail["type"] == "missing":
            raise document.error(place, "this key is missing.") from None
        cause = (detail.get("ctx") or {}).get("error")
        said = str(cause) if cause is not None else detail["msg"]
        raise document.error(place, f"{said[0].lower()}{said[1:]}.") from None


def _known_place(value: Any, loc: Place) -> Place:
    """`loc` without the parts by which pydantic names alternatives of a type, but with a last key that is missing."""
    place: Place = ()
    for index, part in enumerate(loc):
        if isinstance(value, dict) and part in value:
            value = value[str(part)]
        elif isinstance(value, list) and isinstance(part, int) and part < len(value):
            value = value[part]
        elif index < len(loc) - 1:
            continue
        place = (*place, part)
    return place


def _keys(model: type[BaseModel], place: Place) -> list[str]:
    """The keys that `model` knows at `place`."""
    for part in place:
        if isinstance(part, int):
            continue
        field = next((info for name, info in model.model_fields.items() if part in (name, info.alias)), None)
        inner = _inner(field.annotation) if field is not None else None
        if inner is not None:
            model = inner
    return [info.alias or name for name, info in model.model_fields.items()]


def _inner(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _inner(part)) is not None), None)
