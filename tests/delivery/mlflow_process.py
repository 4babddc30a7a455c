"""MLflow's own server application and client, each a process of its own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import urllib3

# What training logs with MLflow 3: a run with the model's hash, and the model as a thing of its own.
_LOG = """
import sys
from mlflow import MlflowClient
from mlflow.entities import LoggedModelOutput
client = MlflowClient()
experiment = client.create_experiment(sys.argv[3])
run = client.create_run(experiment, tags={"model_hash": sys.argv[2]})
model = client.create_logged_model(experiment, name="model", source_run_id=run.info.run_id)
client.log_model_artifacts(model.model_id, sys.argv[1])
client.finalize_logged_model(model.model_id, "READY")
client.log_outputs(run.info.run_id, [LoggedModelOutput(model.model_id, 0)])
print(run.info.run_id)
"""
_LOAD = """
import sys
import mlflow
print(mlflow.artifacts.download_artifacts(sys.argv[1], dst_path=sys.argv[2]))
"""


@contextmanager
def serving(python: Path, folder: Path) -> Iterator[str]:
    """MLflow's server with a store in `folder`, on a port that the kernel chose; its address."""
    environ = {
        **os.environ,
        "_MLFLOW_SERVER_FILE_STORE": f"sqlite:///{folder / 'mlflow.db'}",
        "_MLFLOW_SERVER_ARTIFACT_ROOT": "mlflow-artifacts:/",
        "_MLFLOW_SERVER_ARTIFACT_DESTINATION": str(folder / "artifacts"),
        "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
    }
    command = [str(python), "-m", "flask", "--app", "mlflow.server:app", "run", "--port", "0"]
    process = subprocess.Popen(
        command, cwd=folder, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    try:
        said = []
        assert process.stderr is not None
        for line in process.stderr:
            said.append(line)
            found = re.search(r"http://127\.0\.0\.1:\d+", line)
            if found:
                break
        else:
            raise AssertionError("MLflow did not start:\n" + "".join(said))
        threading.Thread(target=process.stderr.read, daemon=True).start()
        yield found[0]
    finally:
        process.kill()
        process.wait()


def _client(python: Path, address: str, script: str, *words: str) -> str:
    environ = {**os.environ, "MLFLOW_TRACKING_URI": address, "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false"}
    done = subprocess.run(
        [str(python), "-c", script, *words], env=environ, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip().splitlines()[-1]


def log_model(python: Path, address: str, folder: Path, model_hash: str, experiment: str) -> str:
    """Log the files of `folder` as the model of a new run; the run's id."""
    return _client(python, address, _LOG, str(folder), model_hash, experiment)


def download(python: Path, address: str, uri: str, target: Path) -> Path:
    """What MLflow's client gets for a model's address, such as `models:/churn@champion`."""
    return Path(_client(python, address, _LOAD, uri, str(target)))


def ask(address: str, path: str, **query: str) -> Any:
    """The server's answer to a question."""
    url = f"{address}/api/2.0/mlflow/{path}"
    return json.loads(urllib3.PoolManager().request("GET", url, fields=query, retries=False).data)
