"""The encoding without data frames gives what the pipeline gives, or is not used."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import serving
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from serving import Served
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from << cookiecutter.package_name >>.service import model as models
from << cookiecutter.package_name >>.service import shortcut
from << cookiecutter.package_name >>.service.model import Model

RECORD = st.fixed_dictionaries(
    {
        "size": st.none() | st.floats(-1e6, 1e6),
        "visits": st.none() | st.integers(-5, 20),
        "member": st.none() | st.booleans(),
        "city": st.none()
        | st.sampled_from(["Aachen", " Bonn ", "Celle", "", "nan", "N/A", "Delft", "(missing)", "_", "0_Bonn"]),
        "since": st.none() | st.datetimes(datetime(1990, 1, 1), datetime(2050, 1, 1)).map(datetime.isoformat),
    }
)


@pytest.fixture(scope="module", params=["two_classes", "three_classes", "numbers"])
def pair(request: pytest.FixtureRequest) -> tuple[Model, Model]:
    quick = serving.serve(request.getfixturevalue(request.param)).service.model
    assert quick.encode is not None
    return quick, Model(quick.contract, quick.pipeline, quick.hash, quick.reference, None)


@hypothesis_settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None
)
@given(records=st.lists(RECORD, min_size=1, max_size=5))
def test_it_gives_what_the_pipeline_gives(pair: tuple[Model, Model], records: list[dict[str, Any]]) -> None:
    quick, slow = pair
    rows = {name: [record[name] for record in records] for name in records[0]}
    # conform refuses columns of which most values cannot be read; none is like that here
    assert models.same(quick.answer(rows), slow.answer(rows))


def test_it_is_not_used_for_another_kind_of_pipeline(served: Served) -> None:
    other = make_pipeline(StandardScaler(), StandardScaler())
    assert shortcut.of(other, served.contract) is None


def test_it_is_not_used_when_it_gives_something_else(two_classes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = shortcut.of

    def wrong(pipeline: Any, contract: Any) -> Any:
        encode = real(pipeline, contract)
        assert encode is not None
        return lambda rows: encode(rows) + np.float64(1e-6)

    monkeypatch.setattr(shortcut, "of", wrong)
    assert serving.serve(two_classes).service.model.encode is None
