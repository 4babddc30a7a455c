"""The model that was trained last: served, it predicts what the evaluation said."""

from __future__ import annotations

import numpy as np
import pytest
import serving

from << cookiecutter.package_name >> import files
from << cookiecutter.package_name >>.table import ID

CHUNK = 200


@pytest.mark.parametrize("shortcut", [True, False], ids=["as served", "through the pipeline"])
def test_the_service_predicts_what_was_evaluated(shortcut: bool) -> None:
    served = serving.serve(files.MODEL)
    contract = served.contract
    if not shortcut:
        model = served.service.model
        served.service.model = type(model)(model.contract, model.pipeline, model.hash, model.reference, None)
    wanted = files.read_rows(files.REPORTS / "predictions.parquet").set_index("id")
    rows = files.read_rows(files.TEST_ROWS)
    ready = contract.conform(rows)
    # A value may be missing in a test row though none was in training; the contract refuses it.
    fit = np.ones(len(rows), dtype=bool)
    for feature in contract.features:
        fit &= feature.nullable | ready[feature.name].notna().to_numpy()
    assert fit.any()
    ids = rows[ID].astype(str)[fit].tolist()
    records = serving.records_of(ready[fit], contract)
    found = []
    for start in range(0, len(records), CHUNK):
        answered = served.predict(*records[start : start + CHUNK])
        assert answered.status_code == 200, answered.text
        found += answered.json()["predictions"]
    assert len(found) == len(ids)
    said = wanted.loc[ids]
    if contract.task == "regression":
        assert np.allclose([row["prediction"] for row in found], said["y_pred"], rtol=1e-9, atol=1e-9)
        return
    assert [row["prediction"] for row in found] == said["y_pred"].tolist()
    for label in contract.classes:
        column = "y_score" if contract.positive_class else f"y_score_{label}"
        if contract.positive_class in (None, label):
            shares = [row["probabilities"][label] for row in found]
            assert np.allclose(shares, said[column], rtol=0, atol=1e-9)


def test_it_is_the_model_that_was_evaluated() -> None:
    served = serving.serve(files.MODEL)
    record = files.read_json(files.REPORTS / "run.json")
    version = served.client.get("/version").json()
    assert version["model_hash"] == record["model_hash"]
    assert version["data_hash"] == record["data_hash"]
