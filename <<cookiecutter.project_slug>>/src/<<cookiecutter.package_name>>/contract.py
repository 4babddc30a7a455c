"""`model/contract.json`: what goes into the model and what comes out; and rows made to fit it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pandas as pd
from pydantic import BaseModel, ConfigDict, ValidationError

from . import columns, files
from .columns import Column, Type
from .errors import UserError, warn
from .params import Params, Task
from .table import TARGET

# More text values than this are free text or identifiers, from which nothing general is learnt.
MOST_CATEGORIES = 200
UNREADABLE_SHARE = 0.05


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Feature(Part):
    """An input column; ranges and categories are those of the training rows, in the units of the data file."""

    name: str
    type: Type
    nullable: bool
    minimum: float | None = None
    maximum: float | None = None
    categories: list[str] | None = None


class Contract(Part):
    schema_: Literal[1] = 1
    task: Task
    target: str
    id_column: str | None
    classes: list[str]
    positive_class: str | None
    slice_columns: list[str]
    model_name: str
    model_hash: str = ""
    data_hash: str = ""
    features: list[Feature]

    model_config = ConfigDict(
        extra="forbid", frozen=True, alias_generator=lambda name: name.rstrip("_"), populate_by_name=True
    )

    @property
    def scored(self) -> dict[str, str]:
        """The class of each column of probabilities: `y_score` of the positive one of two, else `y_score_<class>`."""
        if self.positive_class is not None:
            return {"y_score": self.positive_class}
        return {f"y_score_{label}": label for label in self.classes}

    def conform(self, rows: pd.DataFrame, source: str = "the rows") -> pd.DataFrame:
        """The model's input columns, in its order and types; other columns are left out.

        A missing value and a category not seen in training are the model's to handle.

        Raises:
            UserError: a column is missing, or most of it cannot be read as its type.
        """
        missing = [feature.name for feature in self.features if feature.name not in rows.columns]
        if missing:
            raise UserError(
                f"{source}: {len(rows)} rows without the column {missing[0]!r}, which {self.model_name} needs"
            )
        ready = {}
        for feature in self.features:
            given = rows[feature.name]
            typed = columns.to_type(given, feature.type)
            present = columns.present(given)
            lost = int((present & typed.isna()).sum())
            if lost > UNREADABLE_SHARE * max(int(present.sum()), 1):
                example = given[present & typed.isna()].iloc[0]
                raise UserError(
                    f"{source}: column {feature.name!r}: {lost} of {len(rows)} values are not of type {feature.type},"
                    f" such as {str(example)!r}"
                )
            ready[feature.name] = typed
        return pd.DataFrame(ready, index=rows.index)


def draft(train: pd.DataFrame, found: list[Column], params: Params, data_hash: str) -> Contract:
    """The contract as training rows and parameters give it; the model's hash is added when there is a model.

    Raises:
        UserError: `data.positive_class` does not fit the classes, or no column is left to learn from.
    """
    classes = sorted(train[TARGET].unique()) if params.task == "classification" else []
    return Contract(
        task=params.task,
        target=params.data.target,
        id_column=params.data.id_column,
        classes=classes,
        positive_class=_positive(classes, params),
        slice_columns=params.data.slices,
        model_name=params.model.name,
        data_hash=data_hash,
        features=describe(train, found, params),
    )


def _positive(classes: list[str], params: Params) -> str | None:
    asked, place = params.data.positive_class, f"{params.data.path}: column {params.data.target!r}"
    if asked is None:
        if len(classes) != 2:
            return None
        warn(f"{place}: data.positive_class is not set in params.yaml; {classes[-1]!r} is taken")
        return classes[-1]
    if len(classes) != 2:
        raise UserError(
            f"{place} has {len(classes)} classes; data.positive_class has a meaning with two, set it to null"
        )
    for label in classes:
        if label.lower() == asked.lower():
            return label
    raise UserError(f"{place} has the classes {classes[0]!r} and {classes[1]!r}, but data.positive_class is {asked!r}")


def describe(train: pd.DataFrame, found: list[Column], params: Params) -> list[Feature]:
    """The features that training rows offer; columns from which nothing can be learnt are dropped with a warning."""
    data = params.data
    left_out = {data.target, data.id_column, data.time_column, *data.drop}
    features = []
    for column in found:
        if column.name in left_out:
            continue
        values = train[column.name]
        reason = _useless(column, values)
        if reason is not None:
            warn(f"{data.path}: column {column.name!r} {reason} of {len(values)} training rows; dropped")
            continue
        features.append(_feature(column, values))
    if not features:
        raise UserError(f"{data.path}: no column is left to learn from; see data.drop in params.yaml")
    return features


def _useless(column: Column, values: pd.Series) -> str | None:
    different = values.nunique()
    if different == 0:
        return "is empty in all"
    if different == 1 and not values.isna().any():
        return f"is {values.iloc[0]!r} in all"
    if column.type == "category" and different > MOST_CATEGORIES and different > len(values) / 4:
        return f"looks like free text or an identifier, with {different} different values"
    return None


def _feature(column: Column, values: pd.Series) -> Feature:
    nullable = bool(values.isna().any())
    if column.type == "category":
        return Feature(
            name=column.name, type=column.type, nullable=nullable, categories=sorted(values.dropna().unique())
        )
    if column.type in {"number", "integer"}:
        return Feature(
            name=column.name, type=column.type, nullable=nullable, minimum=values.min(), maximum=values.max()
        )
    return Feature(name=column.name, type=column.type, nullable=nullable)


def load(path: Path) -> Contract:
    """Read `contract.json` or the `schema.json` that it grows from."""
    try:
        return Contract.model_validate(files.read_json(path))
    except ValidationError as error:
        first = error.errors()[0]
        raise UserError(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None


def save(path: Path, contract: Contract) -> None:
    dumped = contract.model_dump(mode="json", by_alias=True)
    dumped["features"] = [feature.model_dump(mode="json", exclude_none=True) for feature in contract.features]
    files.write_json(path, dumped)
