"""What operators see: metrics, the dashboard and alerts over them, request lines, and the prediction log."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import pytest
import serving
import yaml
from prometheus_client.parser import text_string_to_metric_families
from serving import Served

from << cookiecutter.package_name >>.errors import UserError
from << cookiecutter.package_name >>.service.logs import Log

DEPLOY = serving.ROOT / "deploy"


def names_of(served: Served) -> set[str]:
    families = text_string_to_metric_families(served.client.get("/metrics").text)
    return {sample.name for family in families for sample in family.samples}


def test_requests_predictions_and_odd_values_are_counted(served: Served) -> None:
    (record,) = served.records(1)
    served.predict(record | {"size": 1e6, "city": "Delft"}, record | {"size": None})
    served.predict({})
    served.client.get("/made-up/path")
    assert served.metric("serving_requests_total", route="/predict", method="POST", status="200") == 1
    assert served.metric("serving_requests_total", route="/predict", method="POST", status="422") == 1
    assert served.metric("serving_requests_total", route="unmatched", method="GET", status="404") == 1
    assert served.metric("serving_request_seconds_count", route="/predict") == 2
    assert served.metric("serving_rows_total") == 2
    assert served.metric("serving_out_of_range_total", column="size", side="above") == 1
    assert served.metric("serving_unknown_category_total", column="city") == 1
    assert served.metric("serving_missing_total", column="size") == 1
    assert served.metric("serving_score_count") == 2
    assert sum(served.metric("serving_predictions_total", prediction=label) or 0 for label in ("No", "Yes")) == 2
    assert served.metric("serving_in_flight") == 0


def test_predicted_numbers_are_counted_in_tenths_of_training(numbers: Path) -> None:
    served = serving.serve(numbers)
    reference = served.records(len(served.service.model.reference))
    served.predict(*reference)
    assert served.metric("serving_value_count") == len(reference)
    text = served.client.get("/metrics").text
    edges = [float(edge) for edge in re.findall(r'serving_value_bucket\{le="([^"]+)"\}', text)]
    shares = [served.metric("serving_value_bucket", le=str(edge)) for edge in edges[:-1]]
    assert len(edges) == 12
    assert all(abs((share or 0) / len(reference) - place / 10) < 0.05 for place, share in enumerate(shares))


def test_what_is_asked_for_begins_at_zero(served: Served) -> None:
    """Prometheus cannot see that a series which begins with 1 had been 0 before."""
    for route in ("/predict", "/v2/models/{name}/infer"):
        assert served.metric("serving_requests_total", route=route, method="POST", status="500") == 0
        assert served.metric("serving_request_seconds_count", route=route) == 0
    assert served.metric("serving_refused_total", reason="invalid") == 0
    assert served.metric("serving_unknown_category_total", column="city") == 0


def test_two_services_in_one_process_do_not_meet(two_classes: Path) -> None:
    one, other = serving.serve(two_classes), serving.serve(two_classes)
    one.predict(*one.records(1))
    assert (one.metric("serving_rows_total"), other.metric("serving_rows_total")) == (1, 0)


def expressions(text: str) -> set[str]:
    return set(re.findall(r"\bserving_[a-z_]+", text))


def test_the_dashboard_and_the_alerts_ask_for_metrics_that_exist(two_classes: Path, numbers: Path) -> None:
    known = names_of(serving.serve(two_classes)) | names_of(serving.serve(numbers))
    # The first request brings the series by route.
    served = serving.serve(two_classes)
    served.predict(*served.records(1))
    served.predict({})
    served.client.get("/nowhere")
    known |= names_of(served)
    dashboard = json.loads((DEPLOY / "grafana" / "dashboard.json").read_text())
    asked = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]
    rules = yaml.safe_load((DEPLOY / "prometheus" / "rules.yaml").read_text())
    alerts = [rule for group in rules["groups"] for rule in group["rules"]]
    assert len(asked) >= 8
    assert len(alerts) >= 5
    for expression in [*asked, *(alert["expr"] for alert in alerts)]:
        # Of the process itself, some systems tell nothing.
        assert expressions(expression) or "process_" in expression, expression
        assert expressions(expression) <= known, expression


def test_every_alert_says_what_it_means_and_what_to_do() -> None:
    rules = yaml.safe_load((DEPLOY / "prometheus" / "rules.yaml").read_text())
    for group in rules["groups"]:
        for rule in group["rules"]:
            assert rule["labels"]["severity"] in {"page", "ticket"}
            assert set(rule["annotations"]) == {"summary", "description"}


def test_each_request_is_one_line(served: Served) -> None:
    served.predict(*served.records(2))
    served.predict({"size": "x\ny"})
    served.client.get("/v2/health/live")
    served.client.get("/metrics")
    first, second = served.lines()
    assert (first["status"], first["rows"], first["route"], first["release"]) == (200, 2, "/predict", "r-0123")
    assert first["duration_ms"] > 0
    assert len(first["request_id"]) == 32
    assert (second["status"], second["refused"]) == (422, "invalid")


def test_values_are_not_in_the_request_lines(served: Served) -> None:
    (record,) = served.records(1)
    served.predict(record | {"city": "Geheimstadt"})
    served.predict(record | {"size": "Geheimzahl"})
    assert "Geheim" not in served.log.getvalue()


def test_a_fault_is_logged_and_not_shown(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("the secret of the house")

    monkeypatch.setattr(served.service.metrics, "observe", broken)
    answered = served.predict(*served.records(1))
    assert answered.status_code == 500
    assert "secret" not in answered.text
    assert answered.headers["x-release"] == "r-0123"
    fault = next(line for line in served.lines() if line["level"] == "error")
    assert "the secret of the house" in fault["error"]
    assert fault["request_id"] == answered.json()["request_id"]


def test_a_log_that_cannot_be_written_fails_no_request() -> None:
    class Full(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(28, "No space left on device")

    Log(Full()).write("request")


def logged(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_the_prediction_log_is_off_until_it_is_asked_for(served: Served, tmp_path: Path) -> None:
    assert served.service.prediction_log is None


def test_the_prediction_log_holds_the_chosen_columns_and_hashes(two_classes: Path, tmp_path: Path) -> None:
    path = tmp_path / "logs" / "predictions.jsonl"
    served = serving.serve(
        two_classes,
        prediction_log=path,
        prediction_log_columns=["size"],
        prediction_log_hashed=["city"],
        prediction_log_key="sixteen letters!",
    )
    one, two = served.records(2)
    one["city"], two["city"] = "Bonn", "Bonn"
    said = served.predict(one, two)
    first, second = logged(path)
    assert first["features"] == {"size": one["size"], "city": second["features"]["city"]}  # type: ignore[index]
    assert "Bonn" not in path.read_text()
    assert (first["row"], second["row"], first["release"]) == (0, 1, "r-0123")
    assert first["request_id"] == said.headers["x-request-id"]
    assert first["prediction"]["y_pred"] == said.json()["predictions"][0]["prediction"]  # type: ignore[index]


def test_the_prediction_log_rotates_and_keeps_a_number_of_files(two_classes: Path, tmp_path: Path) -> None:
    path = tmp_path / "predictions.jsonl"
    served = serving.serve(
        two_classes,
        prediction_log=path,
        prediction_log_columns=["*"],
        prediction_log_max_bytes=2000,
        prediction_log_files=3,
    )
    for _ in range(60):
        served.predict(*served.records(1))
    names = sorted(found.name for found in tmp_path.iterdir())
    assert names == ["predictions.jsonl", "predictions.jsonl.1", "predictions.jsonl.2"]
    assert all(found.stat().st_size <= 2000 for found in tmp_path.iterdir())
    assert all(logged(found) for found in tmp_path.iterdir())


def test_a_full_disk_loses_the_record_and_not_the_answer(two_classes: Path) -> None:
    served = serving.serve(two_classes, prediction_log=Path("/dev/full"), prediction_log_columns=["*"])
    assert served.predict(*served.records(2)).status_code == 200
    assert served.metric("serving_prediction_log_errors_total") == 2


def test_a_prediction_log_that_cannot_be_is_refused(two_classes: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no column 'town'"):
        serving.serve(two_classes, prediction_log=tmp_path / "log", prediction_log_columns=["town"])
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        serving.serve(two_classes, prediction_log=tmp_path / "file" / "log")
