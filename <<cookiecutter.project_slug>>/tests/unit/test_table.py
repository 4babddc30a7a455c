"""Reading and typing a data file, and every way in which it can be refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

import examples
from << cookiecutter.package_name >> import columns, table
from << cookiecutter.package_name >>.errors import DataWarning, UserError

Change = Callable[[pd.DataFrame], pd.DataFrame]


def load(frame: pd.DataFrame, folder: Path, **changes: object) -> table.Table:
    path = examples.written(frame, folder / "rows.csv")
    return table.load(examples.settings(path, **changes))


def infer(values: list[object]) -> tuple[str, list[object]]:
    column, typed = columns.infer("c", pd.Series(values, dtype=object), "rows.csv")
    return column.type, [None if pd.isna(value) else value for value in typed]


@pytest.mark.parametrize(
    ("values", "kind", "typed"),
    [
        (["1.5", " ", "-2e3", "NA"], "number", [1.5, None, -2000.0, None]),
        (["1", "", "3"], "integer", [1.0, None, 3.0]),
        (["True", "false", ""], "boolean", [1.0, 0.0, None]),
        (["Yes", "No ", "n/a"], "category", ["Yes", "No", None]),
        (["2024-12-31", ""], "datetime", [pd.Timestamp("2024-12-31"), None]),
        (["2024-12-31T10:00:00Z"], "datetime", [pd.Timestamp("2024-12-31 10:00")]),
        (["12", "twelve", "13"], "category", ["12", "twelve", "13"]),
        (["", " "], "category", [None, None]),
    ],
    ids=["number", "integer", "boolean", "category", "date", "time with zone", "too few numbers", "empty"],
)
def test_a_column_gets_its_type(values: list[object], kind: str, typed: list[object]) -> None:
    assert infer(values) == (kind, typed)


def test_a_few_words_among_numbers_become_missing_with_a_warning() -> None:
    with pytest.warns(DataWarning, match="1 of 100 values are no numbers"):
        kind, typed = infer([*map(str, range(99)), "unknown"])
    assert kind == "integer"
    assert typed[-1] is None


def test_infinite_numbers_become_missing_with_a_warning() -> None:
    with pytest.warns(DataWarning, match="1 infinite"):
        assert infer(["1.5", "inf"]) == ("number", [1.5, None])


@settings(max_examples=60, deadline=None)
@given(some.lists(some.one_of(some.none(), some.floats(allow_nan=False, allow_infinity=False)), min_size=1))
def test_numbers_with_blanks_keep_their_values(values: list[float | None]) -> None:
    text = pd.Series(["  " if value is None else f" {value!r} " for value in values], dtype=object)
    _, typed = columns.infer("c", text, "rows.csv")
    assert [None if pd.isna(value) else float(value) for value in typed] == values


def test_csv_and_parquet_give_the_same_rows(tmp_path: Path) -> None:
    frame = examples.mixed()
    from_csv = load(frame, tmp_path)
    typed = frame.assign(
        size=pd.to_numeric(frame["size"].where(frame["size"] != " "), errors="coerce"),
        member=frame["member"] == "true",
        since=pd.to_datetime(frame["since"]),
        city=frame["city"].replace("", None),
    )
    typed.to_parquet(tmp_path / "rows.parquet")
    from_parquet = table.load(examples.settings(tmp_path / "rows.parquet"))
    assert from_csv.columns == from_parquet.columns
    pd.testing.assert_frame_equal(from_csv.rows, from_parquet.rows)


def test_rows_without_a_target_are_left_out_with_a_warning(tmp_path: Path) -> None:
    frame = examples.mixed()
    frame.loc[:4, "answer"] = " "
    with pytest.warns(DataWarning, match="5 of 120 rows have no target"):
        assert len(load(frame, tmp_path).rows) == 115


def test_a_byte_order_mark_and_quotes_do_no_harm(tmp_path: Path) -> None:
    text = 'key,"a, b",answer\nk1,"1",Yes\nk2,"2\n",No\n'
    (tmp_path / "rows.csv").write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert list(table.read(tmp_path / "rows.csv").columns) == ["key", "a, b", "answer"]


def repeated(frame: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([frame, frame.head(3)])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda f: f.drop(columns="answer"), ["'answer'", "data.target", "120 rows"]),
        (lambda f: f.drop(columns="key"), ["'key'", "data.id_column"]),
        (lambda f: f.assign(answer="Yes"), ["'answer'", "'Yes' in all 120 rows", "two classes"]),
        (lambda f: f.assign(answer=""), ["'answer'", "empty in all 120 rows"]),
        (lambda f: f.assign(answer=f["key"]), ["'answer'", "120 different values"]),
        (repeated, ["'key'", "3 of 123 rows", "'k0000'"]),
        (lambda f: f.assign(key=["", *f["key"][1:]]), ["'key'", "1 of 120 rows have no id"]),
        (lambda f: f.head(0), ["no rows"]),
    ],
    ids=["no target", "no id", "one class", "empty target", "too many classes", "repeated ids", "empty id", "empty"],
)
def test_what_cannot_work_is_one_line_with_its_place(change: Change, said: list[str], tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"rows\.csv") as caught:
        load(change(examples.mixed()), tmp_path)
    for words in said:
        assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_target_of_words_is_no_regression(tmp_path: Path) -> None:
    frame = examples.mixed().assign(amount="much")
    with pytest.raises(UserError, match="not a number in 120 of 120 rows, such as 'much'"):
        load(frame, tmp_path, task="regression")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("key,answer\nk1,caf\u00e9\n".encode("latin-1"), "line 2 is not utf-8 text"),
        ("key,answer\nk1,Yes\n".encode("utf-16"), "is not utf-8 text"),
        (b"key,answer\nk1,Yes,3\n", "row 1 has 3 values, but the header names 2 columns"),
        (b"key,key,answer\nk1,k2,Yes\n", "two columns named 'key'"),
        (b"key;answer\nk1;Yes\n", "data.separator"),
        (b"\n", "is empty"),
    ],
    ids=["latin-1", "utf-16", "ragged", "same name twice", "semicolons", "empty"],
)
def test_a_file_that_cannot_be_read_is_said(content: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"rows\.csv") as caught:
        table.read(path)
    assert said in str(caught.value)


def test_another_encoding_and_separator_can_be_set(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_bytes("key;answer\nk1;caf\u00e9\n".encode("latin-1"))
    rows = table.read(tmp_path / "rows.csv", encoding="latin-1", separator=";")
    assert rows["answer"].tolist() == ["caf\u00e9"]


def test_without_an_id_column_rows_are_numbered(tmp_path: Path) -> None:
    rows = load(examples.mixed(), tmp_path, data__id_column=None, data__drop=["key", "amount"]).rows
    assert rows[table.ID].is_unique
    assert np.array_equal(rows[table.ID].head(2), ["row-0", "row-1"])
