"""Which rows train and which evaluate."""

from __future__ import annotations

import pandas as pd

from . import hashes
from .errors import UserError, warn
from .params import Params
from .table import ID, TARGET

SMALLEST_TEST = 10
SMALLEST_TRAIN = 20


def split(rows: pd.DataFrame, params: Params) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Split typed rows into train and test rows.

    At random, the hash of seed and id decides, within each class: the order of the file does not matter, and when rows
    are added, the others keep their place but for a few at the border. With `data.time_column`, the latest rows are the
    test rows, and rows of one moment stay together.

    Raises:
        UserError: a part would be too small, or would lack a class that a model needs.
    """
    source, count = params.data.path, len(rows)
    moment = params.data.time_column
    test = _random(rows, params) if moment is None else _latest(rows, moment, params)
    tested, trained = rows[test], rows[~test]
    if len(tested) < SMALLEST_TEST or len(trained) < SMALLEST_TRAIN:
        raise UserError(
            f"{source}: {count} rows give {len(trained)} to train and {len(tested)} to test, but {SMALLEST_TRAIN} and"
            f" {SMALLEST_TEST} are needed; add rows or change split.test_size ({params.split.test_size:g})"
        )
    if params.task == "classification":
        for part, piece in (("train", trained), ("test", tested)):
            if piece[TARGET].nunique() < 2:
                raise UserError(
                    f"{source}: column {params.data.target!r}: all {len(piece)} {part} rows are"
                    f" {piece[TARGET].iloc[0]!r}; {count} rows hold too few of the other class,"
                    " or the time column separates the classes"
                )
        unseen = sorted(set(tested[TARGET]) - set(trained[TARGET]))
        if unseen:
            raise UserError(
                f"{source}: column {params.data.target!r}: class {unseen[0]!r} is only among the {len(tested)} latest"
                " rows, so a model cannot learn it"
            )
    return trained.reset_index(drop=True), tested.reset_index(drop=True)


def _random(rows: pd.DataFrame, params: Params) -> pd.Series:
    place = rows[ID].map(lambda identity: hashes.share(params.split.seed, identity))
    groups = rows[TARGET] if params.task == "classification" else pd.Series("all", index=rows.index)
    test = pd.Series(False, index=rows.index)
    for label, members in place.groupby(groups, sort=True):
        size = round(len(members) * params.split.test_size)
        if len(members) == 1:
            warn(f"{params.data.path}: column {params.data.target!r}: class {label!r} has one row; it is never tested")
        else:
            size = min(max(size, 1), len(members) - 1)
        test[members.sort_values(kind="stable").index[:size]] = True
    return test


def _latest(rows: pd.DataFrame, column: str, params: Params) -> pd.Series:
    moments = rows[column]
    if str(moments.dtype) == "object":
        raise UserError(
            f"{params.data.path}: column {column!r}, the time column, holds text such as {moments.dropna().iloc[0]!r};"
            " write it as 2024-12-31 or as a number"
        )
    if moments.isna().any():
        empty = int(moments.isna().sum())
        raise UserError(
            f"{params.data.path}: column {column!r}, the time column, is empty in {empty} of {len(rows)} rows"
        )
    first = moments.sort_values().iloc[len(rows) - round(len(rows) * params.split.test_size) :]
    if first.empty:
        return pd.Series(False, index=rows.index)
    return moments >= first.iloc[0]
