"""Bring your own data: a file and an edit of params.yaml, nothing else."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.template.own_data import churn, sales, species
from tests.template.workbench import Workbench, set_up

OUTPUTS = ("model/model.skops", "model/contract.json", "reports/metrics.json", "reports/predictions.parquet")


@pytest.fixture(scope="module")
def installed(template: Path, environ: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Workbench:
    return set_up(template, tmp_path_factory.mktemp("own"), environ, "classification")


@pytest.fixture
def bench(installed: Workbench) -> Iterator[Workbench]:
    """The project as it was generated, whatever the test before did to it."""
    yield installed
    installed.succeed("git", "checkout", "--quiet", "--", ".")
    installed.succeed("git", "clean", "--quiet", "--force", "-d", "-x", "--exclude=.venv", "--exclude=.dvc")


def data_section(path: str, target: str, **others: Any) -> dict[str, Any]:
    plain = {"id_column": None, "positive_class": None, "drop": [], "slices": [], "time_column": None}
    return {**plain, "path": path, "target": target, **others}


def predictions(bench: Workbench) -> pd.DataFrame:
    return pd.read_parquet(bench.project / "reports" / "predictions.parquet")


def test_7000_mixed_rows_train_and_pass_their_tests(bench: Workbench) -> None:
    churn().to_csv(bench.project / "data" / "churn.csv", index=False)
    own = data_section(
        "data/churn.csv", "churn", id_column="customer", positive_class="Yes", slices=["region"]
    )
    bench.edit_params(data=own)
    printed = bench.succeed("make", "train").printed
    for column in ("currency", "comment"):
        assert re.search(rf"warning: .*{column}", printed), f"dropping {column} was not said"
    contract = bench.json("model/contract.json")
    types = {feature["name"]: feature["type"] for feature in contract["features"]}
    assert types["total"] == "number"
    assert types["contract"] == "category"
    assert types["paperless"] == "boolean"
    assert types["signed"] == "datetime"
    assert {"currency", "comment", "customer", "churn"}.isdisjoint(types)
    assert bench.json("reports/metrics.json")["roc_auc"] > 0.65
    assert list(predictions(bench).columns) == ["id", "y_true", "y_pred", "y_score", "region"]
    bench.succeed("make", "test-unit", "test-data")


def test_a_parquet_file_split_by_time_with_a_shop_never_seen(bench: Workbench) -> None:
    sales().to_parquet(bench.project / "data" / "sales.parquet", index=False)
    bench.edit_params(
        task="regression",
        data=data_section("data/sales.parquet", "sold", time_column="day", slices=["shop"]),
        model={"estimator": "sklearn.ensemble.HistGradientBoostingRegressor", "params": {}},
    )
    bench.succeed("make", "train")
    reference = pd.read_parquet(bench.project / "build" / "train.parquet")
    test = pd.read_parquet(bench.project / "build" / "test.parquet")
    assert len(reference) + len(test) == 600
    assert set(predictions(bench)["shop"]) >= {"airport"}
    known = next(f for f in bench.json("model/contract.json")["features"] if f["name"] == "shop")[
        "categories"
    ]
    assert sorted(known) == ["centre", "station"]
    assert bench.json("reports/metrics.json")["r2"] > 0


def test_three_classes_one_of_them_rare(bench: Workbench) -> None:
    species().to_csv(bench.project / "data" / "species.csv", index=False)
    bench.edit_params(data=data_section("data/species.csv", "kind"))
    bench.succeed("make", "train")
    scores = [column for column in predictions(bench).columns if column.startswith("y_score_")]
    assert sorted(scores) == ["y_score_common", "y_score_rare", "y_score_usual"]
    assert set(predictions(bench)["y_true"]) == {"common", "rare", "usual"}


def target_gone(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.drop(columns="churn")


def one_class(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(churn="No")


def few_rows(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.head(2)


def twice_the_same_id(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(customer=["C00000", *frame["customer"][:-1]])


def no_rows(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.head(0)


def id_gone(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.drop(columns="customer")


IMPOSSIBLE: dict[str, tuple[Callable[[pd.DataFrame], pd.DataFrame], list[str]]] = {
    "no target": (target_gone, ["churn", "200 rows"]),
    "one class only": (one_class, ["churn", "No", "200 rows"]),
    "fewer rows than the split needs": (few_rows, ["2 rows"]),
    "no rows": (no_rows, ["no rows"]),
    "duplicate ids": (twice_the_same_id, ["customer", "C00000"]),
    "no id column": (id_gone, ["customer", "200 rows"]),
}


@pytest.fixture(scope="module")
def example_outputs(installed: Workbench, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Outputs of an earlier training, to be found untouched."""
    installed.succeed("make", "train")
    kept = tmp_path_factory.mktemp("outputs")
    for folder in ("model", "reports", "build"):
        shutil.copytree(installed.project / folder, kept / folder)
    return kept


@pytest.fixture
def trained_before(bench: Workbench, example_outputs: Path) -> Workbench:
    for folder in ("model", "reports", "build"):
        shutil.rmtree(bench.project / folder, ignore_errors=True)
        shutil.copytree(example_outputs / folder, bench.project / folder)
    return bench


def assert_one_error(bench: Workbench, parts: list[str]) -> None:
    before = bench.bytes(*OUTPUTS)
    outcome = bench.fail("make", "train")
    assert len(outcome.errors) == 1, outcome.printed
    assert all(part in outcome.errors[0] for part in parts), outcome.errors[0]
    assert "Traceback" not in outcome.printed
    assert bench.bytes(*OUTPUTS) == before


@pytest.mark.parametrize(("spoil", "parts"), IMPOSSIBLE.values(), ids=IMPOSSIBLE)
def test_what_cannot_work_is_one_error_and_loses_nothing(trained_before: Workbench, spoil, parts) -> None:
    spoil(churn(200)).to_csv(trained_before.project / "data" / "own.csv", index=False)
    own = data_section("data/own.csv", "churn", id_column="customer", positive_class="Yes")
    trained_before.edit_params(data=own)
    assert_one_error(trained_before, ["data/own.csv", *parts])


def test_a_file_in_another_encoding(trained_before: Workbench) -> None:
    text = "id,name,churn\n" + "".join(f"{row},Müller,{'Yes' if row % 2 else 'No'}\n" for row in range(50))
    (trained_before.project / "data" / "own.csv").write_bytes(text.encode("latin-1"))
    trained_before.edit_params(data=data_section("data/own.csv", "churn", id_column="id"))
    assert_one_error(trained_before, ["data/own.csv", "encoding"])


def test_a_file_that_is_not_there(trained_before: Workbench) -> None:
    trained_before.edit_params(data=data_section("data/elsewhere.csv", "churn"))
    assert_one_error(trained_before, ["params.yaml: data.path: data/elsewhere.csv is not a file here"])


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ("", "params.yaml: data.path is missing"),
        ("data: data/own.csv\n", "params.yaml: data.path is missing"),
        ("data: {path: data/own.csv\n", 'in "params.yaml", line 2'),
    ],
)
def test_params_that_name_no_data(trained_before: Workbench, params: str, said: str) -> None:
    (trained_before.project / "params.yaml").write_text(params, encoding="utf-8")
    assert_one_error(trained_before, [said])


def test_an_unknown_key_in_params(trained_before: Workbench) -> None:
    trained_before.edit_params(data={"positve_class": "Yes"})
    assert_one_error(trained_before, ["params.yaml", "positve_class"])


def test_an_estimator_from_elsewhere(trained_before: Workbench) -> None:
    trained_before.edit_params(model={"estimator": "os.system"})
    assert_one_error(trained_before, ["params.yaml", "os.system"])
