"""Requests and answers: both protocols give what the model gives, and bad values are named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import serving
from serving import Served

from << cookiecutter.package_name >> import predictions


def expected(served: Served, count: int) -> Any:
    """What the evaluation's own code predicts for the first reference rows."""
    model = served.service.model
    return predictions.predict(model.pipeline, model.contract, model.reference.head(count))


def test_records_are_answered_as_the_evaluation_would(any_served: Served) -> None:
    wanted = expected(any_served, 40)
    answered = any_served.predict(*any_served.records(40))
    assert answered.status_code == 200
    found = answered.json()["predictions"]
    if any_served.contract.task == "regression":
        assert np.allclose([row["prediction"] for row in found], wanted["y_pred"], atol=1e-9)
        return
    assert [row["prediction"] for row in found] == list(wanted["y_pred"])
    shares = np.array([[row["probabilities"][label] for label in any_served.contract.classes] for row in found])
    assert np.allclose(shares, predictions.scores(wanted, any_served.contract), atol=1e-9)
    assert np.allclose(shares.sum(axis=1), 1)


def tensors(served: Served, count: int) -> dict[str, Any]:
    """The same rows for the Open Inference Protocol."""
    described = served.client.get(f"/v2/models/{served.contract.model_name}").json()
    records = served.records(count)
    inputs = [
        {
            "name": one["name"],
            "datatype": one["datatype"],
            "shape": [count],
            "data": [record[one["name"]] for record in records],
        }
        for one in described["inputs"]
    ]
    return {"id": "seven", "inputs": inputs}


def test_tensors_are_answered_as_the_evaluation_would(any_served: Served) -> None:
    wanted = expected(any_served, 5)
    answered = any_served.client.post(f"/v2/models/{any_served.contract.model_name}/infer", json=tensors(any_served, 5))
    assert answered.status_code == 200, answered.text
    body = answered.json()
    assert (body["id"], body["model_name"], body["model_version"]) == (
        "seven",
        any_served.contract.model_name,
        "r-0123",
    )
    found = {output["name"]: output["data"] for output in body["outputs"]}
    assert set(found) == set(wanted.columns)
    for name in wanted.columns:
        if name == "y_pred" and any_served.contract.task == "classification":
            assert found[name] == list(wanted[name])
        else:
            assert np.allclose(found[name], wanted[name].astype(float), atol=1e-9)


def test_nested_tensors_and_chosen_outputs(served: Served) -> None:
    body = tensors(served, 2)
    for tensor in body["inputs"]:
        tensor |= {"shape": [2, 1], "data": [[value] for value in tensor["data"]]}
    body["outputs"] = [{"name": "y_score"}]
    answered = served.client.post("/v2/models/example/versions/r-0123/infer", json=body)
    assert [output["name"] for output in answered.json()["outputs"]] == ["y_score"]
    body["outputs"] = [{"name": "logits"}]
    assert "y_pred, y_score" in served.client.post("/v2/models/example/infer", json=body).json()["error"]


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("size", "large", "column 'size' is 'large'; expected a number, in training "),
        ("size", True, "column 'size' is True; expected a number"),
        ("visits", 2.5, "column 'visits' is 2.5; expected a whole number, in training 0 to 8"),
        ("visits", None, "column 'visits' is None; expected a whole number"),
        ("member", "yes", "column 'member' is 'yes'; expected true or false"),
        ("city", 7, "column 'city' is 7; expected a text, in training one of 'Aachen', 'Bonn', 'Celle', or null"),
        ("since", "31.12.2025", "column 'since' is '31.12.2025'; expected a date or time such as '2025-12-31'"),
        ("since", "9999-12-31", "column 'since' is '9999-12-31'; expected a date or time"),
    ],
)
def test_a_bad_value_is_named_with_its_place(served: Served, column: str, value: Any, said: str) -> None:
    good, bad = served.records(2)
    bad[column] = value
    answered = served.predict(good, bad)
    assert answered.status_code == 422
    assert answered.json()["error"].startswith("row 1, " + said)
    (detail,) = answered.json()["details"]
    assert (detail["row"], detail["column"]) == (1, column)

    body = tensors(served, 2)
    next(tensor for tensor in body["inputs"] if tensor["name"] == column)["data"][1] = value
    answered = served.client.post("/v2/models/example/infer", json=body)
    assert answered.status_code == 422
    assert answered.json()["error"].startswith("row 1, " + said)


def test_a_missing_column_is_named(served: Served) -> None:
    (record,) = served.records(1)
    del record["city"]
    assert served.predict(record).json()["error"].startswith("row 0, column 'city' is missing; expected a text")
    body = tensors(served, 1)
    body["inputs"] = [tensor for tensor in body["inputs"] if tensor["name"] != "city"]
    answered = served.client.post("/v2/models/example/infer", json=body)
    assert answered.json()["error"] == "column 'city' is missing; expected an input of datatype BYTES"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"datatype": "BYTES"}, "the datatype FP64"),
        ({"shape": [3]}, "the shape [2]"),
        ({"shape": [2, 2]}, "the shape [2, 1]"),
        ({"data": [1.0]}, "2 values, as the shape says"),
    ],
)
def test_a_tensor_that_does_not_fit_is_refused(served: Served, change: dict[str, Any], said: str) -> None:
    body = tensors(served, 2)
    body["inputs"].reverse()  # the first input tells the number of rows
    body["inputs"][-1] |= change
    assert body["inputs"][-1]["name"] == "size"
    answered = served.client.post("/v2/models/example/infer", json=body)
    assert answered.status_code == 422
    assert said in answered.json()["error"]


def test_values_unlike_training_are_answered_with_a_note(served: Served) -> None:
    (record,) = served.records(1)
    answered = served.predict(record | {"size": 1e6, "city": "Delft"})
    assert answered.status_code == 200
    notes = answered.json()["predictions"][0]["notes"]
    assert any(note.startswith("size: above the range of training") for note in notes)
    assert "city: a category that training did not see" in notes
    assert "notes" not in served.predict(record).json()["predictions"][0]


def test_every_answer_names_release_and_request(served: Served) -> None:
    for answered in (
        served.predict(*served.records(1)),
        served.predict(),
        served.client.get("/nowhere"),
        served.client.get("/metrics"),
    ):
        assert answered.headers["x-release"] == "r-0123"
        assert len(answered.headers["x-request-id"]) == 32
    kept = served.client.get("/version", headers={"x-request-id": "mine-1"})
    assert kept.headers["x-request-id"] == "mine-1"
    replaced = served.client.get("/version", headers={"x-request-id": "a\tb" * 30})
    assert len(replaced.headers["x-request-id"]) == 32


def test_version_names_what_is_loaded(served: Served, two_classes: Path) -> None:
    import hashlib

    found = served.client.get("/version").json()
    assert found["model_hash"] == hashlib.sha256((two_classes / "model.skops").read_bytes()).hexdigest()
    assert (found["release"], found["commit"], found["image_digest"]) == ("r-0123", "abc", "sha256:77")
    assert found["data_hash"] == "d" * 64


def test_the_page_shows_the_real_columns_and_an_example_that_works(any_served: Served) -> None:
    described = any_served.client.get("/openapi.json").json()
    record = described["components"]["schemas"]["Record"]
    assert list(record["properties"]) == [feature.name for feature in any_served.contract.features]
    assert record["properties"]["city"]["x-training-categories"] == ["Aachen", "Bonn", "Celle"]
    assert record["properties"]["visits"]["x-training-range"] == [0, 8]
    assert record["required"] == list(record["properties"])
    for path in ("/predict", "/v2/models/{name}/infer"):
        example = described["paths"][path]["post"]["requestBody"]["content"]["application/json"]["example"]
        answered = any_served.client.post(path.format(name=any_served.contract.model_name), json=example)
        assert answered.status_code == 200, answered.text
    assert any_served.client.get("/docs").status_code == 200
    assert any_served.client.get("/").headers["location"].endswith("docs")


def test_the_example_is_not_a_training_row(any_served: Served) -> None:
    described = any_served.client.get("/openapi.json").json()
    example = described["paths"]["/predict"]["post"]["requestBody"]["content"]["application/json"]["example"][
        "records"
    ][0]
    assert example not in serving.records_of(any_served.service.model.reference, any_served.contract)


def test_another_model_or_version_is_not_found(served: Served) -> None:
    for path in ("/v2/models/other", "/v2/models/other/ready", "/v2/models/example/versions/r-9"):
        answered = served.client.get(path)
        assert answered.status_code == 404
        assert "only 'example' in version 'r-0123'" in answered.json()["error"]


def test_the_protocols_health_and_metadata(served: Served) -> None:
    get = served.client.get
    assert get("/v2").json() == {"name": serving.PACKAGE, "version": "r-0123", "extensions": []}
    assert get("/v2/health/live").json() == {"live": True}
    assert get("/v2/health/ready").json() == {"ready": True}
    assert get("/v2/models/example/ready").json() == {"name": "example", "ready": True}
    kinds = {tensor["name"]: tensor["datatype"] for tensor in get("/v2/models/example").json()["inputs"]}
    assert kinds == {"size": "FP64", "visits": "INT64", "member": "BOOL", "city": "BYTES", "since": "BYTES"}
