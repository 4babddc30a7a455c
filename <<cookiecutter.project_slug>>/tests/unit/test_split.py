"""Which rows are test rows, and that this does not depend on what it must not."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

import examples
from << cookiecutter.package_name >>.errors import DataWarning, UserError
from << cookiecutter.package_name >>.split import split
from << cookiecutter.package_name >>.table import ID, TARGET

FILE = Path("rows.csv")


def rows(count: int = 200, rare: int = 20) -> pd.DataFrame:
    labels = ["Yes"] * rare + ["No"] * (count - rare)
    return pd.DataFrame({ID: [f"k{number}" for number in range(count)], TARGET: labels, "when": range(count)})


def test_each_class_is_split_alike() -> None:
    train, test = split(rows(), examples.settings(FILE))
    assert len(test) == 50
    assert (test[TARGET] == "Yes").sum() == 5
    assert set(train[ID]).isdisjoint(test[ID])


@settings(max_examples=20, deadline=None)
@given(some.integers(0, 2**31), some.randoms(use_true_random=False))
def test_the_order_of_the_file_does_not_matter(seed: int, random: Random) -> None:
    order = list(range(200))
    random.shuffle(order)
    chosen = examples.settings(FILE, split__seed=seed)
    _, test = split(rows(), chosen)
    _, shuffled = split(rows().iloc[order].reset_index(drop=True), chosen)
    assert set(test[ID]) == set(shuffled[ID])


def test_added_rows_leave_nearly_all_others_where_they_are() -> None:
    _, before = split(rows(400, 100), examples.settings(FILE))
    more = pd.concat([rows(400, 100), pd.DataFrame({ID: ["n1", "n2"], TARGET: ["Yes", "No"], "when": [0, 0]})])
    _, after = split(more.reset_index(drop=True), examples.settings(FILE))
    assert len(set(before[ID]) - set(after[ID])) <= 2


def test_another_seed_gives_another_split() -> None:
    _, one = split(rows(), examples.settings(FILE, split__seed=1))
    _, two = split(rows(), examples.settings(FILE, split__seed=2))
    assert set(one[ID]) != set(two[ID])


def test_by_time_the_latest_rows_are_tested() -> None:
    mixed = rows().sample(frac=1, random_state=0).assign(**{TARGET: ["Yes", "No"] * 100}).reset_index(drop=True)
    train, test = split(mixed, examples.settings(FILE, data__time_column="when"))
    assert train["when"].max() < test["when"].min()
    assert len(test) == 50


def test_a_class_with_one_row_is_never_tested() -> None:
    with pytest.warns(DataWarning, match="class 'Yes' has one row"), pytest.raises(UserError):
        split(rows(rare=1), examples.settings(FILE))
    three = rows(rare=20)
    three.loc[0, TARGET] = "Maybe"
    with pytest.warns(DataWarning, match="class 'Maybe'"):
        train, test = split(three, examples.settings(FILE))
    assert "Maybe" in set(train[TARGET]) - set(test[TARGET])


@pytest.mark.parametrize(
    ("table", "changes", "said"),
    [
        (rows(20, 10), {}, "20 rows give 16 to train"),
        (rows(200), {"split__test_size": 0.01}, "change split.test_size"),
        (rows(), {"data__time_column": "when"}, "all 50 test rows are 'No'"),
        (rows().assign(when=None), {"data__time_column": "when"}, "'when'"),
    ],
    ids=["too few rows", "too small a share", "time separates the classes", "no times"],
)
def test_a_split_that_cannot_work_is_said(table: pd.DataFrame, changes: dict[str, object], said: str) -> None:
    with pytest.raises(UserError, match=r"rows\.csv") as caught:
        split(table.assign(when=pd.to_numeric(table["when"])), examples.settings(FILE, **changes))
    assert said in str(caught.value)
