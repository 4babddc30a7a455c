"""The tables of actions/README.md, the action.yml files and the verbs' own options say the same."""

from __future__ import annotations

import argparse
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from gitops_ml.cli import VERBS, build_parser
from gitops_ml.data.access import GIVEN

from tools import document_actions
from tools.document_actions import BEGIN, END, DocumentError, document, read_action, rewrite
from tools.template_files import ROOT

ACTIONS = sorted((ROOT / "actions").glob("*/action.yml"))


def load(name: str) -> dict[str, Any]:
    value: dict[str, Any] = yaml.safe_load((ROOT / "actions" / name / "action.yml").read_text())
    return value


def script(name: str) -> str:
    return "\n".join(step.get("run", "") for step in load(name)["runs"]["steps"])


def verbs() -> dict[str, set[str]]:
    """The verbs that each action runs, read from its scripts; an action may run several of their subcommands."""
    found = {}
    for path in ACTIONS:
        names = set(re.findall(r'/launch" [a-z]+ ([a-z]+)', script(path.parent.name)))
        if names:
            found[path.parent.name] = names
    return found


def options(parser: argparse.ArgumentParser) -> set[str]:
    """Every option of a parser and its subcommands."""
    found = set(parser._option_string_actions)
    for item in parser._actions:
        if isinstance(item, argparse._SubParsersAction):
            for command in item.choices.values():
                found |= options(command)
    return found


VERB = verbs()


def test_every_action_is_looked_at() -> None:
    pull_request = {
        "scope": "scope",
        "train": "train",
        "metric-diff": "diff",
        "pr-comment": "comment",
        "gate": "gate",
    }
    assert all(VERB[name] == {verb} for name, verb in pull_request.items())
    assert {path.parent.name for path in ACTIONS} - VERB.keys() == {"setup"}
    assert set().union(*VERB.values()) <= set(VERBS)


def test_tables_are_up_to_date(capsys: pytest.CaptureFixture[str]) -> None:
    assert document_actions.main(["--check"]) == 0, capsys.readouterr().out


def test_every_input_and_output_is_in_the_tables() -> None:
    readme = (ROOT / "actions" / "README.md").read_text(encoding="utf-8")
    for path in ACTIONS:
        section = readme.split(f"### `{path.parent.name}`")[1].split("\n### ")[0]
        value = load(path.parent.name)
        for name in [*(value.get("inputs") or {}), *(value.get("outputs") or {})]:
            assert f"| `{name}`" in section, (path.parent.name, name)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A copy of the actions' documents and action.yml files."""
    for path in [ROOT / "actions" / "README.md", *ACTIONS]:
        target = tmp_path / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    return tmp_path


def test_a_changed_action_is_found_and_written(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = root / "actions" / "gate" / "action.yml"
    path.write_text(path.read_text().replace("`true` or `false`.", "`yes` or `no`."))
    assert document_actions.main(["--check"], root) == 1
    assert "+| `passed` | `yes` or `no`. |" in capsys.readouterr().out
    assert document_actions.main([], root) == 0
    assert document_actions.main(["--check"], root) == 0


@pytest.mark.parametrize("key", ["inputs", "outputs"])
def test_an_undescribed_field_is_refused(root: Path, key: str) -> None:
    path = root / "actions" / "gate" / "action.yml"
    value = yaml.safe_load(path.read_text())
    next(iter(value[key].values())).pop("description")
    path.write_text(yaml.safe_dump(value))
    with pytest.raises(DocumentError, match=rf"{key}\..* has no description"):
        read_action(path)
    assert document_actions.main(["--check"], root) == 1


@pytest.mark.parametrize("text", ["no marks", f"{BEGIN}\n", f"{END}\n{BEGIN}\n{BEGIN}"])
def test_a_readme_without_its_marks_is_refused(text: str) -> None:
    with pytest.raises(DocumentError, match="needs each of these lines once"):
        rewrite(text, "tables")


def test_what_stands_around_the_tables_is_kept() -> None:
    assert rewrite(f"before\n{BEGIN}\nold\n{END}\nafter", "new") == f"before\n{BEGIN}\n\nnew\n\n{END}\nafter"


def test_a_bar_in_a_description_stays_in_its_cell(root: Path) -> None:
    path = root / "actions" / "gate" / "action.yml"
    path.write_text(path.read_text().replace("`true` or `false`.", "a | b"))
    assert "a \\| b" in document([read_action(path)])


@pytest.mark.parametrize("name", sorted(VERB))
def test_options_in_the_script_are_those_of_the_verb(name: str) -> None:
    known = set().union(*(options(build_parser(verb)) for verb in VERB[name]))
    used = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+(?==|\)| *$)", script(name), re.MULTILINE))
    if name != "gate":
        assert used, "the pattern finds no option"
    assert used - known - {"--no-patch", "--format"} == set()


@pytest.mark.parametrize("name", sorted(VERB))
def test_every_input_reaches_the_script_by_the_environment(name: str) -> None:
    text = (ROOT / "actions" / name / "action.yml").read_text(encoding="utf-8")
    for given in load(name).get("inputs") or {}:
        assert re.search(rf"\binputs\.{re.escape(given)}\b", text), given
    assert "${{" not in script(name)
    # Accounts and roles are known to the login by the names of their variables, as its messages are.
    logins = {"registry-login": "login", "data-remote": "data"}
    paths = (ROOT / "actions" / "gitops_ml" / logins[name]).glob("*.py") if name in logins else ()
    read = "".join(path.read_text(encoding="utf-8") for path in paths)
    for step in load(name)["runs"]["steps"]:
        for variable in step.get("env") or {}:
            if (
                variable not in ("GITOPS_ML_NEEDS", "GITHUB_TOKEN", "SIGNING_KEY")
                and f'"{variable.removeprefix(GIVEN)}"' not in read
            ):
                assert f"${variable}" in step["run"], (name, variable)


@pytest.mark.parametrize("name", sorted(VERB))
def test_every_output_is_set_by_the_verb(name: str) -> None:
    folder = ROOT / "actions" / "gitops_ml" / "verbs"
    source = "".join((folder / f"{verb}.py").read_text(encoding="utf-8") for verb in VERB[name])
    for given, item in (load(name).get("outputs") or {}).items():
        (step_output,) = re.findall(r"steps\.[\w-]+\.outputs\.([\w-]+)", item["value"])
        # Where two verbs have an output of the same kind, the action tells them apart.
        assert step_output == given or len(VERB[name]) > 1
        assert "runner.output(" in source
        assert f'"{step_output}"' in source, given


@pytest.mark.parametrize("name", sorted(VERB))
def test_a_default_that_is_said_is_the_default(name: str) -> None:
    for given, item in load(name).get("inputs", {}).items():
        said = re.search(r"Default `([^`]+)`", item["description"])
        if said and "${{" not in str(item.get("default", "")):
            assert str(item["default"]) == said[1], given


def test_every_third_party_action_has_a_stand_in_that_is_listed() -> None:
    """What the pull-request loop uses can be run by act, and docs/testing.md says what that leaves untested."""
    workflows = ROOT / "<<cookiecutter.project_slug>>" / ".github" / "workflows"
    files = [*ACTIONS, *(workflows / name for name in ("pull-request.yml", "comment.yml"))]
    used = {
        name for path in files for name in re.findall(r"uses: ([\w./-]+)@", path.read_text(encoding="utf-8"))
    }
    assert "actions/cache/restore" in used
    listed = (ROOT / "docs" / "testing.md").read_text(encoding="utf-8")
    for name in used:
        folder = Path(*name.split("/")[1:])
        assert (ROOT / "tests" / "e2e" / "stand_ins" / folder / "action.yml").is_file(), name
        assert f"`{name}`" in listed, name
