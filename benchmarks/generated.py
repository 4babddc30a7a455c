"""A project generated for a benchmark and trained once, and MLflow in an environment of its own, for the same model."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tools.template_files import copy_template, render

IDENTITY = {
    "GIT_AUTHOR_NAME": "Benchmark",
    "GIT_AUTHOR_EMAIL": "benchmark@localhost",
    "GIT_COMMITTER_NAME": "Benchmark",
    "GIT_COMMITTER_EMAIL": "benchmark@localhost",
}
# What the project's environment is asked for, so that MLflow's has the same.
VERSIONS = """
import json
from importlib.metadata import version
names = {name: version(name) for name in ("numpy", "pandas", "scikit-learn", "scipy", "skops")}
print(json.dumps(names | {"mlflow": version("mlflow-skinny")}))
"""
# The same fitted pipeline, saved as mlflow.sklearn saves one.
SAVE = """
import sys
import mlflow, pandas, skops.io
source, target = sys.argv[1:3]
path = source + "/model.skops"
model = skops.io.load(path, trusted=skops.io.get_untrusted_types(file=path))
rows = pandas.read_parquet(source + "/reference.parquet")
signature = mlflow.models.infer_signature(rows, model.predict(rows))
mlflow.sklearn.save_model(model, target, signature=signature, serialization_format="cloudpickle")
"""
# One row of the reference, as both services take it.
RECORD = """
import json, sys
from pathlib import Path
package = sys.argv[1]
models = __import__(package + ".service.model", fromlist=["load"])
model = models.load(Path("model"))
columns = models.as_rows(model.reference.head(1), model.contract)
print(json.dumps({name: values[0] for name, values in columns.items()}))
"""


@dataclass(frozen=True)
class Generated:
    """A generated project and the environment in which its commands run."""

    project: Path
    environ: Mapping[str, str]

    @property
    def package(self) -> str:
        return next((self.project / "src").iterdir()).name

    @property
    def python(self) -> str:
        return str(self.project / ".venv" / "bin" / "python")

    def output(self, *words: str) -> str:
        """What a command prints that must succeed."""
        return run(words, self.project, {**self.environ, "PYTHONPATH": str(self.project / "src")})

    def seconds(self, *words: str) -> float:
        began = time.perf_counter()
        self.output(*words)
        return time.perf_counter() - began

    def record(self) -> dict[str, object]:
        found: dict[str, object] = json.loads(self.output(self.python, "-c", RECORD, self.package))
        return found


def run(words: tuple[str, ...], folder: Path, environ: Mapping[str, str]) -> str:
    """Raises SystemExit with all that a failing command printed."""
    done = subprocess.run(
        words, cwd=folder, env=dict(environ), capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(words)} failed:\n{done.stdout}\n{done.stderr}")
    return done.stdout


def clean_environ() -> dict[str, str]:
    """This process' environment without what `make` and an active environment put there.

    Python may keep what it compiled, as it does unless it is told otherwise: a start without is many times as long.
    """
    dropped = ("VIRTUAL_ENV", "MAKEFLAGS", "MAKELEVEL", "MFLAGS", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE")
    kept = {name: value for name, value in os.environ.items() if name not in dropped}
    # uv stands beside this Python.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return kept | IDENTITY | {"PATH": path}


def trained(folder: Path) -> Generated:
    """A project in `folder`, set up and trained."""
    environ = clean_environ()
    answers = {"python_version": f"{sys.version_info.major}.{sys.version_info.minor}"}
    project, _ = render(copy_template(folder / "template"), folder / "out", answers, environ=environ)
    found = Generated(project, environ)
    found.output("make", "setup")
    found.output("make", "train")
    return found


@dataclass(frozen=True)
class Mlflow:
    """MLflow's commands, and the model that it serves."""

    folder: Path
    model: Path
    environ: Mapping[str, str]

    def command(self, *words: str) -> tuple[str, ...]:
        return (str(self.folder / "bin" / "python"), "-m", "mlflow", *words)


def with_mlflow(folder: Path, generated: Generated) -> Mlflow:
    """An environment with MLflow and the project's versions of what decides the prediction."""
    environ = generated.environ | {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
    versions = json.loads(generated.output(generated.python, "-c", VERSIONS))
    home, model = folder / "mlflow", folder / "mlflow-model"
    run(("uv", "venv", "--python", sys.executable, str(home)), folder, environ)
    wanted = tuple(f"{name}=={version}" for name, version in versions.items())
    run(("uv", "pip", "install", "--compile-bytecode", "--python", str(home), *wanted), folder, environ)
    source = str(generated.project / "model")
    run((str(home / "bin" / "python"), "-c", SAVE, source, str(model)), folder, environ)
    # It looks for uvicorn on PATH.
    path = f"{home / 'bin'}{os.pathsep}{environ['PATH']}"
    return Mlflow(home, model, {**environ, "PATH": path})
