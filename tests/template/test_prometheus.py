"""Dashboard and alerts of a generated project, asked of a real Prometheus that scrapes the service itself.

Two services of the project run under the names that `deploy/prometheus/prometheus.yaml` gives them: a classification as
production, a regression as staging. The regression is scraped a second time as somebody else's model.
"""

from __future__ import annotations

import json
import math
import re
import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.template.prometheus import Labels, Prometheus, running, until
from tests.template.traffic import INFER, PREDICT, Traffic, served
from tests.template.workbench import Workbench, set_up
from tests.tools.required import need

# Panels and their queries that are empty by their nature, with the environment in which they are.
EMPTY = {
    ("production", "Predictions, median and tails", "D"): "a classification predicts no numbers",
    ("production", "Predictions, median and tails", "E"): "a classification predicts no numbers",
    ("production", "Predictions, median and tails", "F"): "a classification predicts no numbers",
    ("staging", "Predictions, median and tails", "A"): "a regression gives no probabilities",
    ("staging", "Predictions, median and tails", "B"): "a regression gives no probabilities",
    ("staging", "Predictions, median and tails", "C"): "a regression gives no probabilities",
    ("staging", "Predicted classes", "A"): "a regression knows no classes",
}
# Alerts that this traffic cannot make true, and what shows their expressions to have data all the same.
QUIET = {
    "ServiceSilent": "an hour is not over; with 0 s for it the expression has data",
    "ServiceGone": "both services are there at that time; one of them ends then",
}
TRAIN = """
import sys
from pathlib import Path
sys.path[:0] = ["src", "tests"]
import serving
for task in ("classification", "regression"):
    folder = Path(sys.argv[1]) / task
    folder.mkdir()
    serving.train(folder, task=task)
"""


@dataclass(frozen=True)
class Scene:
    """What was asked, and Prometheus at the moment `at` when it had seen all of it."""

    prometheus: Prometheus
    deploy: Path
    job: str
    at: float
    production: Traffic
    staging: Traffic

    def value(self, panel: str, environment: str = "production", ref: str = "A") -> dict[Labels, float]:
        """What a panel of the dashboard shows, by its title."""
        (expression,) = [
            expr for title, name, expr in queries(self.dashboard()) if (title, name) == (panel, ref)
        ]
        return self.prometheus.query(filled(expression, environment), self.at)

    def dashboard(self) -> Any:
        return json.loads((self.deploy / "grafana" / "dashboard.json").read_text(encoding="utf-8"))

    def rules(self) -> dict[str, str]:
        """The expression of each alert."""
        read = yaml.safe_load((self.deploy / "prometheus" / "rules.yaml").read_text(encoding="utf-8"))
        return {rule["alert"]: rule["expr"] for group in read["groups"] for rule in group["rules"]}

    def rate_of_one(self, environment: str) -> float:
        """What `rate` makes of one more, in this window: every other rate is a whole multiple of it."""
        rows = self.prometheus.number(
            f'serving_rows_total{{job="{self.job}", environment="{environment}"}}', self.at
        )
        assert rows
        (rate,) = self.value("Rows per second", environment).values()
        return rate / rows


def queries(dashboard: Any) -> Iterator[tuple[str, str, str]]:
    """Title of the panel, name of the query, and the query."""
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["refId"], target["expr"]


def filled(expression: str, environment: str) -> str:
    """A query as Grafana sends it; a variable that it does not know is an error of Prometheus."""
    return expression.replace("$__rate_interval", "5m").replace("$environment", environment)


def unanswered(scene: Scene, dashboard: Any, environment: str) -> set[tuple[str, str, str]]:
    """The queries that give no series, or only such without a number."""
    found = set()
    for title, name, expression in queries(dashboard):
        values = scene.prometheus.query(filled(expression, environment), scene.at).values()
        if all(math.isnan(value) for value in values):
            found.add((environment, title, name))
    return found


def by(label: str, found: Mapping[Labels, float]) -> dict[str, float]:
    return {dict(labels)[label]: value for labels, value in found.items()}


@pytest.fixture(scope="module")
def project(template: Path, environ: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Workbench:
    need("prometheus")
    return set_up(template, tmp_path_factory.mktemp("prometheus"), environ, "classification")


def configuration(deploy: Path, production: Traffic, staging: Traffic) -> dict[str, Any]:
    """The project's own, with the ports of the running services, and scraping often enough for a test."""
    read: dict[str, Any] = yaml.safe_load(
        (deploy / "prometheus" / "prometheus.yaml").read_text(encoding="utf-8")
    )
    read["global"] = {"scrape_interval": "500ms", "evaluation_interval": "500ms"}
    read["rule_files"] = [str(deploy / "prometheus" / name) for name in read["rule_files"]]
    (job,) = read["scrape_configs"]
    job["static_configs"] = [
        {"targets": [f"127.0.0.1:{traffic.port}"], "labels": {"environment": name}}
        for name, traffic in (("production", production), ("staging", staging))
    ]
    foreign = {"targets": [f"127.0.0.1:{staging.port}"], "labels": {"environment": "production"}}
    read["scrape_configs"].append({"job_name": "another-model", "static_configs": [foreign]})
    return read


def send(production: Traffic, staging: Traffic) -> None:
    production.rows(100)
    production.rows(20, city="Delft")
    production.rows(12, size=1e6)
    production.rows(3, size=-1e6)
    production.rows(4, size=None)
    for _ in range(2):
        assert production.ask(json.dumps(production.example(INFER)).encode(), INFER) == 200
    for _ in range(6):
        assert production.ask(b'{"records": [{"size": "large"}]}') == 422
    for _ in range(2):
        assert production.ask(b"not JSON") == 400
    production.slow_with_overload(others=3)
    for size in range(30, 60):
        staging.rows(1, size=size)


@pytest.fixture(scope="module")
def scene(project: Workbench, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("scene")
    project.succeed(".venv/bin/python", "-c", TRAIN, str(folder))
    deploy, job = project.project / "deploy", project.project.name
    # One place, so that one slow request is an overload; and a disk that is always full.
    narrow = {"SERVING_MAX_OPEN_REQUESTS": "1", "SERVING_PREDICTION_LOG": "/dev/full", "RELEASE_ID": "r-0123"}
    classification, regression = (folder / task / "model" for task in ("classification", "regression"))
    with ExitStack() as until_the_end, ExitStack() as while_asked:
        production = until_the_end.enter_context(
            served(project, classification, folder / "production.log", narrow)
        )
        staging = while_asked.enter_context(served(project, regression, folder / "staging.log", {}))
        prometheus = until_the_end.enter_context(running(folder, configuration(deploy, production, staging)))
        begun = f'count_over_time(serving_model_info{{job="{job}"}}[5m])'
        until(lambda: len(prometheus.query(f"{begun} >= 2")) == 2, "both services are scraped")
        send(production, staging)

        def counted(name: str, traffic: Traffic) -> bool:
            asked = f'sum(serving_requests_total{{job="{job}", environment="{name}", method="POST"}})'
            return prometheus.number(asked) == traffic.answers.total()

        until(lambda: counted("production", production), "all of production's answers are counted")
        until(lambda: counted("staging", staging), "all of staging's answers are counted")
        at = time.time()
        until(lambda: evaluated_after(prometheus, at), "the rules have seen it")
        while_asked.close()
        yield Scene(prometheus, deploy, job, at, production, staging)


def evaluated_after(prometheus: Prometheus, at: float) -> bool:
    last = [datetime.fromisoformat(rule["lastEvaluation"]) for rule in prometheus.alerts().values()]
    return bool(last) and min(last).timestamp() > at


@pytest.mark.parametrize("environment", ["production", "staging"])
def test_every_query_of_the_dashboard_has_data(scene: Scene, environment: str) -> None:
    wanted = {place for place in EMPTY if place[0] == environment}
    assert unanswered(scene, scene.dashboard(), environment) == wanted


def test_a_query_for_a_metric_that_is_not_there_is_found(scene: Scene) -> None:
    path = scene.deploy / "grafana" / "dashboard.json"
    text = path.read_text(encoding="utf-8").replace(
        "serving_unknown_category_total", "serving_new_category_total"
    )
    lost = unanswered(scene, json.loads(text), "production") - set(EMPTY)
    assert lost == {("production", "Unknown categories", "A")}


def test_the_dashboard_offers_the_environments_there_are(scene: Scene) -> None:
    (variable,) = [one for one in scene.dashboard()["templating"]["list"] if one["name"] == "environment"]
    asked = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"]["query"])
    assert asked is not None
    values = scene.prometheus.get(f"label/{asked[2]}/values", **{"match[]": asked[1]})
    assert values == ["production", "staging"]


def test_answers_are_counted_by_route_and_status(scene: Scene) -> None:
    one = scene.rate_of_one("production")
    shown = {
        (dict(labels)["route"], dict(labels)["status"]): value / one
        for labels, value in scene.value("Requests per second").items()
    }
    sent = scene.production.answers
    assert sent[PREDICT, "503"] >= 3
    for place in (
        (PREDICT, "200"),
        (PREDICT, "400"),
        (PREDICT, "422"),
        (PREDICT, "503"),
        (PREDICT, "500"),
        (INFER, "200"),
    ):
        assert shown[place] == pytest.approx(sent[place]), place
    reasons = by("reason", scene.value("Refused requests by reason"))
    wanted = {"invalid": 6, "not_json": 2, "overload": sent[PREDICT, "503"], "fault": 0}
    assert {name: reasons[name] / one for name in wanted} == pytest.approx(wanted)


def test_shares_are_of_predictions_only(scene: Scene) -> None:
    sent = scene.production.answers
    (share,) = scene.value("Share of failed requests").values()
    assert share == pytest.approx(sent[PREDICT, "503"] / sent.total())
    assert list(scene.value("Share of failed requests", "staging").values()) == [0]


def test_values_unlike_training_are_shares_of_the_rows(scene: Scene) -> None:
    rows = len(scene.production.predictions)
    shown = scene.value("Values outside the range of training")
    sides = {(dict(labels)["column"], dict(labels)["side"]): value * rows for labels, value in shown.items()}
    assert sides == pytest.approx(
        {("size", "above"): 12, ("size", "below"): 3, ("visits", "above"): 0, ("visits", "below"): 0}
    )
    unknown = by("column", scene.value("Unknown categories"))
    assert unknown == pytest.approx({"city": 20 / rows})
    missing = by("column", scene.value("Missing values"))
    assert missing["size"] == pytest.approx(4 / rows)
    assert sum(missing.values()) == pytest.approx(4 / rows)


def test_predictions_are_counted_by_class_and_by_value(scene: Scene) -> None:
    one = scene.rate_of_one("production")
    counts = Counter(scene.production.predictions)
    shown = {
        label: value / one for label, value in by("prediction", scene.value("Predicted classes")).items()
    }
    assert shown == pytest.approx({label: counts[label] for label in ("No", "Yes")})
    for environment, traffic, refs, metric in (
        ("production", scene.production, "ABC", "serving_score_bucket"),
        ("staging", scene.staging, "DEF", "serving_value_bucket"),
    ):
        selected = f'{metric}{{job="{scene.job}", environment="{environment}"}}'
        edges = sorted(float(edge) for edge in by("le", scene.prometheus.query(selected, scene.at)))
        for ref, share in zip(refs, (0.1, 0.5, 0.9), strict=True):
            (shown_value,) = scene.value("Predictions, median and tails", environment, ref).values()
            low, high = bucket(edges, sorted(traffic.scores)[math.ceil(share * len(traffic.scores)) - 1])
            assert low <= shown_value <= high, (environment, share)


def bucket(edges: list[float], value: float) -> tuple[float, float]:
    """The edges around a value; beyond the last one, Prometheus answers with the last."""
    finite = [edge for edge in edges if math.isfinite(edge)]
    above = next((place for place, edge in enumerate(finite) if value <= edge), None)
    if above is None:
        return finite[-1], finite[-1]
    return (min(0.0, finite[0]) if above == 0 else finite[above - 1]), finite[above]


def test_one_slow_request_is_in_the_tail_only(scene: Scene) -> None:
    half, _, last = (max(scene.value("Time to answer", ref=ref).values()) for ref in "ABC")
    assert last >= 0.5
    assert half < last


def test_the_processes_and_what_they_serve_are_named(scene: Scene) -> None:
    (labels,) = scene.value("What is served")
    assert dict(labels)["release"] == "r-0123"
    (memory,) = scene.value("Memory").values()
    assert 2**25 < memory < 2**31
    (silence,) = scene.value("Seconds since the last prediction").values()
    assert 0 <= silence < 600
    (lost,) = scene.value("Lost records of the prediction log").values()
    (none,) = scene.value("Lost records of the prediction log", "staging").values()
    assert lost > 0 == none
    assert list(scene.value("Requests in flight").values()) == [0]


def test_every_alert_has_data_when_its_trouble_is_there(scene: Scene) -> None:
    found = {name: scene.prometheus.query(expr, scene.at) for name, expr in scene.rules().items()}
    assert {name for name, values in found.items() if not values} == set(QUIET)
    for name, values in found.items():
        assert {dict(labels)["environment"] for labels in values} <= {"production"}, name
    rows, sent = len(scene.production.predictions), scene.production.answers
    drift = by("column", found["InputDrift"])
    assert drift == pytest.approx({"city": 20 / rows, "size": 15 / rows})
    (refused,) = found["RequestsRefused"].values()
    assert refused == pytest.approx(8 / sent.total())
    (failed,) = found["ServiceErrors"].values()
    assert failed == pytest.approx(sent[PREDICT, "503"] / sent.total())


def test_alerts_that_this_traffic_leaves_quiet_have_data_in_their_own_time(scene: Scene) -> None:
    waiting, hour = scene.rules()["ServiceSilent"].split(" > ")
    assert hour == "3600"
    assert by("environment", scene.prometheus.query(f"{waiting} > 0", scene.at)).keys() == {"production"}
    gone = scene.rules()["ServiceGone"]
    until(lambda: scene.prometheus.query(gone) != {}, "the end of staging is seen")
    assert by("environment", scene.prometheus.query(gone)) == {"staging": 1}


def test_the_rules_are_evaluated_and_wait_as_they_say(scene: Scene) -> None:
    states = scene.prometheus.alerts()
    assert set(states) == set(scene.rules())
    for name, rule in states.items():
        assert (rule["health"], rule.get("lastError")) == ("ok", None), name
        if name not in QUIET:
            waits = rule["duration"] > 0
            assert {alert["state"] for alert in rule["alerts"]} == {"pending" if waits else "firing"}, name
            assert {alert["labels"]["environment"] for alert in rule["alerts"]} == {"production"}, name


def test_promtool_sees_each_alert_fire_and_stay_silent(project: Workbench) -> None:
    folder = project.project / "deploy" / "prometheus"
    promtool("check", "config", str(folder / "prometheus.yaml"), code=0)
    promtool("check", "rules", str(folder / "rules.yaml"), code=0)
    promtool("test", "rules", str(folder / "rules.test.yaml"), code=0)


@pytest.mark.parametrize("broken", ["vector(1) > 2", "vector(1)"], ids=["never fires", "always fires"])
def test_promtool_names_every_alert_that_is_broken(project: Workbench, tmp_path: Path, broken: str) -> None:
    folder = project.project / "deploy" / "prometheus"
    rules = yaml.safe_load((folder / "rules.yaml").read_text(encoding="utf-8"))
    alerts = rules["groups"][0]["rules"]
    for alert in alerts:
        alert["expr"] = broken
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(rules), encoding="utf-8")
    (tmp_path / "rules.test.yaml").write_bytes((folder / "rules.test.yaml").read_bytes())
    said = promtool("test", "rules", str(tmp_path / "rules.test.yaml"), code=1)
    named = set(re.findall(r"alertname: (\w+)", said))
    assert named == {alert["alert"] for alert in alerts}


def promtool(*words: str, code: int) -> str:
    done = subprocess.run([need("promtool"), *words], capture_output=True, text=True)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr
