"""Every answer rendered, in pairs: the exact files, no mark of the template left, everything readable."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from itertools import combinations
from pathlib import Path

import pytest
import yaml
from gitops_ml.delivery.change import check_policy
from gitops_ml.delivery.checkout import read_policy
from gitops_ml.delivery.environment import render as environment_file
from gitops_ml.login.place import PASSWORD, place_of

from tools.answers import choices, complete, pairs, pairwise, row_id
from tools.template_files import ROOT, render

ROWS = pairwise(choices())
EXPECTED = Path(__file__).with_name("expected_files.txt")
LEFTOVER = re.compile(r"<<|<%|%>|<#|#>|\{\{ ?cookiecutter|cookiecutter\.(?!json\b)[a-z_]+")
# Texts that speak of cookiecutter itself, and data and scripts that use these characters in their own right.
VENDORED = ".github/actions/"


@pytest.fixture(scope="module", params=ROWS, ids=row_id)
def row(request: pytest.FixtureRequest) -> dict[str, str]:
    return request.param


@pytest.fixture(scope="module")
def project(row, template, environ, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return render(template, tmp_path_factory.mktemp("rendered"), complete(row), lock=False, environ=environ)[
        0
    ]


def files(project: Path) -> list[str]:
    done = subprocess.run(["git", "ls-files", "-z"], cwd=project, capture_output=True, text=True, check=True)
    return [name for name in done.stdout.split("\0") if name]


def expected(row: dict[str, str]) -> set[str]:
    """Lines of expected_files.txt; `# only ANSWER or ANSWER` restricts a line to projects with one of them."""
    names = set()
    for line in EXPECTED.read_text(encoding="utf-8").splitlines():
        name, _, only = line.partition("# only ")
        if name.strip() and (not only or set(only.strip().split(" or ")) & set(row.values())):
            names.add(name.strip().replace("PACKAGE", "tumour_triage"))
    return names


def test_the_rows_cover_every_pair() -> None:
    questions = choices()
    wanted = {
        ((first, a), (second, b))
        for first, second in combinations(questions, 2)
        for a in questions[first]
        for b in questions[second]
    }
    assert set().union(*(pairs(row) for row in ROWS)) == wanted


def test_exactly_the_expected_files(project: Path, row: dict[str, str]) -> None:
    own = {name for name in files(project) if not name.startswith(VENDORED)}
    assert own == expected(row)


def test_no_mark_of_the_template_is_left(project: Path) -> None:
    for name in files(project):
        if name.startswith(VENDORED) or name.endswith(".csv"):
            continue
        found = LEFTOVER.search((project / name).read_text(encoding="utf-8"))
        assert found is None, f"{name} still holds {found[0]!r}"
        assert LEFTOVER.search(name) is None


def test_everything_can_be_read(project: Path) -> None:
    readers = {".yaml": yaml.safe_load, ".yml": yaml.safe_load, ".toml": tomllib.loads, ".json": json.loads}
    read = 0
    for name in files(project):
        reader = readers.get(Path(name).suffix)
        if reader is not None:
            reader((project / name).read_text(encoding="utf-8"))
            read += 1
        if name.endswith(".py"):
            compile((project / name).read_text(encoding="utf-8"), name, "exec")
    assert read > 5


def test_ruff_changes_nothing(project: Path) -> None:
    ruff = Path(sys.executable).with_name("ruff")
    for words in (["check"], ["format", "--check"]):
        done = subprocess.run([ruff, *words, "--no-cache", "."], cwd=project, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_licence_is_the_one_asked_for(project: Path, row: dict[str, str]) -> None:
    text = (project / "LICENSE").read_text(encoding="utf-8")
    first = {
        "MIT": "MIT License",
        "Apache-2.0": "Apache License",
        "BSD-3-Clause": "BSD 3-Clause License",
        "Proprietary": "All rights reserved",
    }[row["license"]]
    assert first in text
    metadata = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = metadata.get("license")
    assert named == (None if row["license"] == "Proprietary" else row["license"])


def test_the_python_version_is_the_one_asked_for(project: Path, row: dict[str, str]) -> None:
    metadata = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))
    assert metadata["project"]["requires-python"] == f"=={row['python_version']}.*"


def test_the_task_is_the_one_asked_for(project: Path, row: dict[str, str]) -> None:
    params = yaml.safe_load((project / "params.yaml").read_text(encoding="utf-8"))
    assert params["task"] == row["task"]


def test_releases_run_where_was_asked_for(project: Path, row: dict[str, str]) -> None:
    """The order of environments as the delivery itself reads it, with a manifest for each that names one."""
    files = {
        f"environments/{path.name}": path.read_bytes() for path in (project / "environments").glob("*.yaml")
    }
    pipeline, revoked = read_policy(files)
    check_policy(pipeline, files)
    assert revoked.revoked == ()
    assert pipeline.names == ("staging", "production")
    assert [step.target.kind for step in pipeline.environments] == [row["deploy_target"]] * 2
    assert files["environments/production.yaml"] == environment_file("production", None)
    overlays = [step.target.overlay for step in pipeline.environments if hasattr(step.target, "overlay")]
    assert all((project / overlay / "kustomization.yaml").is_file() for overlay in overlays)


def test_images_are_the_owners(rendered) -> None:
    project, _ = rendered({"github_owner": "Acme-Labs"})
    pipeline = yaml.safe_load((project / "environments" / "pipeline.yaml").read_text(encoding="utf-8"))
    assert pipeline["image"] == "ghcr.io/acme-labs/tumour-triage"


def test_images_are_kept_where_was_asked_for(project: Path, row: dict[str, str]) -> None:
    """How a run logs in there differs, and the README names what it needs for that and nothing of another place."""
    pipeline = yaml.safe_load((project / "environments" / "pipeline.yaml").read_text(encoding="utf-8"))
    found = place_of(pipeline["image"], {"GITHUB_SERVER_URL": "https://github.com"})
    kinds = {"ghcr.io": "forge", "ecr": "aws", "gar": "google", "acr": "azure"}
    assert found.kind == kinds.get(row["registry"], "account")
    readme = (project / "README.md").read_text(encoding="utf-8")
    named = re.findall(r"`((?:REGISTRY|AWS|GCP|AZURE)_[A-Z_]+)`", readme)
    assert set(named) - {PASSWORD} == set(found.variables)
    assert (PASSWORD in named) is (found.kind == "account")


def test_training_runs_where_was_asked_for(rendered) -> None:
    for answer, labels in (
        (None, ["ubuntu-24.04"]),
        ("self-hosted, gpu", ["self-hosted", "gpu"]),
        ("big", ["big"]),
    ):
        project, _ = rendered(
            {} if answer is None else {"training_runner": answer, "project_slug": f"x-{len(answer)}"}
        )
        training = {}
        for workflow in sorted((project / ".github" / "workflows").glob("*.yml")):
            for name, job in yaml.safe_load(workflow.read_text(encoding="utf-8"))["jobs"].items():
                if found := re.fullmatch(
                    r"\$\{\{ fromJSON\(vars\.TRAINING_RUNNER \|\| '(.*)'\) \}\}", job.get("runs-on", "")
                ):
                    training[name] = json.loads(found[1])
        assert training == dict.fromkeys(("train", "base", "model-tests", "model"), labels)


def test_images_go_where_was_asked_for(rendered) -> None:
    place = "127.0.0.1:5000/team/model"
    answers = {"registry": "other", "image_repository": place, "deploy_target": "kubernetes"}
    project, _ = rendered(answers)
    files = {
        f"environments/{path.name}": path.read_bytes() for path in (project / "environments").glob("*.yaml")
    }
    assert read_policy(files)[0].image == place
    overlay = project / "deploy" / "kubernetes" / "production" / "kustomization.yaml"
    assert yaml.safe_load(overlay.read_text(encoding="utf-8"))["images"][0]["newName"] == place


def test_the_owner_is_the_one_asked_for(rendered) -> None:
    project, _ = rendered({"github_owner": "acme-labs"})
    assert "@acme-labs" in (project / "CODEOWNERS").read_text(encoding="utf-8")
    metadata = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))
    assert metadata["project"]["urls"]["Repository"] == "https://github.com/acme-labs/tumour-triage"


def test_no_question_is_without_effect() -> None:
    questions = json.loads((ROOT / "cookiecutter.json").read_text(encoding="utf-8"))
    asked = [name for name in questions if not name.startswith("_")]
    folder = ROOT / "<<cookiecutter.project_slug>>"
    sources = [path for path in [*folder.rglob("*"), *(ROOT / "hooks").glob("*.py")] if path.is_file()]
    texts = [path.name + path.read_text(encoding="utf-8", errors="replace") for path in sources]
    names = [str(path.relative_to(ROOT)) for path in folder.rglob("*")]
    for question in asked:
        # What is derived from an answer stands for it.
        derived = [name for name, value in questions.items() if f"cookiecutter.{question}" in str(value)]
        marks = [
            f"cookiecutter.{name}" for name in (question, *derived) if name == question or name[:2] == "__"
        ]
        used = any(mark in text for mark in marks for text in [*texts, *names])
        assert used, f"{question} is asked for and used nowhere"
