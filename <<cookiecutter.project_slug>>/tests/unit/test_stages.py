"""The commands as `dvc.yaml` runs them, on a made-up project in a folder of its own."""

from __future__ import annotations

import http.server
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

import examples
from << cookiecutter.package_name >> import files, hashes, run_record, tracking
from << cookiecutter.package_name >>.errors import UserError
from << cookiecutter.package_name >>.stages import evaluate, ingest, prepare, rescore, train

SOURCE = Path(__file__).resolve().parents[2] / "src"
PARAMS = """
task: classification
data: {path: rows.csv, target: answer, id_column: key, positive_class: Yes, drop: [amount], slices: [city]}
split: {test_size: 0.25, seed: 1}
model: {name: example, estimator: sklearn.linear_model.LogisticRegression, params: {C: 1.0}, seed: 0}
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(PARAMS, encoding="utf-8")
    examples.written(examples.mixed(), Path("rows.csv"))
    return tmp_path


def trained() -> None:
    for stage in (ingest, prepare, train):
        stage.main()


def run(stage: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", f"<< cookiecutter.package_name >>.stages.{stage}"]
    environ = {**os.environ, "PYTHONPATH": str(SOURCE)}
    return subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False)


def tree(folder: Path) -> dict[str, str]:
    return {path.as_posix(): hashes.of_file(path) for path in sorted(folder.rglob("*")) if path.is_file()}


def test_two_trainings_in_two_folders_are_equal(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained()
    first = tree(Path("model"))
    other = project / "other folder"
    other.mkdir()
    for name in ("params.yaml", "rows.csv"):
        shutil.copy(name, other)
    monkeypatch.chdir(other)
    trained()
    assert tree(Path("model")) == first
    assert json.loads(Path("model/contract.json").read_text())["model_hash"] == first["model/model.skops"]


def test_evaluate_writes_the_reports_and_logs_the_run(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    trained()
    capfd.readouterr()
    evaluate.main()
    assert capfd.readouterr().err == ""  # MLflow has much to say, and none of it is the reader's business
    written = {path.relative_to("reports").as_posix() for path in Path("reports").rglob("*") if path.is_file()}
    plots = {"plots/roc.svg", "plots/precision-recall.svg", "plots/calibration.svg", "plots/confusion-matrix.svg"}
    assert written == {"metrics.json", "predictions.parquet", "run.json", "model-card.md"} | plots
    record = json.loads(Path("reports/run.json").read_text())
    made = pd.read_parquet("reports/predictions.parquet")
    assert record["eval_hash"] == hashes.of_evaluation(made["id"], made["y_true"])
    assert record["data_hash"] == hashes.of_file(Path("rows.csv"))
    assert record["model_hash"] == hashes.of_file(Path("model/model.skops"))
    logged = list(Path("mlruns").rglob("model.skops"))
    assert len(logged) == 1
    about = logged[0].with_name("MLmodel").read_text()
    assert record["mlflow_run_id"] in about
    assert "signature" in about
    assert "input_example" in about


def test_the_record_names_the_commit_and_says_when_files_differ(project: Path) -> None:
    (project / "dvc.lock").write_text("", encoding="utf-8")
    identity = ("-c", "user.name=Ann", "-c", "user.email=ann@example.org")
    for words in (["init", "-q"], ["add", "params.yaml", "dvc.lock"], [*identity, "commit", "-qm", "Begin"]):
        subprocess.run(["git", *words], check=True)
    head = subprocess.run(["git", "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    (project / "dvc.lock").write_text("schema: '2.0'", encoding="utf-8")  # as DVC does while it trains
    assert run_record.commit() == head
    (project / "params.yaml").write_text("", encoding="utf-8")
    assert run_record.commit() == f"{head}-dirty"


def test_broken_data_is_one_line_and_leaves_earlier_results(project: Path) -> None:
    trained()
    before = tree(project / "build")
    frame = examples.mixed()
    examples.written(pd.concat([frame, frame.head(1)]), Path("rows.csv"))
    done = run("ingest", project)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("error: rows.csv: column 'key': 1 of 121 rows")
    assert tree(project / "build") == before


def test_a_model_scores_another_checkouts_rows(project: Path) -> None:
    trained()
    shutil.move("model", "base")
    Path("params.yaml").write_text(PARAMS.replace("seed: 1", "seed: 2"), encoding="utf-8")
    trained()
    rescore.rescore(Path("base"), Path("out"))
    made = pd.read_parquet("out/predictions.parquet")
    assert set(made["id"]) == set(files.read_rows(files.TEST_ROWS)["__id__"])
    assert 0.5 < json.loads(Path("out/metrics.json").read_text())["accuracy"] <= 1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("target: answer", "target: city"), "its target is answer, here it is city"),
        (("positive_class: Yes", "positive_class: No"), "its positive_class is Yes, here it is No"),
    ],
)
def test_a_model_with_another_question_is_not_scored(project: Path, change: tuple[str, str], said: str) -> None:
    trained()
    shutil.move("model", "base")
    text = PARAMS.replace(*change)
    if "city" in change[1]:
        text = text.replace("positive_class: Yes, ", "").replace("slices: [city]", "slices: []")
    Path("params.yaml").write_text(text, encoding="utf-8")
    for stage in (ingest, prepare):
        stage.main()
    with pytest.raises(UserError, match=said):
        rescore.rescore(Path("base"), Path("out"))
    assert not Path("out").exists()


def test_a_model_that_needs_a_removed_column_is_not_scored(project: Path) -> None:
    trained()
    shutil.move("model", "base")
    examples.written(examples.mixed().drop(columns="visits"), Path("rows.csv"))
    for stage in (ingest, prepare):
        stage.main()
    with pytest.raises(UserError, match="without the column 'visits'"):
        rescore.rescore(Path("base"), Path("out"))


def test_a_model_file_that_was_changed_is_not_scored(project: Path) -> None:
    trained()
    with Path("model/model.skops").open("ab") as stream:
        stream.write(b"x")
    with pytest.raises(UserError, match="must come from one training"):
        rescore.rescore(Path("model"), Path("out"))


def test_a_base_that_was_never_trained_says_how_to_make_it(project: Path) -> None:
    trained()
    with pytest.raises(UserError, match=r"nowhere does not exist; make it by `make train-base`"):
        rescore.rescore(Path("nowhere"), Path("out"))


def test_an_unreachable_server_stops_before_training(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
    ingest.main()
    prepare.main()
    with pytest.raises(UserError, match=r"MLflow at http://127\.0\.0\.1"):
        train.main()
    assert not Path("model").exists()


class Locked(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_error(401)

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
        """Say nothing."""


@pytest.fixture
def locked_server() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Locked) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_a_server_that_asks_for_a_password_is_reachable(locked_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", locked_server)
    tracking.check_reachable()


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "value.json"
    files.write_json(path, {"a": 1})
    with pytest.raises(ValueError, match="not JSON compliant"):
        files.write_json(path, {"a": float("nan")})
    with pytest.raises(FileNotFoundError), files.replacing(path) as temporary:
        (temporary / "part").write_text("cannot be written")
    assert files.read_json(path) == {"a": 1}
    assert [entry.name for entry in tmp_path.iterdir()] == ["value.json"]
