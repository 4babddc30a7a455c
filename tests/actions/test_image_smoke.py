"""The smoke test of an image, against an engine in this process: what it accepts, and each fault that it must name."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from gitops_ml.errors import UserError
from gitops_ml.golden import Golden, GoldenSet, differ
from gitops_ml.smoke import Expected, Plan, Summary, smoke
from gitops_ml.trial import HARDENED

from tests.fakes.engine import IDENTITY, Behaviour, FakeEngine, environment
from tools.template_files import PROJECT_FOLDER, ROOT

MODEL, DATA, COMMIT = "a" * 64, "d" * 64, "c" * 40
LABELS = {
    "gitops-ml.model-hash": MODEL,
    "gitops-ml.data-hash": DATA,
    "org.opencontainers.image.revision": COMMIT,
}


def answered(score: float) -> dict[str, Any]:
    label = "yes" if score > 0.5 else "no"
    return {"prediction": label, "probabilities": {"yes": score, "no": 1 - score}}


ROWS = tuple(
    Golden(f"row-{number}", {"x": float(number)}, answered(number / 120)["prediction"], {"yes": number / 120})
    for number in range(120)
)


def engine(**changes: Any) -> FakeEngine:
    answers = {row.record["x"]: answered(row.scores["yes"]) for row in ROWS}
    return FakeEngine(Behaviour(answers, **changes), labels=dict(LABELS))


def plan(**changes: Any) -> Plan:
    return replace(
        Plan("model:dev", Expected(MODEL, DATA, COMMIT), GoldenSet(ROWS, 0), ready_s=20), **changes
    )


def run(fake: FakeEngine, **changes: Any) -> tuple[Summary, list[str]]:
    lines: list[str] = []
    summary = smoke(fake, plan(**changes), lines.append)
    assert len(fake.removed) == 1, "the container has to be removed whatever happens"
    return summary, lines


def failed(summary: Summary) -> dict[str, str]:
    assert not summary.ok
    return {check.name: check.detail for check in summary.checks if not check.ok}


def test_an_image_that_answers_as_evaluated_passes() -> None:
    fake = engine(ready_after=3)
    summary, lines = run(fake)
    assert summary.ok, lines
    assert [check.name for check in summary.checks] == [
        "image",
        "ready",
        "version",
        "predictions",
        "bad request",
        "stop",
    ]
    assert all(line.startswith("ok   ") for line in lines)
    assert (summary.golden_rows, summary.largest_difference) == (120, 0.0)
    said = json.loads(summary.to_json())
    assert (said["schema"], said["size_bytes"], said["image_id"]) == (1, 528_000_000, IDENTITY)


def test_it_runs_as_compose_does() -> None:
    compose = yaml.safe_load((ROOT / PROJECT_FOLDER / "deploy" / "compose.yaml").read_text(encoding="utf-8"))
    service = compose["services"]["blue"]
    assert compose["services"]["green"] == {"extends": "blue", "profiles": ["green"]}
    told = {f"--tmpfs={entry}" for entry in service["tmpfs"]}
    told |= {f"--cap-drop={name}" for name in service["cap_drop"]}
    told |= {f"--security-opt={option}" for option in service["security_opt"]}
    told |= {
        f"--cpus={service['cpus']}",
        f"--memory={service['mem_limit']}",
        f"--pids-limit={service['pids_limit']}",
    }
    told |= {"--read-only"} if service["read_only"] else set()
    assert told == set(HARDENED)
    fake = engine()
    run(fake)
    assert told < set(fake.started[0])


@pytest.mark.parametrize(
    ("network", "wanted"),
    [("", "--publish=127.0.0.1::8000"), ("other", "--network=other")],
)
def test_only_the_loopback_reaches_the_container(network: str, wanted: str) -> None:
    fake = engine()
    summary, _ = run(fake, network=network)
    assert summary.ok
    assert wanted in fake.started[0]
    assert "--publish=127.0.0.1::8000" in fake.started[0]


def test_on_the_hosts_network_the_service_gets_a_free_port() -> None:
    fake = engine()
    run(fake, network="host", ready_s=0.3)
    assert int(environment(fake.started[0])["SERVING_PORT"]) > 1023
    assert not any(option.startswith("--publish") for option in fake.started[0])


@pytest.mark.parametrize(
    ("changes", "check", "words"),
    [
        (
            {"crash": "error: model.skops has the hash 123"},
            "ready",
            "exit code 1: error: model.skops has the hash 123",
        ),
        ({"model_hash": "b" * 64}, "version", "model_hash"),
        ({"data_hash": "b" * 64}, "version", "data_hash"),
        ({"commit": "b" * 40}, "version", "commit"),
        ({"ignores_release": True}, "version", "release is 'fixed'"),
        ({"bad_request_status": 500}, "bad request", "got 500, expected 422"),
        ({"bad_request_status": 200}, "bad request", "got 200, expected 422"),
        ({"exit_code": 137}, "stop", "exit code 137"),
    ],
)
def test_each_fault_fails_its_check(changes: dict[str, Any], check: str, words: str) -> None:
    summary, lines = run(engine(**changes))
    assert list(failed(summary)) == [check]
    assert words in failed(summary)[check]
    assert "\n" not in "".join(lines)


def test_an_engine_that_publishes_nothing_is_an_error() -> None:
    fake = engine()
    fake.port = refuse  # type: ignore[method-assign]
    with pytest.raises(UserError, match="no port"):
        run(fake)
    assert len(fake.removed) == 1


def refuse(container: str, inside: int) -> int:
    raise UserError("no port")


def test_a_service_that_is_never_ready_fails() -> None:
    summary, _ = run(engine(ready_after=10**9), ready_s=0.5)
    assert "answers 503" in failed(summary)["ready"]
    assert summary.ready_s is None


@pytest.mark.parametrize(("user"), ["", "0", "root", "0:65532"])
def test_an_image_that_runs_as_root_fails(user: str) -> None:
    fake = engine()
    fake.user = user
    summary, _ = run(fake)
    assert "root" in failed(summary)["image"]


@pytest.mark.parametrize("label", list(LABELS))
def test_labels_must_name_what_is_inside(label: str) -> None:
    fake = engine()
    fake.labels[label] = "0" * 40
    summary, _ = run(fake)
    assert label in failed(summary)["image"]


def nudge(answer: dict[str, Any]) -> None:
    answer["probabilities"]["yes"] += 2e-9


def swap(answer: dict[str, Any]) -> None:
    answer["prediction"] = "yes" if answer["prediction"] == "no" else "no"


def forget(answer: dict[str, Any]) -> None:
    del answer["probabilities"]


def not_a_number(answer: dict[str, Any]) -> None:
    answer["probabilities"]["yes"] = math.nan


def overflow(answer: dict[str, Any]) -> None:
    answer["probabilities"]["yes"] = 10**400


@pytest.mark.parametrize("spoil", [nudge, swap, forget, not_a_number, overflow])
@pytest.mark.parametrize("number", [0, 119])
def test_one_wrong_prediction_fails(spoil: Callable[[dict[str, Any]], None], number: int) -> None:
    fake = engine()
    spoil(fake.behaviour.answers[float(number)])
    summary, _ = run(fake)
    said = failed(summary)["predictions"]
    assert "1 of 120 rows differ" in said
    assert f"row-{number}" in said


def test_rounding_in_the_last_place_is_not_a_difference() -> None:
    golden = Golden("1", {}, 1e6, {})
    assert differ(golden, {"prediction": 1e6 * (1 + 1e-12)}).text == ""
    assert differ(golden, {"prediction": 1e6 * (1 + 1e-8)}).text != ""
    assert differ(golden, {"prediction": "1000000.0"}).text != ""
    assert differ(golden, {"prediction": True}).text != ""
    assert differ(golden, {}).text != ""


def test_rows_that_cannot_be_sent_are_counted() -> None:
    summary, lines = run(engine(), golden=GoldenSet(ROWS[:7], 2))
    assert summary.ok
    assert any("7 rows as evaluated" in line and "2 left out" in line for line in lines)


def test_the_health_check_says_no_where_nothing_listens(tmp_path: Path) -> None:
    script = shutil.copy(ROOT / PROJECT_FOLDER / "deploy" / "healthcheck.py", tmp_path)
    environ = {"SERVING_PORT": "1"}
    command = [sys.executable, "-I", "-S", script]
    done = subprocess.run(command, env=environ, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (1, "")
