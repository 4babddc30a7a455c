"""What is true of a generated project at work, whatever its task; one test module per task collects these cases."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from tests.template.workbench import Workbench

HASH = re.compile(r"[0-9a-f]{64}")
SUITES = ("unit", "data", "model", "service")


@dataclass(frozen=True)
class Expected:
    """What a task's reports hold, and an estimator too weak for it."""

    plots: frozenset[str]
    metrics: frozenset[str]
    prediction_columns: tuple[str, ...]
    slice_column: str
    dummy: Mapping[str, Any]


class ProjectCases:
    """Cases for a project that was set up and trained once (`trained`)."""

    expected: Expected

    def test_reports_are_as_the_contract_says(self, trained: Workbench) -> None:
        metrics = trained.json("reports/metrics.json")
        assert set(metrics) == self.expected.metrics
        run = trained.json("reports/run.json")
        assert all(
            HASH.fullmatch(run[key]) for key in ("data_hash", "eval_hash", "model_hash", "params_hash")
        )
        head = trained.succeed("git", "rev-parse", "HEAD").printed.strip()
        assert (run["commit"], run["seed"]) == (head, 42)
        assert run["mlflow_run_id"]
        predictions = pd.read_parquet(trained.project / "reports" / "predictions.parquet")
        assert tuple(predictions.columns) == self.expected.prediction_columns
        assert predictions["id"].is_unique
        assert {
            path.stem for path in (trained.project / "reports" / "plots").glob("*.svg")
        } == self.expected.plots

    def test_the_model_folder_holds_no_pickle(self, trained: Workbench) -> None:
        names = {path.name for path in (trained.project / "model").iterdir()}
        assert names == {"model.skops", "contract.json", "reference.parquet"}
        assert (trained.project / "model" / "model.skops").read_bytes()[
            :2
        ] == b"PK"  # a zip archive, as skops writes
        found = [path for path in trained.project.glob("**/*.pkl") if ".venv" not in path.parts]
        assert found == []

    def test_the_model_card_speaks_of_this_model(self, trained: Workbench) -> None:
        card = (trained.project / "reports" / "model-card.md").read_text(encoding="utf-8")
        for part in ("data", "split", "metrics", "slices", "leans on", "intended use", "limits"):
            assert re.search(rf"^#+ .*{part}", card, re.IGNORECASE | re.MULTILINE), part
        assert "Permutation importance" in card
        assert self.expected.slice_column in card.replace("\\_", "_")

    def test_mlflow_has_the_run(self, trained: Workbench) -> None:
        script = (
            "import mlflow, json; mlflow.set_tracking_uri('sqlite:///mlflow.db');"
            "run = mlflow.get_run(json.load(open('reports/run.json'))['mlflow_run_id']);"
            "print(json.dumps([run.data.metrics, run.data.params, run.data.tags]))"
        )
        printed = trained.succeed("uv", "run", "--no-sync", "python", "-c", script).printed
        logged = printed.strip().splitlines()[-1]
        run = trained.json("reports/run.json")
        assert run["model_hash"] in logged
        assert run["data_hash"] in logged
        assert run["commit"] in logged

    def test_nothing_changed_means_nothing_runs(self, trained: Workbench) -> None:
        before = trained.bytes("reports/run.json", "model/model.skops")
        printed = trained.succeed("make", "train").printed
        assert "Data and pipelines are up to date." in printed
        assert trained.bytes("reports/run.json", "model/model.skops") == before

    def test_every_suite_is_green_and_not_empty(self, trained: Workbench) -> None:
        printed = trained.succeed("make", "test").printed
        passed = [int(number) for number in re.findall(r"(\d+) passed", printed)]
        assert len(passed) == len(SUITES)
        assert min(passed) >= 5
        assert all((trained.project / "reports" / "tests" / f"{suite}.xml").is_file() for suite in SUITES)

    def test_its_own_linters_and_pre_commit_change_nothing(self, trained: Workbench) -> None:
        trained.succeed("make", "lint")
        trained.succeed("uv", "run", "--no-sync", "pre-commit", "run", "--all-files")

    def test_corrupted_data_turns_the_data_suite_red(self, trained: Workbench) -> None:
        data = next((trained.project / "data").glob("*.csv"))
        before = data.read_bytes()
        frame = pd.read_csv(data)
        number = frame.select_dtypes("float").columns[0]
        frame.loc[frame.index[:200], number] = -1e9
        frame.to_csv(data, index=False)
        try:
            trained.run("make", "data")
            trained.fail("make", "test-data")
        finally:
            data.write_bytes(before)
            trained.succeed("make", "train")
        trained.succeed("make", "test-data")

    def test_a_broken_model_turns_the_model_suite_red(self, trained: Workbench) -> None:
        params = (trained.project / "params.yaml").read_text(encoding="utf-8")
        trained.edit_params(model=self.expected.dummy)
        try:
            trained.succeed("make", "train")
            trained.fail("make", "test-model")
        finally:
            (trained.project / "params.yaml").write_text(params, encoding="utf-8")
            trained.succeed("make", "train")

    def test_broken_code_turns_the_unit_suite_red(self, trained: Workbench) -> None:
        split = f"src/{next((trained.project / 'src').iterdir()).name}/split.py"
        source = (trained.project / split).read_text(encoding="utf-8")
        body = re.search(r"^def .*?:\n(?:    \"\"\".*?\"\"\"\n)", source, re.DOTALL | re.MULTILINE)
        assert body is not None
        with trained.changed(split, body[0], body[0] + "    raise RuntimeError('broken on purpose')\n"):
            outcome = trained.fail("make", "test-unit")
        assert "broken on purpose" in outcome.printed

    def test_an_unreachable_mlflow_server_is_said_before_training(self, trained: Workbench) -> None:
        away = Workbench(trained.project, {**trained.environ, "MLFLOW_TRACKING_URI": "http://127.0.0.1:9"})
        before = trained.bytes("model/model.skops", "reports/metrics.json")
        params = (trained.project / "params.yaml").read_text(encoding="utf-8")
        trained.edit_params(model={"seed": 43})
        try:
            outcome = away.fail("make", "train")
        finally:
            (trained.project / "params.yaml").write_text(params, encoding="utf-8")
        assert len(outcome.errors) == 1
        assert "127.0.0.1:9" in outcome.errors[0]
        assert "Traceback" not in outcome.printed
        assert "fitted" not in outcome.printed
        assert trained.bytes("model/model.skops", "reports/metrics.json") == before


def hashes(bench: Workbench) -> dict[str, Any]:
    """What must not depend on where and when a model was trained."""
    run = bench.json("reports/run.json")
    same = {key: run[key] for key in ("data_hash", "eval_hash", "model_hash", "params_hash")}
    return same | bench.bytes("model/model.skops", "model/contract.json", "reports/predictions.parquet")


def clone(bench: Workbench, folder: Path) -> Workbench:
    """The project's last commit in another folder, set up there; nothing that was trained comes along."""
    bench.succeed("git", "clone", "--quiet", str(bench.project), str(folder))
    other = Workbench(folder, bench.environ)
    other.succeed("make", "setup")
    return other
