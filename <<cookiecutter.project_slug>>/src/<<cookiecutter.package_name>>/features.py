"""From raw columns to what an estimator takes: imputation, encoding, scaling."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from .contract import Feature

# Rarer categories than the 30 most frequent share one column, as do those not seen in training.
MOST_COLUMNS = 30


class DateParts(TransformerMixin, BaseEstimator):
    """Turn each datetime column into days since 2000-01-01, month (1-12), weekday (0-6) and hour (0-23)."""

    def fit(self, rows: pd.DataFrame, y: Any = None) -> DateParts:
        self.n_features_in_ = rows.shape[1]
        return self

    def transform(self, rows: pd.DataFrame) -> np.ndarray:
        parts = []
        for name in rows.columns:
            moment = pd.to_datetime(rows[name]).dt
            since = rows[name] - pd.Timestamp("2000-01-01")
            parts += [since.dt.total_seconds() / 86400, moment.month, moment.day_of_week, moment.hour]
        return np.column_stack([np.asarray(part, dtype=float) for part in parts])


def pipeline(features: list[Feature], estimator: Any) -> Pipeline:
    """An unfitted pipeline that takes the columns of `Contract.conform`."""
    numbers = [feature.name for feature in features if feature.type in {"number", "integer"}]
    flags = [feature.name for feature in features if feature.type == "boolean"]
    words = [feature.name for feature in features if feature.type == "category"]
    dates = [feature.name for feature in features if feature.type == "datetime"]
    steps = [
        ("numbers", make_pipeline(SimpleImputer(strategy="median", add_indicator=True), StandardScaler()), numbers),
        ("flags", SimpleImputer(strategy="most_frequent", add_indicator=True), flags),
        ("words", make_pipeline(_filler(), _encoder()), words),
        ("dates", make_pipeline(DateParts(), SimpleImputer(strategy="median"), StandardScaler()), dates),
    ]
    columns = ColumnTransformer([step for step in steps if step[2]])
    return Pipeline([("columns", columns), ("model", estimator)])


def _filler() -> SimpleImputer:
    return SimpleImputer(missing_values=None, strategy="constant", fill_value="(missing)")


def _encoder() -> OneHotEncoder:
    return OneHotEncoder(handle_unknown="infrequent_if_exist", max_categories=MOST_COLUMNS, sparse_output=False)
