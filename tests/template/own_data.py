"""Small data files such as people bring along, each made from a seed."""

from __future__ import annotations

import numpy as np
import pandas as pd


def churn(rows: int = 7000, seed: int = 0) -> pd.DataFrame:
    """Customers with a Yes/No target: mixed columns, blanks in a number, gaps, a constant and an empty column."""
    rng = np.random.default_rng(seed)
    tenure = rng.integers(0, 73, rows)
    monthly = rng.normal(65, 30, rows).clip(18, 120).round(2)
    contract = rng.choice(["month-to-month", "one year", "two years"], rows, p=[0.55, 0.25, 0.2])
    chance = 1 / (1 + np.exp(0.05 * tenure - 0.02 * monthly - 1.2 * (contract == "month-to-month")))
    total = pd.Series((tenure * monthly).round(2).astype(str))
    total[tenure == 0] = " "  # as a well-known export of such customers has it
    frame = pd.DataFrame(
        {
            "customer": [f"C{number:05d}" for number in range(rows)],
            "tenure": tenure,
            "monthly": monthly,
            "total": total,
            "contract": contract,
            "paperless": rng.random(rows) < 0.6,
            "signed": pd.Timestamp("2019-01-01") + pd.to_timedelta(rng.integers(0, 2000, rows), unit="D"),
            "region": rng.choice(["north", "south", "east", "west"], rows),
            "currency": "EUR",
            "comment": np.nan,
            "churn": np.where(rng.random(rows) < chance, "Yes", "No"),
        }
    )
    for column in ("monthly", "contract", "signed"):
        frame.loc[rng.random(rows) < 0.03, column] = np.nan
    return frame


def sales(rows: int = 600, seed: int = 0) -> pd.DataFrame:
    """A number per day in time order; a new shop opens in the last tenth, so its name is unseen while training."""
    rng = np.random.default_rng(seed)
    day = pd.date_range("2023-01-01", periods=rows, freq="D")
    shop = rng.choice(["centre", "station"], rows).astype(object)
    shop[-rows // 10 :] = "airport"
    visitors = rng.poisson(300, rows)
    return pd.DataFrame(
        {"day": day, "shop": shop, "visitors": visitors, "sold": visitors * 0.3 + rng.normal(0, 5, rows)}
    ).sample(frac=1, random_state=seed)


def species(seed: int = 0) -> pd.DataFrame:
    """Three classes, one of them with four rows."""
    rng = np.random.default_rng(seed)
    kind = np.repeat(["common", "usual", "rare"], [150, 100, 4])
    centre = pd.Series(kind).map({"common": 0.0, "usual": 3.0, "rare": 8.0}).to_numpy()
    return pd.DataFrame(
        {"length": centre + rng.normal(0, 1, len(kind)), "width": rng.normal(0, 1, len(kind)), "kind": kind}
    )
