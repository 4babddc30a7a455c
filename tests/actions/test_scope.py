"""Which changes have to be trained: everything that is not known to be harmless, and whatever is not known at all."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from gitops_ml.changes import HARMLESS, compile_pattern, decide, read_scope
from gitops_ml.errors import UserError
from hypothesis import given
from hypothesis import strategies as st

from tests.actions.launching import files_of, launch

BASE = "a" * 40


@pytest.mark.parametrize(
    "path",
    [
        "docs/guide.md",
        "docs/pictures/loop.svg",
        "README.md",
        "src/model/README.md",
        "LICENSE",
        "LICENSE.txt",
        ".github/ISSUE_TEMPLATE/bug.yml",
        ".github/dependabot.yml",
        "CODEOWNERS",
    ],
)
def test_harmless_files_train_nothing(path: str) -> None:
    assert not decide([path], HARMLESS, BASE).train


@pytest.mark.parametrize(
    "path",
    [
        "params.yaml",
        "gates.yaml",
        "data/train.csv",
        "src/model/features.py",
        "src/docs/loader.py",
        "src/prompts/system.md",
        "data/notes.md",
        "data/LICENSE-plates.csv",
        "data/docs/a.txt",
        "uv.lock",
        ".github/workflows/pull-request.yml",
        ".github/actions/train/action.yml",
        "docs",
        "docs.py",
        "README.md.py",
        "a.md/model.py",
        "docs\n/model.py",
        "Docs/guide.md/x",
    ],
)
def test_anything_else_trains(path: str) -> None:
    assert decide([path], HARMLESS, BASE).train
    assert decide(["README.md", path], HARMLESS, BASE).train


def test_the_reason_names_files_and_stays_short_and_inert() -> None:
    found = decide(["a\n::set-output name=train::false", "b.py", "c.py", "d.py", "e.py"], (), BASE)
    assert found.reason.endswith("and 2 more")
    assert "\n" not in found.reason


@given(st.text(min_size=1), st.text(min_size=1))
def test_a_pattern_without_wildcards_is_that_path_only(pattern: str, path: str) -> None:
    if pattern.endswith("/") or "\\" in pattern or set("*?") & set(pattern):
        return
    literal = compile_pattern(f"top/{pattern}")
    assert bool(literal.fullmatch(path)) == (path == f"top/{pattern}")


@pytest.mark.parametrize(
    ("pattern", "path", "fits"),
    [
        ("*.md", "a/b/c.md", True),
        ("*.md", "a.md/b", False),
        ("", None, None),
        ("/", None, None),
        ("docs/", None, None),
        ("!docs/**", None, None),
        ("a\\b", None, None),
        ("/*.md", "c.md", True),
        ("/*.md", "a/c.md", False),
        ("/docs/**", "docs/a", True),
        ("/docs/**", "a/docs/a", False),
        ("docs/*", "docs/a", True),
        ("docs/*", "docs/a/b", False),
        ("docs/**", "docs/a/b", True),
        ("**/notes.txt", "notes.txt", True),
        ("**/notes.txt", "a/b/notes.txt", True),
        ("**/notes.txt", "a/mynotes.txt", False),
        ("a?c", "abc", True),
        ("a?c", "a/c", False),
        ("a.c", "abc", False),
    ],
)
def test_patterns(pattern: str, path: str | None, fits: bool | None) -> None:
    if path is None:
        with pytest.raises(UserError, match="not a pattern"):
            compile_pattern(pattern)
    else:
        assert bool(compile_pattern(pattern).fullmatch(path)) is fits


class Repository:
    """A small git repository with a branch that leaves `main`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.git("init", "--quiet", "--initial-branch=main")
        self.base = self.commit({"params.yaml": "C: 1\n", "docs/a.md": "x\n", "data/x.csv": "1\n"})

    def git(self, *words: str) -> str:
        identity = ["-c", "user.name=Ada", "-c", "user.email=ada@localhost"]
        done = subprocess.run(
            ["git", *identity, *words], cwd=self.path, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    def commit(self, files: dict[str, str]) -> str:
        for name, text in files.items():
            path = self.path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", "change")
        return self.git("rev-parse", "HEAD")


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    path = tmp_path / "repository"
    path.mkdir()
    return Repository(path)


def test_only_what_the_branch_changed_counts(repository: Repository) -> None:
    """`main` moved on with a change of the model; a branch of documents that left before still trains nothing."""
    repository.git("checkout", "--quiet", "-b", "branch")
    head = repository.commit({"docs/b.md": "y\n"})
    repository.git("checkout", "--quiet", "main")
    tip = repository.commit({"params.yaml": "C: 2\n"})
    found = read_scope(repository.path, tip, head, HARMLESS)
    assert (found.train, found.merge_base) == (False, repository.base)


def test_a_file_moved_out_of_the_model_trains(repository: Repository) -> None:
    repository.git("mv", "data/x.csv", "docs/x.csv")
    head = repository.commit({})
    assert read_scope(repository.path, repository.base, head, HARMLESS).train


@pytest.mark.parametrize("name", ["data/ü.csv", "data/a b.csv", "data/a\nb.csv", 'data/".csv'])
def test_odd_names_are_read_as_they_are(repository: Repository, name: str) -> None:
    head = repository.commit({name: "2\n"})
    assert not read_scope(repository.path, repository.base, head, ("data/**",)).train
    assert read_scope(repository.path, repository.base, head, HARMLESS).train


def test_nothing_changed_trains_nothing(repository: Repository) -> None:
    head = repository.commit({})
    found = read_scope(repository.path, repository.base, head, HARMLESS)
    assert (found.train, found.reason) == (False, "no file changed, none of which goes into the model")


@pytest.mark.parametrize("base", ["", "main", "--output=x", "b" * 40, "0" * 40])
def test_what_is_not_known_trains(repository: Repository, base: str) -> None:
    found = read_scope(repository.path, base, repository.base, HARMLESS)
    assert found.train
    assert found.merge_base is None


def test_no_common_history_trains(repository: Repository) -> None:
    repository.git("checkout", "--quiet", "--orphan", "other")
    head = repository.commit({"README.md": "other\n"})
    assert read_scope(repository.path, repository.base, head, HARMLESS).train


def test_a_shallow_checkout_trains(repository: Repository, tmp_path: Path) -> None:
    repository.commit({"docs/a.md": "1\n"})
    head = repository.commit({"docs/a.md": "2\n"})
    clone = tmp_path / "shallow"
    repository.git("clone", "--quiet", "--depth", "1", f"file://{repository.path}", str(clone))
    found = read_scope(clone, repository.base, head, HARMLESS)
    assert found.train
    assert "fetch-depth" in found.reason


def test_outside_a_repository_trains(tmp_path: Path) -> None:
    assert read_scope(tmp_path, BASE, BASE, HARMLESS).train


def test_configuration_of_the_checkout_starts_no_program(repository: Repository, tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\ntouch {mark}\n", encoding="utf-8")
    program.chmod(0o755)
    for key in ("core.fsmonitor", "diff.external", "core.pager"):
        repository.git("config", key, str(program))
    head = repository.commit({"docs/a.md": "2\n"})
    mark.unlink(missing_ok=True)
    assert not read_scope(repository.path, repository.base, head, HARMLESS).train
    assert not mark.exists()


def test_the_verb_sets_its_outputs(repository: Repository, tmp_path: Path) -> None:
    head = repository.commit({"docs/b.md": "2\n"})
    outputs = tmp_path / "outputs"
    words = ("none", "scope", f"--base={repository.base}", f"--head={head}", "--jobs=lint train")
    done = launch(repository.path, tmp_path / "runner", *words, environ={"GITHUB_OUTPUT": str(outputs)})
    assert done.returncode == 0, done.stderr
    found = files_of(outputs)
    assert found["train"] == "false"
    assert found["merge-base"] == repository.base
    assert found["not-needed"] == "lint train"
    assert found["reason"].startswith("1 file changed")


def test_the_verb_excuses_no_job_when_it_trains(repository: Repository, tmp_path: Path) -> None:
    repository.commit({"params.yaml": "C: 2\n"})
    outputs = tmp_path / "outputs"
    words = ("none", "scope", f"--base={repository.base}", "--jobs=lint train")
    done = launch(repository.path, tmp_path / "runner", *words, environ={"GITHUB_OUTPUT": str(outputs)})
    assert done.returncode == 0, done.stderr
    found = files_of(outputs)
    assert (found["train"], found["not-needed"]) == ("true", "")


@pytest.mark.parametrize(
    ("files", "kept", "idle"),
    [
        ({"params.yaml": "C: 2\n"}, "false", "fetch"),
        ({"data/rows.csv.dvc": "outs: []\n"}, "true", ""),
        ({"data/rows.dvc/a.csv": "1\n"}, "false", "fetch"),
    ],
)
def test_data_are_fetched_only_where_dvc_keeps_some(
    repository: Repository, tmp_path: Path, files: dict[str, str], kept: str, idle: str
) -> None:
    repository.commit(files)
    outputs = tmp_path / "outputs"
    words = ("none", "scope", f"--base={repository.base}", "--jobs=train", "--data-jobs=fetch")
    done = launch(repository.path, tmp_path / "runner", *words, environ={"GITHUB_OUTPUT": str(outputs)})
    assert done.returncode == 0, done.stderr
    found = files_of(outputs)
    assert (found["train"], found["kept-by-dvc"], found["not-needed"]) == ("true", kept, idle)


def test_a_bad_pattern_is_an_error_not_a_decision(repository: Repository, tmp_path: Path) -> None:
    done = launch(repository.path, tmp_path / "runner", "none", "scope", "--base=main", "--harmless=!docs/**")
    assert done.returncode == 2
    assert "is not a pattern of paths" in done.stderr


def test_patterns_can_be_added_to_the_default_ones(repository: Repository, tmp_path: Path) -> None:
    head = repository.commit({"environments/staging.yaml": "pin\n", "docs/c.md": "1\n"})
    for more, train in (("", "true"), ("--more-harmless=/environments/**", "false")):
        outputs = tmp_path / f"outputs-{train}"
        words = ("none", "scope", f"--base={repository.base}", f"--head={head}", *filter(None, [more]))
        done = launch(repository.path, tmp_path / "runner", *words, environ={"GITHUB_OUTPUT": str(outputs)})
        assert done.returncode == 0, done.stderr
        assert files_of(outputs)["train"] == train
