"""Reading a reports folder: metrics, identity, cost, predictions and JUnit files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from gitops_ml import predictions as module
from gitops_ml.errors import UserError
from gitops_ml.junit import read_suite, read_suites
from gitops_ml.predictions import align, read_predictions
from gitops_ml.reports import read_recorded, read_reports

from tests.actions.comparison import classification, write_reports


def metrics_file(folder: Path, content: object) -> Path:
    (folder / "metrics.json").write_text(json.dumps(content))
    return folder


def test_nested_metrics_join_with_dots(tmp_path: Path) -> None:
    found = read_reports(metrics_file(tmp_path, {"a": 1, "b": {"c": 0.5, "d": {"e": -2}}}))
    assert dict(found.metrics) == {"a": 1.0, "b.c": 0.5, "b.d.e": -2.0}


REFUSED_METRICS = {
    "a list": ([1, 2], "must be an object"),
    "a text": ({"a": "0.9"}, "key 'a': must be a number, not a text"),
    "true": ({"a": True}, "must be a number, not true or false"),
    "null": ({"a": None}, "must be a number, not null"),
    "a list in it": ({"a": {"b": [1]}}, "key 'a.b': must be a number, not a list"),
    "nothing": ({}, "holds no metric"),
    "only empty groups": ({"a": {}}, "holds no metric"),
    "one name from two places": ({"a": {"b": 1}, "a.b": 2}, "two metrics get this name"),
    "a name too long": ({"a" * 81: 1}, "more than 80 characters"),
    "a name with a line break": ({"a\n::set-output": 1}, "control or direction"),
    "too many": ({f"m{number}": 1 for number in range(201)}, "more than 200 metrics"),
    "a huge integer": ({"a": 10**400}, "beyond"),
}


@pytest.mark.parametrize(("content", "message"), REFUSED_METRICS.values(), ids=REFUSED_METRICS)
def test_metrics_are_refused_with_their_key(tmp_path: Path, content: object, message: str) -> None:
    with pytest.raises(UserError) as caught:
        read_reports(metrics_file(tmp_path, content))
    assert message in caught.value.message


def test_a_folder_without_metrics_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"metrics\.json does not exist"):
        read_reports(tmp_path)
    assert not read_reports(tmp_path, need_metrics=False).metrics


@pytest.mark.parametrize(
    ("run", "message"),
    [
        ({"seed": "1"}, "'seed'"),
        ({"seed": 2**70}, "'seed'"),
        ({"data_hash": 5}, "'data_hash'"),
        ({"params": [1]}, "'params'"),
        ({"duration_s": -1}, "'duration_s'"),
    ],
)
def test_an_identity_of_the_wrong_type_is_refused(
    tmp_path: Path, run: dict[str, object], message: str
) -> None:
    write_reports(tmp_path, metrics={"a": 1}, run=run)
    with pytest.raises(UserError, match=message):
        read_reports(tmp_path)


def test_a_dangling_link_is_not_a_missing_file(tmp_path: Path) -> None:
    metrics_file(tmp_path, {"a": 1})
    (tmp_path / "run.json").symlink_to(tmp_path / "nowhere")
    with pytest.raises(UserError, match="symbolic link"):
        read_reports(tmp_path)


def test_productions_record_is_a_folder_or_a_file(tmp_path: Path) -> None:
    flat, manifest = tmp_path / "flat.json", tmp_path / "manifest.json"
    flat.write_text('{"roc_auc": 0.9}')
    manifest.write_text('{"metrics": {"roc_auc": 0.9}, "data_hash": "abcdef01", "seed": 3}')
    assert dict(read_recorded(flat).metrics) == {"roc_auc": 0.9}
    assert read_recorded(manifest).run.seed == 3
    assert dict(read_recorded(write_reports(tmp_path / "folder", metrics={"roc_auc": 0.9})).metrics) == {
        "roc_auc": 0.9
    }


def parquet(path: Path, **columns: object) -> Path:
    pq.write_table(pa.table(columns), path)
    return path


REFUSED_PREDICTIONS = {
    "no id": ({"y_true": [1], "y_pred": [1]}, "no column 'id'"),
    "no truth": ({"id": [1], "y_pred": [1]}, "no column 'y_true'"),
    "no answer": ({"id": [1], "y_true": [1]}, "neither 'y_pred' nor 'y_score'"),
    "an id twice": ({"id": ["a", "b", "a"], "y_true": [1, 0, 1], "y_pred": [1, 0, 1]}, "'a' stands more than once"),
    "an id missing": ({"id": ["a", None], "y_true": [1, 0], "y_pred": [1, 0]}, "column 'id', row 2: missing"),
    "no rows": (dict.fromkeys(("id", "y_true", "y_pred"), pa.array([], pa.int8())), "no rows"),
    "lists": ({"id": [1], "y_true": [[1]], "y_pred": [1]}, "column 'y_true': the type"),
    "a long text": ({"id": ["a" * 2000], "y_true": [1], "y_pred": [1]}, "more than 200 characters"),
}  # fmt: skip


@pytest.mark.parametrize(("columns", "message"), REFUSED_PREDICTIONS.values(), ids=REFUSED_PREDICTIONS)
def test_predictions_are_refused_with_their_place(
    tmp_path: Path, columns: dict[str, object], message: str
) -> None:
    with pytest.raises(UserError) as caught:
        read_predictions(parquet(tmp_path / "predictions.parquet", **columns))
    assert message in caught.value.message


def test_values_that_are_missing_or_not_finite_are_refused_with_their_row(tmp_path: Path) -> None:
    columns = {
        "id": [1, 2, 3],
        "y_true": [1.0, None, 2.0],
        "y_pred": [1.0, 2.0, np.inf],
        "y_score": ["a", "b", "c"],
    }
    path = parquet(tmp_path / "predictions.parquet", **columns)
    found = read_predictions(path)
    with pytest.raises(UserError, match="'y_true', row 2: missing"):
        found.numbers("y_true")
    with pytest.raises(UserError, match="'y_pred', row 3: missing or not"):
        found.numbers("y_pred")
    with pytest.raises(UserError, match="must hold numbers"):
        found.numbers("y_score")
    with pytest.raises(UserError, match="'y_true', row 2: missing"):
        found.labels("y_true")
    assert found.labels("y_true", missing="(missing)").values == ("1", "(missing)", "2")


@pytest.mark.parametrize("content", [b"", b"PAR1", b"not parquet at all", b"PAR1" + b"\xff" * 500 + b"PAR1"])
def test_what_is_no_parquet_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "predictions.parquet"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"not a readable parquet file"):
        read_predictions(path)


@pytest.mark.parametrize("column", ["id", "y_true", "y_pred"])
def test_texts_that_are_not_utf8_are_refused(tmp_path: Path, column: str) -> None:
    sound = {"id": ["a", "b"], "y_true": ["x", "y"], "y_pred": ["x", "y"]}
    broken = pa.array([b"a\xff", b"b"]).view(pa.string())
    path = parquet(tmp_path / "predictions.parquet", **sound | {column: broken})
    with pytest.raises(UserError, match="not a readable parquet file"):
        read_predictions(path)


def test_any_byte_of_a_parquet_file_may_be_broken(tmp_path: Path) -> None:
    path = parquet(tmp_path / "predictions.parquet", **{k: v[:50] for k, v in classification().items()})
    sound = path.read_bytes()
    refused = 0
    for place in range(4, len(sound), max(1, len(sound) // 150)):
        path.write_bytes(sound[:place] + bytes([sound[place] ^ 0x5A]) + sound[place + 1 :])
        try:
            read_predictions(path)
        except UserError:
            refused += 1
    assert refused > 10


def test_a_file_that_unpacks_to_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = 400_000
    path = parquet(
        tmp_path / "bomb.parquet", id=np.arange(rows), y_true=np.zeros(rows), y_pred=np.zeros(rows)
    )
    monkeypatch.setattr(module, "DECODED_LIMIT_BYTES", 4 * 1024**2)
    with pytest.raises(UserError, match="unpacks to more than"):
        read_predictions(path)
    monkeypatch.setattr(module, "MAX_ROWS", 1000)
    with pytest.raises(UserError, match="400,000 rows; at most 1,000"):
        read_predictions(path)


def test_a_long_text_repeated_a_million_times_is_refused_without_unpacking(tmp_path: Path) -> None:
    rows = 1_000_000
    text = pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int32)), pa.array(["x" * 1_000_000]))
    path = tmp_path / "bomb.parquet"
    pq.write_table(pa.table({"id": np.arange(rows), "y_true": np.zeros(rows), "y_pred": text}), path)
    assert path.stat().st_size < 20_000_000
    with pytest.raises(UserError, match="'y_pred': holds a text of more than 200"):
        read_predictions(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("id,y_true,y_pred\n1,2\n", "not a readable CSV"),
        ("id,y_true,y_pred,y_pred\n1,2,3,4\n", "two columns have one name"),
        ("", "not a readable CSV"),
        ("id,y_true,y_pred\n", "no rows"),
    ],
)
def test_csv_is_refused_with_its_reason(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "predictions.csv"
    path.write_text(content)
    with pytest.raises(UserError, match=message):
        read_predictions(path)


def test_csv_and_parquet_say_the_same(tmp_path: Path) -> None:
    columns = classification(50)
    one = read_predictions(write_reports(tmp_path / "a", columns) / "predictions.parquet", ["site"])
    two = read_predictions(
        write_reports(tmp_path / "b", columns, suffix=".csv") / "predictions.csv", ["site"]
    )
    assert align(one, two) is None
    assert np.array_equal(one.numbers("y_score"), two.numbers("y_score"))
    assert one.labels("site").values == two.labels("site").values


def test_classes_may_be_called_null_or_na(tmp_path: Path) -> None:
    path = tmp_path / "predictions.csv"
    path.write_text("id,y_true,y_pred\n1,null,NA\n2,NA,null\n")
    assert set(read_predictions(path).labels("y_true").values) == {"null", "NA"}


def test_two_files_of_predictions_are_refused(tmp_path: Path) -> None:
    write_reports(tmp_path, classification(50))
    write_reports(tmp_path, classification(50), suffix=".csv")
    with pytest.raises(UserError, match=r"has predictions\.parquet and"):
        read_reports(tmp_path)


def test_rows_are_joined_by_id_in_any_order(tmp_path: Path) -> None:
    columns = classification(40)
    order = np.random.default_rng(0).permutation(40)
    head = read_predictions(parquet(tmp_path / "a.parquet", **columns))
    base = read_predictions(
        parquet(tmp_path / "b.parquet", **{name: column[order] for name, column in columns.items()})
    )
    found = align(head, base)
    assert isinstance(found, np.ndarray)
    assert np.array_equal(base.numbers("y_score")[found], head.numbers("y_score"))


def test_other_ids_are_told(tmp_path: Path) -> None:
    columns = classification(40)
    head = read_predictions(parquet(tmp_path / "a.parquet", **columns))
    fewer = read_predictions(
        parquet(tmp_path / "b.parquet", **{name: column[:39] for name, column in columns.items()})
    )
    other = columns | {"id": np.array([*columns["id"][:-1], "another"])}
    assert align(head, fewer) == "the evaluation sets differ: 40 rows here, 39 in the baseline"
    found = align(head, read_predictions(parquet(tmp_path / "c.parquet", **other)))
    assert found == "the evaluation sets differ: 1 of 40 rows are not in the baseline"


def test_ids_that_are_numbers_on_one_side_are_the_same_ids(tmp_path: Path) -> None:
    one = read_predictions(parquet(tmp_path / "a.parquet", id=[1, 2], y_true=[0, 1], y_pred=[0, 1]))
    two = read_predictions(parquet(tmp_path / "b.parquet", id=["1", "2"], y_true=[0, 1], y_pred=[0, 1]))
    assert align(one, two) is None


JUNIT = """<?xml version="1.0"?>
<testsuites><testsuite name="pytest">
<testcase classname="tests.data" name="test_a"/>
<testcase classname="tests.data" name="test_b"><failure message="assert 1 == 2">trace</failure></testcase>
<testcase classname="tests.data" name="test_c"><skipped message="no GPU"/></testcase>
<testcase classname="tests.data" name="test_d"><error>no fixture</error></testcase>
</testsuite></testsuites>
"""


def test_junit_counts_and_names_failures(tmp_path: Path) -> None:
    (tmp_path / "data.xml").write_text(JUNIT)
    (suite,) = read_suites(tmp_path)
    assert (suite.name, suite.passed, suite.failed, suite.skipped) == ("data", 1, 2, 1)
    assert [(failure.name, failure.message) for failure in suite.failures] == [
        ("tests.data::test_b", "assert 1 == 2"),
        ("tests.data::test_d", "no fixture"),
    ]


def test_a_suite_that_failed_to_collect_counts_as_failed(tmp_path: Path) -> None:
    path = tmp_path / "model.xml"
    path.write_text('<testsuite><error message="import failed"/></testsuite>')
    assert read_suite(path).failed == 1


REFUSED_JUNIT = {
    "entities": ('<!DOCTYPE x [<!ENTITY a "b">]><testsuite>&a;</testsuite>', "document type"),
    "an outside file": ('<!DOCTYPE x SYSTEM "file:///etc/passwd"><testsuite/>', "document type"),
    "no test": ("<testsuite/>", "holds no test"),
    "another root": ("<html/>", "not a JUnit file"),
    "cut off": ("<testsuite><testcase", "line 1: not well-formed"),
    "too deep": ("<testsuite>" + "<a>" * 100 + "</a>" * 100 + "</testsuite>", "nested deeper"),
    "empty": ("", "not well-formed"),
    "an unknown encoding": (
        '<?xml version="1.0" encoding="x-none"?><testsuite/>',
        "not well-formed|encoding",
    ),
}


@pytest.mark.parametrize(("text", "message"), REFUSED_JUNIT.values(), ids=REFUSED_JUNIT)
def test_junit_is_refused_with_its_reason(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "unit.xml"
    path.write_text(text)
    with pytest.raises(UserError, match=message):
        read_suite(path)


def test_a_folder_of_tests_that_is_absent_holds_none(tmp_path: Path) -> None:
    assert read_suites(tmp_path / "tests") == ()
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(UserError, match="symbolic link"):
        read_suites(tmp_path / "link")
