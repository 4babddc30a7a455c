"""A service that cannot answer rightly does not start, and says why in one line."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import serving

from << cookiecutter.package_name >> import hashes
from << cookiecutter.package_name >>.errors import UserError
from << cookiecutter.package_name >>.service import settings, version


def tampered(folder: Path) -> None:
    data = bytearray((folder / "model.skops").read_bytes())
    data[len(data) // 2] ^= 1
    (folder / "model.skops").write_bytes(data)


def no_model(folder: Path) -> None:
    (folder / "model.skops").unlink()


def no_contract(folder: Path) -> None:
    (folder / "contract.json").unlink()


def changed(**values: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / "contract.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | values))

    change.__name__ = "contract_" + "_".join(values)
    return change


def column_renamed(folder: Path) -> None:
    path = folder / "contract.json"
    path.write_text(path.read_text().replace('"city"', '"town"'))
    rows = pd.read_parquet(folder / "reference.parquet").rename(columns={"city": "town"})
    rows.to_parquet(folder / "reference.parquet")


def columns_swapped(folder: Path) -> None:
    path = folder / "contract.json"
    value = json.loads(path.read_text())
    value["features"].reverse()
    path.write_text(json.dumps(value))


def resaved(folder: Path, change: Callable[[str], str]) -> None:
    """Rewrite the model's description, and let the contract agree with the new file."""
    path = folder / "model.skops"
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["schema.json"] = change(members["schema.json"].decode()).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    changed(model_hash=hashes.of_file(path))(folder)


def older_scikit_learn(folder: Path) -> None:
    import sklearn

    quoted = json.dumps(json.dumps(sklearn.__version__))
    resaved(folder, lambda text: text.replace(quoted, json.dumps(json.dumps("1.0.2"))))


def foreign_type(folder: Path) -> None:
    resaved(
        folder,
        lambda text: text.replace('"LogisticRegression"', '"Popen"').replace(
            '"sklearn.linear_model._logistic"', '"subprocess"'
        ),
    )


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (tampered, "the two files must come from one training"),
        (no_model, "make train"),
        (no_contract, "contract.json does not exist"),
        (changed(model_hash="0" * 64), "was made for 000000000000"),
        (changed(schema=2), "schema"),
        (changed(surprise=1), "surprise"),
        (
            changed(task="regression", classes=[], positive_class=None),
            "knows classes, but its contract says regression",
        ),
        (changed(classes=["No", "Perhaps"], positive_class="No"), "differ in their classes"),
        (column_renamed, "differ in their columns (city, town)"),
        (columns_swapped, "differ in their columns (their order)"),
        (older_scikit_learn, "was trained with scikit-learn 1.0.2"),
        (foreign_type, "not trusted"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_model_that_does_not_fit_is_refused(
    two_classes: Path, tmp_path: Path, damage: Callable[[Path], None], said: str
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(two_classes, folder)
    damage(folder)
    with pytest.raises(UserError) as error:
        serving.serve(folder)
    assert said in str(error.value)
    assert str(folder) in str(error.value)


def test_the_command_ends_with_one_line(two_classes: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(two_classes, folder)
    tampered(folder)
    command = [sys.executable, "-m", f"{serving.PACKAGE}.service", "--model", str(folder), "serve", "--port", "0"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=serving.ROOT / "src", timeout=120)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"SERVING_MAX_ROW": "5"}, "did you mean SERVING_MAX_ROWS?"),
        ({"SERVING_PORT": "eighty"}, "SERVING_PORT"),
        ({"SERVING_MAX_ROWS": "0"}, "SERVING_MAX_ROWS"),
        ({"SERVING_PREDICTION_LOG_HASHED": "city"}, "needs SERVING_PREDICTION_LOG_KEY"),
    ],
)
def test_settings_that_cannot_be_are_refused(environ: dict[str, str], said: str) -> None:
    with pytest.raises(UserError, match=r"^environment: ") as error:
        settings.load(environ)
    assert said in str(error.value)


def test_settings_come_from_the_environment_and_the_command_line_wins() -> None:
    found = settings.load(
        {"SERVING_PORT": "9000", "SERVING_HOST": "::", "PATH": "/bin", "SERVING_MODEL_DIR": ""}, port=9001
    )
    assert (found.port, found.host, found.model_dir) == (9001, "::", Path("model"))


def test_another_python_is_refused() -> None:
    declared = tomllib.loads((serving.ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    assert declared == f"=={version.PYTHON}.*"
    version.check_python(f"{version.PYTHON}.4")
    for other in ("3.1.0", f"{version.PYTHON}0.1", "4.0.0"):
        with pytest.raises(UserError, match=r"pyproject\.toml asks for Python"):
            version.check_python(other)


def test_another_python_is_refused_before_its_packages_are_needed(tmp_path: Path) -> None:
    shutil.copytree(serving.ROOT / "src", tmp_path / "src")
    module = tmp_path / "src" / serving.PACKAGE / "service" / "version.py"
    module.write_text(module.read_text().replace(f'PYTHON = "{version.PYTHON}"', 'PYTHON = "3.1"'))
    command = [sys.executable, "-S", "-m", f"{serving.PACKAGE}.service", "serve"]  # -S: without any packages
    environ = {"PYTHONPATH": str(tmp_path / "src")}
    done = subprocess.run(command, capture_output=True, text=True, env=environ, cwd=tmp_path, timeout=120)
    assert done.returncode == 1
    assert done.stderr.startswith("error: pyproject.toml asks for Python 3.1, but this is ")
    assert done.stderr.count("\n") == 1


def test_an_identity_that_could_break_a_header_is_refused() -> None:
    with pytest.raises(UserError, match="RELEASE_ID"):
        version.of({"RELEASE_ID": "r-1\r\nx: y"}, model_name="m", model_hash="h", data_hash="d")
