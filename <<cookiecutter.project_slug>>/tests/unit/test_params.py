"""params.yaml: what is refused, and that the message names file and key."""

from __future__ import annotations

from pathlib import Path

import pytest

from << cookiecutter.package_name >> import params
from << cookiecutter.package_name >>.errors import UserError

GOOD = """
task: classification
data: {path: data/x.csv, target: answer, id_column: key, positive_class: Yes}
split: {test_size: 0.25, seed: 1}
model: {name: example, estimator: sklearn.svm.SVC, seed: 0}
"""


def load(text: str, folder: Path) -> params.Params:
    path = folder / "params.yaml"
    path.write_text(text, encoding="utf-8")
    return params.load(path)


def test_yes_is_a_word_and_true_is_a_class(tmp_path: Path) -> None:
    assert load(GOOD, tmp_path).data.positive_class == "Yes"
    assert load(GOOD.replace("Yes", "true"), tmp_path).data.positive_class == "True"
    assert load(GOOD.replace("Yes", "1"), tmp_path).data.positive_class == "1"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("seed: 1}", "seed: 1, seeds: 2}"), "split.seeds is not a known key; did you mean seed?"),
        (("seed: 1}", "seed: 1, rows: 2}"), "split.rows is not a known key; known are test_size, seed"),
        (("target: answer, ", ""), "data.target is missing"),
        (("0.25", "1.5"), "split.test_size"),
        (("task: classification", "task: clustering"), "task"),
        (("task: classification", "task: regression"), "data.positive_class has no meaning"),
        (("id_column: key", "id_column: answer"), "must be different columns"),
        (("id_column: key", "id_column: key, drop: [answer]"), "'answer' is the target"),
        (("id_column: key", "id_column: key, slices: [y_true]"), "cannot be named 'y_true'"),
        (("split: {", "split: {{"), "is not YAML"),
    ],
    ids=lambda value: value[1] if isinstance(value, tuple) else "",
)
def test_a_mistake_names_file_and_key(change: tuple[str, str], said: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"params\.yaml") as caught:
        load(GOOD.replace(*change), tmp_path)
    assert said in str(caught.value)


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        params.load(tmp_path / "params.yaml")


def test_flat_parameters_have_dotted_keys(tmp_path: Path) -> None:
    flat = load(GOOD.replace("seed: 0", "seed: 0, params: {C: 2.0}"), tmp_path).flat()
    assert flat["model.params.C"] == 2.0
    assert flat["data.path"] == "data/x.csv"
