"""The generated classification project, set up and trained by its own commands."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.template.onnx_cases import OnnxCases
from tests.template.project_cases import Expected, ProjectCases, clone, hashes
from tests.template.workbench import Workbench, set_up


@pytest.fixture(scope="module")
def trained(template: Path, environ: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Workbench:
    bench = set_up(template, tmp_path_factory.mktemp("classification"), environ, "classification")
    bench.succeed("make", "train")
    return bench


class TestClassification(ProjectCases, OnnxCases):
    expected = Expected(
        plots=frozenset({"calibration", "confusion-matrix", "precision-recall", "roc"}),
        metrics=frozenset(
            [
                "accuracy",
                "average_precision",
                "balanced_accuracy",
                "brier",
                "f1",
                "fit_seconds",
                "log_loss",
                "precision",
                "recall",
                "roc_auc",
            ]
        ),
        prediction_columns=("id", "y_true", "y_pred", "y_score", "size_group"),
        slice_column="size_group",
        dummy={"estimator": "sklearn.dummy.DummyClassifier", "params": {}},
    )


def test_two_folders_give_the_same_model_and_predictions(trained: Workbench, tmp_path: Path) -> None:
    other = clone(trained, tmp_path / "elsewhere")
    other.succeed("make", "train")
    assert hashes(other) == hashes(trained)


def test_another_seed_gives_other_evaluation_rows(trained: Workbench, tmp_path: Path) -> None:
    other = clone(trained, tmp_path / "elsewhere")
    other.edit_params(split={"seed": 1})
    other.succeed("make", "train")
    assert hashes(other)["eval_hash"] != hashes(trained)["eval_hash"]
