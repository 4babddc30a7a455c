"""Each own rule for workflows finds what it is for, and finds nothing in what this repository ships."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.tools.required import need
from tools import lint, lint_workflows
from tools.lint_workflows import check, documents
from tools.template_files import PROJECT_FOLDER, ROOT

SHA = "3d3c42e5aac5ba805825da76410c181273ba90b1"
WORKFLOW = f"""
name: example
on: pull_request
permissions: {{}}
jobs:
  test:
    runs-on: ubuntu-24.04
    timeout-minutes: 5
    permissions:
      contents: read # to check out
    steps:
      - uses: actions/checkout@{SHA} # v7.0.1
        with:
          persist-credentials: false
      - run: make test
  gate:
    needs: [test]
    if: always()
    runs-on: ubuntu-24.04
    timeout-minutes: 5
    permissions:
      contents: read # to check out
    steps:
      - run: make gate
"""
ACTION = """
name: example
description: An example.
inputs:
  some-name:
    description: What it is. Default `x`.
    default: x
outputs:
  result:
    description: What came out.
    value: x
runs:
  using: composite
  steps:
    - shell: bash
      run: make
"""


def problems(tmp_path: Path, text: str) -> list[str]:
    path = tmp_path / "file.yml"
    path.write_text(text, encoding="utf-8")
    return [problem.text for problem in check(path)]


@pytest.mark.parametrize("text", [WORKFLOW, ACTION])
def test_a_good_file_has_no_problem(tmp_path: Path, text: str) -> None:
    assert problems(tmp_path, text) == []


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("run: make test", "run: make ${{ github.head_ref }}", "a way into the shell"),
        ("run: make test", 'run: |\n          echo "${{ inputs.x }}"', "a way into the shell"),
        (f"@{SHA} # v7.0.1", "@v7", "not pinned"),
        (f"@{SHA} # v7.0.1", f"@{SHA[:39]} # v7.0.1", "not pinned"),
        (f"actions/checkout@{SHA}", "docker://alpine:latest", "not pinned"),
        (" # v7.0.1", "", "needs its version"),
        (" # v7.0.1", " # v7", "needs its version"),
        ("    timeout-minutes: 5\n", "", "has no timeout-minutes"),
        ("permissions: {}\n", "", "needs `permissions: {}`"),
        ("permissions: {}\n", "permissions: read-all\n", "needs `permissions: {}`"),
        ("contents: read # to check out", "contents: read", "needs its reason"),
        ("contents: read # to check out", "contents: write #", "needs its reason"),
        ("    permissions:\n      contents: read # to check out\n", "", "no permissions of its own"),
        ("run: make test", "run: python -c 'print(1)'", "holds Python"),
        ("run: make test", "run: uv run python3.12 -I -c 'print(1)'", "holds Python"),
        ("run: make test", "run: python - <<EOF", "holds Python"),
        ("- run: make test", "- shell: python\n        run: print(1)", "holds Python"),
        ("run: make test", "run: pip install numpy", "installs without a lock"),
        ("run: make test", "run: pip install \\\n          numpy", "installs without a lock"),
        ("run: make test", "run: uv sync", "installs without a lock"),
        ("run: make test", "run: uv pip install -r requirements.txt", "installs without a lock"),
        ("run: make test", "run: uvx ruff check", "installs without a lock"),
        ("run: make test", "run: npx prettier", "installs without a lock"),
        ("run: make test", "run: go install example.org/x@latest", "installs without a lock"),
        ("run: make test", "run: curl -sSf https://example.org/x | sh", "runs what it fetches"),
        ("run: make test", "run: wget -qO- https://example.org/x | sudo bash -s", "runs what it fetches"),
        ("run: make test", "run: bash <(curl -s https://example.org/x)", "runs what it fetches"),
        ("needs: [test]", "needs: []", "does not need test"),
        ("if: always()", "if: success()", "counts a skipped check as passed"),
        ("    if: always()\n", "", "counts a skipped check as passed"),
        ("on: pull_request\n", "on: pull_request_target\n", "a stranger's code"),
        ("persist-credentials: false", "persist-credentials: true", "leaves its token"),
        ("        with:\n          persist-credentials: false\n", "", "leaves its token"),
    ],
)
def test_a_bad_workflow_is_found(tmp_path: Path, before: str, after: str, said: str) -> None:
    assert before in WORKFLOW
    found = problems(tmp_path, WORKFLOW.replace(before, after))
    assert any(said in text for text in found), found


@pytest.mark.parametrize(
    "run",
    [
        "uv sync --locked",
        "pip install --require-hashes -r requirements.txt",
        "python -m tools.lint",
        "curl --output x https://example.org/x",
        "make python-version -c",
    ],
)
def test_what_is_locked_or_harmless_is_not_found(tmp_path: Path, run: str) -> None:
    assert problems(tmp_path, WORKFLOW.replace("run: make test", f"run: {run}")) == []


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("some-name:", "some_name:", "not kebab-case"),
        ("some-name:", "SomeName:", "not kebab-case"),
        ("description: What it is. Default `x`.", "required: false", "has no description"),
        ("What it is. Default `x`.", "What it is.", "does not say the default"),
        ("    description: What came out.\n", "", "has no description"),
        ("    - shell: bash\n      run: make", "    - run: make", "has no shell"),
        ("run: make", 'run: echo "${{ inputs.some-name }}"', "a way into the shell"),
        ("run: make", "run: pip install numpy", "installs without a lock"),
    ],
)
def test_a_bad_action_is_found(tmp_path: Path, before: str, after: str, said: str) -> None:
    assert before in ACTION
    found = problems(tmp_path, ACTION.replace(before, after))
    assert any(said in text for text in found), found


@pytest.mark.parametrize(
    ("step", "said"),
    [
        (f"uses: actions/cache/restore@{SHA} # v5.0.5", "a cache that a pull request can write"),
        (f"uses: x/y@{SHA} # v1.0.0\n        with:\n          enable-cache: true", "a cache that"),
        (
            f"uses: actions/checkout@{SHA} # v7.0.1\n        with:\n          persist-credentials: false\n"
            "          ref: ${{ github.event.workflow_run.head_sha }}",
            "checks out the pull request",
        ),
    ],
)
def test_what_the_trusted_side_must_not_do_is_found(tmp_path: Path, step: str, said: str) -> None:
    text = WORKFLOW.replace("on: pull_request\n", "on:\n  workflow_run:\n    workflows: [x]\n")
    found = problems(tmp_path, text.replace("run: make test", step))
    assert any(said in line for line in found), found


def test_everything_that_is_shipped_is_clean() -> None:
    paths = documents()
    assert {
        ROOT / PROJECT_FOLDER / ".github" / "workflows" / name for name in ("pull-request.yml", "comment.yml")
    } <= {*paths}
    assert len([path for path in paths if path.name == "action.yml"]) >= 6
    assert [str(problem) for path in paths for problem in check(path)] == []


def test_the_command_says_file_and_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "bad.yml"
    path.write_text(WORKFLOW.replace("    timeout-minutes: 5\n", "", 1), encoding="utf-8")
    assert lint_workflows.main([str(path)]) == 1
    assert capsys.readouterr().out == f"{path}: jobs.test: has no timeout-minutes\n"
    assert lint_workflows.main([]) == 0


def test_zizmor_is_silent_and_every_exception_has_its_reason() -> None:
    files = [str(path) for path in documents()]
    zizmor = Path(sys.executable).with_name("zizmor")
    done = subprocess.run(
        [str(zizmor), "--offline", "--persona", "pedantic", "--no-progress", *files],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for path in documents():
        for line in path.read_text(encoding="utf-8").splitlines():
            if "zizmor: ignore" in line:
                assert " -- " in line, f"{path}: {line.strip()}"
    for config in (ROOT / ".github" / "zizmor.yml", ROOT / PROJECT_FOLDER / ".github" / "zizmor.yml"):
        lines = config.read_text(encoding="utf-8").splitlines()
        for number, line in enumerate(lines):
            if "disable: true" in line:
                assert lines[number - 1].strip().startswith("#"), f"{config}: {line}"


def test_actionlint_is_silent(tmp_path: Path) -> None:
    """On the workflows as a project has them, with the actions in place, so that inputs are checked too."""
    actionlint = need("actionlint")
    project = tmp_path / "project"
    (project / ".github").mkdir(parents=True)
    (project / ".git").mkdir()
    (project / ".github" / "workflows").symlink_to(ROOT / PROJECT_FOLDER / ".github" / "workflows")
    (project / ".github" / "actions").symlink_to(ROOT / "actions")
    files = [str(path) for path in sorted((project / ".github" / "workflows").glob("*.yml"))]
    assert len(files) >= 2
    done = subprocess.run([str(actionlint), *files], cwd=project, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_actionlint_sees_a_wrong_input(tmp_path: Path) -> None:
    actionlint = need("actionlint")
    workflows = tmp_path / ".github" / "workflows"
    workflows.mkdir(parents=True)
    (tmp_path / ".git").mkdir()
    (tmp_path / ".github" / "actions").symlink_to(ROOT / "actions")
    text = (ROOT / PROJECT_FOLDER / ".github" / "workflows" / "pull-request.yml").read_text(encoding="utf-8")
    assert "          jobs: lint" in text
    (workflows / "pull-request.yml").write_text(text.replace("          jobs: lint", "          job: lint"))
    done = subprocess.run(
        [str(actionlint), str(workflows / "pull-request.yml")], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert 'input "job" is not defined' in done.stdout


def test_githubs_own_parser_reads_every_workflow_and_finds_what_is_wrong(tmp_path: Path) -> None:
    parser = need("workflow-parser")
    files = [*lint.workflows(ROOT)]
    assert len(files) >= 3
    done = subprocess.run(["node", str(parser), *map(str, files)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    text = files[-1].read_text(encoding="utf-8")
    assert text.count("permissions: {}\n") == 1
    wrong = tmp_path / "wrong.yml"
    wrong.write_text(text.replace("permissions: {}\n", "permisions: {}\n"), encoding="utf-8")
    done = subprocess.run(["node", str(parser), str(wrong)], capture_output=True, text=True)
    assert done.returncode == 1
    assert "Unexpected value 'permisions'" in done.stdout


def test_the_jobs_that_may_be_skipped_are_those_that_depend_on_it() -> None:
    """`scope` excuses exactly the jobs that its output `train` switches off."""
    path = ROOT / PROJECT_FOLDER / ".github" / "workflows" / "pull-request.yml"
    jobs = yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"]
    (step,) = (step for step in jobs["scope"]["steps"] if step.get("id") == "scope")
    switched = {
        name for name, job in jobs.items() if "needs.scope.outputs.train == 'true'" in str(job.get("if", ""))
    }
    assert {*step["with"]["jobs"].split(), *step["with"]["data-jobs"].split()} == switched
    assert set(jobs["scope"]["outputs"]) >= {"train", "merge-base", "not-needed"}
