"""The suite in a repository that was not generated: one scikit-learn script that writes reports/metrics.json, no more.

The steps are those of the action.yml files, run by bash with the environment that their inputs give.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.actions.launching import ACTIONS, PATH, files_of

SCRIPT = """
import json
import pathlib
import sys

from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, log_loss
from sklearn.model_selection import train_test_split

STRENGTH = 1.0

features, truth = load_iris(return_X_y=True)
train_x, test_x, train_y, test_y = train_test_split(features, truth, test_size=0.4, random_state=0)
model = LogisticRegression(C=STRENGTH, max_iter=1000).fit(train_x, train_y)
numbers = {
    "accuracy": accuracy_score(test_y, model.predict(test_x)),
    "loss": {"log": log_loss(test_y, model.predict_proba(test_x))},
}
reports = pathlib.Path("reports")
reports.mkdir(exist_ok=True)
(reports / "metrics.json").write_text(json.dumps(numbers))
"""
GATES = """
schema: 1
primary: accuracy
metrics:
  accuracy: {direction: higher, floor: 0.9, max_drop: 0.02}
  loss.log: {direction: lower, max_rise_rel: 0.5}
noise: {resamples: 200, confidence: 0.95, seed: 0}
on_missing_baseline: warn
waivers: []
"""
_EXPRESSION = re.compile(r"\$\{\{\s*inputs\.([\w-]+)\s*\}\}")


@dataclass
class Step:
    """What one action did: its exit code, outputs, job summary and what it printed."""

    code: int
    outputs: dict[str, str]
    summary: str
    said: str


@dataclass
class Repository:
    """A git repository with a script, and a runner's folder beside it."""

    path: Path
    runner: Path

    def git(self, *words: str) -> str:
        identity = ["-c", "user.name=Ada", "-c", "user.email=ada@localhost"]
        done = subprocess.run(
            ["git", *identity, *words], cwd=self.path, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    def commit(self, **files: str) -> str:
        for name, text in files.items():
            (self.path / name.replace("_", ".")).write_text(text, encoding="utf-8")
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "change")
        return self.git("rev-parse", "HEAD")

    def use(self, action: str, **inputs: str) -> Step:
        """Run the shell steps of `action` with `inputs`; the others, which fetch uv and caches, are left out."""
        value = yaml.safe_load((ACTIONS / action / "action.yml").read_text(encoding="utf-8"))
        given = {name: str(item.get("default", "")) for name, item in (value.get("inputs") or {}).items()}
        given |= {name.replace("_", "-"): text for name, text in inputs.items()}
        outputs, summary = self.runner / "outputs", self.runner / "summary"
        for path in (outputs, summary):
            path.write_text("", encoding="utf-8")
        code, said = 0, ""
        for step in value["runs"]["steps"]:
            if "run" in step and code == 0:
                done = self._run(step, given, ACTIONS / action, outputs, summary)
                code, said = done.returncode, said + done.stdout + done.stderr
        named = re.findall(r"^(\w+)=(.*)$", outputs.read_text(), re.MULTILINE)
        plain = outputs.read_text()
        for name, text in named:
            plain = plain.replace(f"{name}={text}\n", "")
        outputs.write_text(plain)
        return Step(code, files_of(outputs), summary.read_text(), said)

    def _run(
        self, step: dict[str, Any], inputs: dict[str, str], folder: Path, outputs: Path, summary: Path
    ) -> subprocess.CompletedProcess[str]:
        given = {
            name: _EXPRESSION.sub(lambda match: inputs[match[1]], str(text))
            for name, text in (step.get("env") or {}).items()
        }
        assert not any("${{" in text for text in given.values()), given
        kept = {name: value for name, value in os.environ.items() if not name.startswith("GITHUB_")}
        runner = {
            "PATH": PATH,
            "RUNNER_TEMP": str(self.runner),
            "GITHUB_ACTION_PATH": str(folder),
            "GITHUB_OUTPUT": str(outputs),
            "GITHUB_STEP_SUMMARY": str(summary),
        }
        command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]]
        return subprocess.run(
            command, cwd=self.path, env=kept | runner | given, capture_output=True, text=True, timeout=600
        )


@pytest.fixture
def repository(tmp_path: Path, runner: Path) -> Repository:
    path = tmp_path / "plain"
    path.mkdir()
    made = Repository(path, runner)
    made.git("init", "--quiet", "--initial-branch=main")
    (path / ".gitignore").write_text("reports/\nbase/\nreport/\n", encoding="utf-8")
    return made


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for the module, so that packages are installed once."""
    return tmp_path_factory.mktemp("runner")


def train(repository: Repository) -> Step:
    done = repository.use("train", command=f"'{sys.executable}' train.py", cache="false")
    assert done.code == 0, done.said
    return done


def train_both(repository: Repository, before: str, after: str, **files: str) -> tuple[str, str]:
    """Train a commit with `before` and one with `after` as strength; the first one's reports are in base/."""
    base = repository.commit(train_py=SCRIPT.replace("1.0", before, 1), **files)
    train(repository)
    (repository.path / "reports").rename(repository.path / "base")
    head = repository.commit(train_py=SCRIPT.replace("1.0", after, 1))
    train(repository)
    return base, head


def test_the_whole_loop_without_gates(repository: Repository) -> None:
    base, head = train_both(repository, "0.001", "1.0")
    scope = repository.use("scope", base=base, head=head, jobs="train")
    assert (scope.outputs["train"], scope.outputs["merge-base"]) == ("true", base)
    done = repository.use("metric-diff", base="base", base_commit=base, head_commit=head)
    assert done.code == 0, done.said
    report = json.loads((repository.path / done.outputs["report-path"]).read_text())
    assert done.outputs["verdict"] == report["verdict"]
    (found,) = report["comparisons"]
    metrics = {metric["name"]: metric for metric in found["metrics"]}
    assert set(metrics) == {"accuracy", "loss.log"}
    assert metrics["accuracy"]["delta"] > 0.1
    costs = {cost["name"]: cost for cost in report["costs"]}
    assert costs["peak memory"]["head"] > 10
    assert "accuracy" in done.summary
    for name in ("report.md", "report.html"):
        assert "accuracy" in (repository.path / "report" / name).read_text(encoding="utf-8")
    gate = repository.use("gate", needs=json.dumps({"train": {"result": "success", "outputs": {}}}))
    assert (gate.code, gate.outputs["passed"]) == (0, "true")


def test_gates_judge_by_the_numbers_alone(repository: Repository) -> None:
    base, head = train_both(repository, "1.0", "0.001", gates_yaml=GATES)
    done = repository.use("metric-diff", base="base", base_commit=base, head_commit=head)
    assert done.code == 1
    assert done.outputs["verdict"] == "fail"
    assert float(done.outputs["primary-delta"]) < 0
    assert "accuracy" in done.said


def test_gates_of_the_base_judge_a_change_that_loosens_them(repository: Repository) -> None:
    base, _ = train_both(repository, "1.0", "0.001", gates_yaml=GATES)
    loose = GATES.replace("floor: 0.9, max_drop: 0.02", "floor: 0.1, max_drop: 0.9").replace("0.5}", "50.0}")
    head = repository.commit(gates_yaml=loose)
    done = repository.use("metric-diff", base="base", base_commit=base, head_commit=head)
    assert done.outputs["verdict"] == "fail"
    changes = json.loads((repository.path / "report" / "report.json").read_text())["changes"]
    assert [change["name"] for change in changes if change["loosens"]]


def test_documents_only(repository: Repository) -> None:
    base = repository.commit(train_py=SCRIPT)
    head = repository.commit(README_md="More words.\n")
    scope = repository.use("scope", base=base, head=head, jobs="train")
    assert scope.outputs["not-needed"] == "train"
    done = repository.use("metric-diff", base_commit=base, head_commit=head, head="nowhere", unchanged="true")
    assert (done.code, done.outputs["verdict"]) == (0, "pass"), done.said
    assert json.loads((repository.path / "report" / "report.json").read_text())["model"] == "unchanged"


def test_a_training_that_failed_is_red_and_reported(repository: Repository) -> None:
    base = repository.commit(train_py="raise SystemExit('no data')\n")
    failed = repository.use("train", command=f"'{sys.executable}' train.py", cache="false")
    assert failed.code == 2
    assert "no data" in failed.said
    done = repository.use("metric-diff", base_commit=base, head_commit=base, failed="Training failed.")
    assert (done.code, done.outputs["verdict"]) == (1, "fail")
    assert "Training failed." in (repository.path / "report" / "report.md").read_text(encoding="utf-8")


def test_missing_reports_are_never_a_pass(repository: Repository) -> None:
    base = repository.commit(train_py=SCRIPT)
    done = repository.use("metric-diff", base_commit=base, head_commit=base)
    assert (done.code, done.outputs["verdict"]) == (1, "fail")
    assert "reports" in done.said


def test_the_comment_can_be_seen_on_a_laptop(repository: Repository) -> None:
    base, head = train_both(repository, "0.001", "1.0", gates_yaml=GATES)
    assert repository.use("metric-diff", base="base", base_commit=base, head_commit=head).code == 0
    words = ["comment", "comment", "--dry-run", "--report", "report/report.json"]
    done = subprocess.run(
        [str(ACTIONS / "launch"), *words],
        cwd=repository.path,
        env=os.environ | {"PATH": PATH, "RUNNER_TEMP": str(repository.runner)},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    assert "accuracy" in done.stdout
    assert done.stdout.startswith("<!-- gitops-ml ")
