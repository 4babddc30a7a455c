"""`reference.parquet`: training rows' features that later data are compared with."""

from __future__ import annotations

import pandas as pd

from . import hashes
from .contract import Contract
from .table import ID

ROWS = 1000


def sample(train: pd.DataFrame, contract: Contract, seed: int) -> pd.DataFrame:
    """Up to 1,000 rows of the model's input columns, chosen by the hash of their ids, without ids and target."""
    order = train[ID].map(lambda identity: hashes.share(seed, f"reference:{identity}")).sort_values(kind="stable")
    chosen = train.loc[order.index[:ROWS]].sort_index()
    return contract.conform(chosen).reset_index(drop=True)
