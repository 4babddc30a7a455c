"""A file of rows becomes a file of predictions: the same as the evaluation's, whole or not at all, resumable."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest
import serving

from << cookiecutter.package_name >> import predictions
from << cookiecutter.package_name >>.errors import UserError
from << cookiecutter.package_name >>.service import batch
from << cookiecutter.package_name >>.service.batch import Options
from << cookiecutter.package_name >>.service.model import Model


@pytest.fixture
def model(two_classes: Path) -> Model:
    return serving.serve(two_classes).service.model


@pytest.fixture
def rows(model: Model, tmp_path: Path) -> Path:
    """1,000 typed rows in row groups of 300, which are not the chunks that are asked for."""
    many = pd.concat([model.reference] * 6, ignore_index=True).head(1000)
    many["key"] = [f"k{number}" for number in range(len(many))]
    many["other"] = range(len(many))
    many.to_parquet(tmp_path / "rows.parquet", row_group_size=300)
    return tmp_path / "rows.parquet"


def test_a_parquet_file_is_predicted_as_the_evaluation_would(
    model: Model, two_classes: Path, rows: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.parquet"
    batch.run(two_classes, str(rows), str(out), Options(rows=128, keep=["other"]))
    given, found = pd.read_parquet(rows), pd.read_parquet(out)
    assert list(found.columns) == ["key", "other", "y_pred", "y_score"]
    assert list(found["key"]) == list(given["key"])
    wanted = predictions.predict(model.pipeline, model.contract, given)
    assert (found["y_pred"] == wanted["y_pred"]).all()
    assert (found["y_score"] - wanted["y_score"]).abs().max() < 1e-9
    assert pq.ParquetFile(out).num_row_groups > 1
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_csv_file_is_read_by_the_rules_of_training(model: Model, two_classes: Path, tmp_path: Path) -> None:
    source = two_classes.parent / "rows.csv"
    batch.run(two_classes, str(source), str(tmp_path / "out.parquet"), Options())
    given = pd.read_csv(source, dtype=str, keep_default_na=False)
    wanted = predictions.predict(model.pipeline, model.contract, given)
    found = pd.read_parquet(tmp_path / "out.parquet")
    assert (found["y_score"] - wanted["y_score"]).abs().max() < 1e-9
    assert list(found["key"]) == list(given["key"])


def stopped_after(monkeypatch: pytest.MonkeyPatch, chunks: int) -> list[int]:
    """Let writing fail after some chunks, as on a full disk; the list counts what was written."""
    real, written = batch._write, [0]

    def write(table: Any, part: Path) -> None:
        if written[0] == chunks:
            raise OSError(28, "No space left on device")
        real(table, part)
        written[0] += 1

    monkeypatch.setattr(batch, "_write", write)
    return written


def test_an_interrupted_run_leaves_no_output_and_goes_on_where_it_stopped(
    two_classes: Path, rows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out, whole = tmp_path / "out.parquet", tmp_path / "whole.parquet"
    batch.run(two_classes, str(rows), str(whole), Options(rows=100))
    stopped_after(monkeypatch, 3)
    with pytest.raises(UserError, match=r"No space left.*run the same command again"):
        batch.run(two_classes, str(rows), str(out), Options(rows=100))
    assert not out.exists()
    monkeypatch.undo()
    written = stopped_after(monkeypatch, 10**6)
    batch.run(two_classes, str(rows), str(out), Options(rows=100))
    chunks = pq.ParquetFile(whole).num_row_groups
    assert written[0] == chunks - 3
    assert "going on after 3 chunks" in capsys.readouterr().err
    assert out.read_bytes() == whole.read_bytes()


@pytest.mark.parametrize("change", ["input", "model", "options"])
def test_chunks_of_another_job_are_not_used(
    change: str, two_classes: Path, numbers: Path, rows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, folder, options = tmp_path / "out.parquet", two_classes, Options(rows=100)
    stopped_after(monkeypatch, 3)
    with pytest.raises(UserError):
        batch.run(folder, str(rows), str(out), options)
    monkeypatch.undo()
    if change == "input":
        pd.read_parquet(rows).head(500).to_parquet(rows)
    elif change == "model":
        folder = numbers
    else:
        options = Options(rows=99)
    written = stopped_after(monkeypatch, 10**6)
    batch.run(folder, str(rows), str(out), options)
    assert written[0] == pq.ParquetFile(out).num_row_groups


def test_an_earlier_output_stays_when_a_run_fails(
    two_classes: Path, rows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out.parquet"
    batch.run(two_classes, str(rows), str(out), Options())
    before = out.read_bytes()
    stopped_after(monkeypatch, 0)
    with pytest.raises(UserError):
        batch.run(two_classes, str(rows), str(out), Options(rows=10))
    assert out.read_bytes() == before


@pytest.mark.parametrize(
    ("source", "target", "options", "said"),
    [
        ("missing.parquet", "out.parquet", Options(), "is not a file"),
        ("rows.parquet", "out.csv", Options(), "must end in .parquet"),
        ("rows.parquet", "rows.parquet", Options(), "is the input"),
        ("rows.parquet", "out.parquet", Options(keep=["nothing"]), "no column 'nothing'"),
        ("rows.parquet", "out.parquet", Options(rows=0), "--rows 0"),
        ("text.parquet", "out.parquet", Options(), "must be .parquet or .csv"),
        ("short.parquet", "out.parquet", Options(), "has no column 'city'"),
        ("odd.parquet", "out.parquet", Options(rows=100), "rows 200 to 299: column 'size': 100 of 100"),
        ("nowhere://x/rows.parquet", "out.parquet", Options(), "cannot be used"),
    ],
)
def test_what_cannot_work_is_told_in_one_line(
    two_classes: Path, rows: Path, tmp_path: Path, source: str, target: str, options: Options, said: str
) -> None:
    given = pd.read_parquet(rows)
    (tmp_path / "text.parquet").write_text("no parquet")
    given.drop(columns="city").to_parquet(tmp_path / "short.parquet")
    odd = given.copy()
    odd["size"] = ["?" if 200 <= number < 300 else str(number) for number in range(len(odd))]
    odd.to_parquet(tmp_path / "odd.parquet")
    place = source if "://" in source else str(tmp_path / source)
    with pytest.raises(UserError) as error:
        batch.run(two_classes, place, str(tmp_path / target), options)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_a_uri_names_a_file_too(two_classes: Path, rows: Path, tmp_path: Path) -> None:
    batch.run(two_classes, rows.as_uri(), (tmp_path / "out.parquet").as_uri(), Options())
    assert pq.read_metadata(tmp_path / "out.parquet").num_rows == 1000


def test_memory_is_bounded_by_the_chunk(
    two_classes: Path, rows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    real = Model.answer_frame

    def counted(self: Model, ready: pd.DataFrame) -> Any:
        seen.append(len(ready))
        return real(self, ready)

    monkeypatch.setattr(Model, "answer_frame", counted)
    batch.run(two_classes, str(rows), str(tmp_path / "out.parquet"), Options(rows=64))
    assert max(seen[1:]) <= 64  # the first asks for the reference rows
    assert sum(seen[1:]) == 1000
