"""The generated regression project, set up and trained by its own commands."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.template.onnx_cases import OnnxCases
from tests.template.project_cases import Expected, ProjectCases
from tests.template.workbench import Workbench, set_up


@pytest.fixture(scope="module")
def trained(template: Path, environ: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Workbench:
    bench = set_up(template, tmp_path_factory.mktemp("regression"), environ, "regression")
    bench.succeed("make", "train")
    return bench


class TestRegression(ProjectCases, OnnxCases):
    expected = Expected(
        plots=frozenset({"predicted-vs-true", "residual-histogram", "residuals"}),
        metrics=frozenset({"fit_seconds", "mae", "r2", "rmse"}),
        prediction_columns=("id", "y_true", "y_pred", "age_group", "sex"),
        slice_column="age_group",
        dummy={"estimator": "sklearn.dummy.DummyRegressor", "params": {}},
    )
