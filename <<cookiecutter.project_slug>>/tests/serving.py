"""Small trained models and services around them, for the tests of the service."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import threading
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from starlette.testclient import TestClient

import examples
from << cookiecutter.package_name >> import contract, estimator, features, model_file, reference, split, table
from << cookiecutter.package_name >>.contract import Contract
from << cookiecutter.package_name >>.service import app, core, model, settings
from << cookiecutter.package_name >>.service.core import Service
from << cookiecutter.package_name >>.service.logs import Log

PACKAGE = "<< cookiecutter.package_name >>"
ROOT = Path(__file__).resolve().parent.parent
ENVIRON = {"RELEASE_ID": "r-0123", "RELEASE_COMMIT": "abc", "IMAGE_DIGEST": "sha256:77"}
TREES = "sklearn.ensemble.HistGradientBoostingClassifier"


def train(
    folder: Path, task: str = "classification", classes: tuple[str, ...] = ("No", "Yes"), kind: str | None = None
) -> Path:
    """Write `model/` for made-up rows of every column type, and `rows.csv` beside it."""
    changes: dict[str, Any] = {}
    if task == "classification" and len(classes) > 2:
        changes["data__positive_class"] = None
    if kind is not None:
        changes["model__estimator"] = kind
    params = examples.settings(examples.written(examples.mixed(240, classes), folder / "rows.csv"), task, **changes)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        whole = table.load(params)
        rows, _ = split.split(whole.rows, params)
        drafted = contract.draft(rows, whole.columns, params, "d" * 64)
        pipeline = features.pipeline(drafted.features, estimator.build(params))
        pipeline.fit(drafted.conform(rows), rows[table.TARGET])
    target = folder / "model"
    found = model_file.save(pipeline, target / model_file.MODEL_FILE)
    signed = drafted.model_copy(update={"model_hash": found})
    contract.save(target / model_file.CONTRACT_FILE, signed)
    reference.sample(rows, signed, 0).to_parquet(target / model_file.REFERENCE_FILE, index=False)
    return target


@dataclass
class Served:
    service: Service
    client: TestClient
    log: io.StringIO

    @property
    def contract(self) -> Contract:
        return self.service.model.contract

    def lines(self) -> list[dict[str, Any]]:
        """What was logged, one value per line."""
        return [json.loads(line) for line in self.log.getvalue().splitlines()]

    def records(self, count: int = 3) -> list[dict[str, Any]]:
        """Rows of the training data as a caller would send them."""
        return records_of(self.service.model.reference.head(count), self.contract)

    def predict(self, *records: dict[str, Any], **query: str) -> Any:
        return self.client.post("/predict", json={"records": list(records)}, params=query)

    def metric(self, name: str, **labels: str) -> float | None:
        return self.service.metrics.registry.get_sample_value(name, labels)


def serve(folder: Path, **given: Any) -> Served:
    log = io.StringIO()
    service = core.start(settings.load({}, model_dir=folder, **given), ENVIRON, Log(log, release="r-0123"))
    # Faults come back as status 500, as they would over a network.
    return Served(service, TestClient(app.of(service), raise_server_exceptions=False, follow_redirects=False), log)


def records_of(rows: pd.DataFrame, contract: Contract) -> list[dict[str, Any]]:
    """Typed rows as JSON records: booleans as such, dates as text, null for missing."""
    columns = model.as_rows(rows, contract)
    return [{name: values[row] for name, values in columns.items()} for row in range(len(rows))]


class Process:
    """The service as a process of its own, on a port that the system chooses."""

    def __init__(self, folder: Path, **variables: str) -> None:
        environ = os.environ | {"PYTHONPATH": str(ROOT / "src"), "RELEASE_ID": "r-0123"} | variables
        command = [sys.executable, "-m", f"{PACKAGE}.service", "--model", str(folder), "serve", "--port", "0"]
        self.process = subprocess.Popen(
            command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if '"ready"' not in line:
            said, _ = self.process.communicate()
            raise RuntimeError(f"the service did not start: {line}{said}")
        self.port: int = json.loads(line)["port"]
        self._lines: list[str] = []
        self._reader = threading.Thread(target=self._lines.extend, args=(self.process.stdout,))
        self._reader.start()  # or a full pipe would hold up the service

    def end(self) -> tuple[int, str]:
        """Wait for the end; return the exit code and the log."""
        try:
            self.process.wait(60)
        finally:
            self.process.kill()
            self._reader.join()
        return self.process.returncode, "".join(self._lines)
