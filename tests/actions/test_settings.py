"""`gitops-ml settings`: the template's own files of settings, compared with a forge and written to it."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import pytest
from gitops_ml import cli
from gitops_ml.errors import UserError
from gitops_ml.settings.difference import differences
from gitops_ml.settings.files import read_settings

from tests.delivery.repositories import git
from tests.fakes.contract import Contract
from tests.fakes.forge import Forge
from tests.fakes.troubles import READ_ONLY
from tests.tools.required import need
from tools.template_files import PROJECT_FOLDER, ROOT

FILES = ROOT / PROJECT_FOLDER / ".github" / "settings"


def write_files(target: Path) -> None:
    """The template's files as a project with the first answer to every question has them."""
    questions = json.loads((ROOT / "cookiecutter.json").read_text(encoding="utf-8"))
    answers = {name: value[0] if isinstance(value, list) else value for name, value in questions.items()}
    engine = jinja2.Environment(**questions["_jinja2_env_vars"], autoescape=False)
    target.mkdir(parents=True)
    for path in FILES.iterdir():
        text = engine.from_string(path.read_text(encoding="utf-8")).render(cookiecutter=answers)
        (target / path.name).write_text(text, encoding="utf-8")


@dataclass
class Town:
    forge: Forge
    folder: Path
    capsys: pytest.CaptureFixture[str]

    def run(self, *words: str) -> int:
        """The verb in the clone; what it said is `said`."""
        code = cli.main([*words, "--repository", str(self.folder)])
        captured = self.capsys.readouterr()
        self.said = captured.out + captured.err
        return code

    def changed(self) -> list[str]:
        return [f"{seen.method} {seen.path}" for seen in self.forge.seen if seen.method != "GET"]


@pytest.fixture(scope="module")
def contract() -> Contract:
    return Contract.load(need("openapi"))


@pytest.fixture
def town(contract: Contract, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> Any:
    folder = tmp_path / "clone"
    folder.mkdir()
    git(folder, "init", "--quiet", "--initial-branch=main")
    write_files(folder / ".github" / "settings")
    with Forge(contract) as forge:
        for name in ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY", "GITHUB_OUTPUT"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("GITHUB_TOKEN", forge.token_of("an-administrator"))
        monkeypatch.setenv("GITHUB_SERVER_URL", "https://github.com")
        monkeypatch.setenv("GITHUB_REPOSITORY", forge.state.repository)
        monkeypatch.setenv("GITHUB_API_URL", forge.api_url)
        yield Town(forge, folder, capsys)
        assert forge.violations == []


def test_the_dry_run_shows_what_differs_and_changes_nothing(town: Town) -> None:
    assert town.run("settings") == 0
    assert town.changed() == []
    assert "missing  ruleset main" in town.said
    assert "missing  environment production" in town.said
    assert "can_approve_pull_request_reviews: false -> true" in town.said
    assert "allow_merge_commit: true -> false" in town.said
    assert "Nothing was changed. To write these settings: make settings APPLY=1" in town.said


def test_applied_settings_are_what_the_files_say_and_a_second_time_changes_nothing(town: Town) -> None:
    assert town.run("settings", "--apply") == 0
    settings = town.forge.state.settings
    by_name = {one["name"]: one for one in settings.rulesets.values()}
    assert set(by_name) == {"main", "deploy-state"}
    assert {rule["type"] for rule in by_name["main"]["rules"]} == {
        "deletion",
        "non_fast_forward",
        "pull_request",
        "required_status_checks",
    }
    assert {name: set(one.values()) for name, one in settings.branches.items()} == {
        "staging": {"main"},
        "production": {"main"},
        "doctor": {"main"},
        "template-update": {"main"},
    }
    assert town.forge.state.labels == {"deployment": "b60205"}
    before = len(town.changed())
    assert town.run("settings", "--apply") == 0
    assert len(town.changed()) == before
    assert re.fullmatch(r"(ok       .*\n)+", town.said)


def test_what_was_changed_by_hand_is_put_back_and_what_else_protects_is_kept(town: Town) -> None:
    town.run("settings", "--apply")
    settings = town.forge.state.settings
    number, main = next((number, one) for number, one in settings.rulesets.items() if one["name"] == "main")
    main["bypass_actors"] = [{"actor_id": 5, "actor_type": "RepositoryRole", "bypass_mode": "always"}]
    main["rules"] = [rule for rule in main["rules"] if rule["type"] != "non_fast_forward"]
    settings.branches["production"] = {99: "*"}
    people = [{"type": "User", "reviewer": {"id": 7, "login": "ada"}}]
    settings.environments["production"]["protection_rules"] = [
        {"id": 1, "node_id": "x", "type": "wait_timer", "wait_timer": 30},
        {
            "id": 2,
            "node_id": "y",
            "type": "required_reviewers",
            "prevent_self_review": True,
            "reviewers": people,
        },
    ]
    assert town.run("settings") == 0
    assert 'bypass_actors[RepositoryRole 5]: {"actor_id": 5' in town.said
    assert 'rules[non_fast_forward]: absent -> {"parameters": {}, "type": "non_fast_forward"}' in town.said
    assert 'branches: ["*"] -> ["main"]' in town.said
    assert town.run("settings", "--apply") == 0
    assert settings.rulesets[number]["bypass_actors"] == []
    assert set(settings.branches["production"].values()) == {"main"}
    kept = settings.environments["production"]["protection_rules"]
    assert [rule.get("wait_timer") for rule in kept] == [30, None]
    assert kept[1]["reviewers"][0]["reviewer"]["id"] == 7
    assert town.run("settings") == 0
    assert "differs" not in town.said


def test_a_plan_without_rulesets_is_said_and_the_rest_is_written(town: Town) -> None:
    town.forge.state.settings.paid = False
    assert town.run("settings", "--apply") == 1
    assert "plan     ruleset main: " in town.said
    assert "Upgrade to GitHub Pro" in town.said
    assert town.forge.state.settings.actions["can_approve_pull_request_reviews"] is True


def test_a_token_without_rights_is_told_whose_is_needed(town: Town) -> None:
    town.forge.trouble("PATCH", "/repos/octo/model$", READ_ONLY, times=9)
    assert town.run("settings", "--apply") == 2
    assert "token of an administrator" in town.said
    assert "posts the comment" not in town.said


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("ruleset-main.json", '{"name": "main"}', "ruleset-main.json: enforcement: Field required"),
        (
            "environments.json",
            '[{"name": "production", "waits": 3}]',
            "environments.json: 0.waits: Extra inputs",
        ),
        ("labels.json", "[", "labels.json: the top: Invalid JSON"),
        ("webhooks.json", "{}", "webhooks.json is no file of settings"),
        (
            "actions.json",
            '{"default_workflow_permissions": "all"}',
            "actions.json: default_workflow_permissions",
        ),
    ],
)
def test_a_file_that_says_something_else_is_refused(
    tmp_path: Path, name: str, content: str, words: str
) -> None:
    folder = tmp_path / ".github" / "settings"
    folder.mkdir(parents=True)
    (folder / name).write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match=re.escape(words)):
        read_settings(tmp_path)


def test_without_a_token_and_without_a_forge_it_says_what_to_do(
    town: Town, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("GITHUB_TOKEN")
    monkeypatch.delenv("GH_TOKEN", raising=False)
    monkeypatch.setenv("PATH", f"{Path(shutil.which('git') or '').parent}")
    assert town.run("settings") == 2
    assert "gh auth login" in town.said
    monkeypatch.delenv("GITHUB_REPOSITORY")
    assert town.run("settings") == 2
    assert "git remote add origin" in town.said


@pytest.mark.parametrize(
    ("wanted", "actual", "lines"),
    [
        ({"a": 1}, {"a": 1, "b": 2}, []),
        ({"a": 1}, {}, ["a: absent -> 1"]),
        ({"a": ["x", "y"]}, {"a": ["y", "x"]}, []),
        ({"a": ["x"]}, {"a": ["x", "y"]}, ['a: ["x", "y"] -> ["x"]']),
        ({"a": []}, {"a": None}, ["a: absent -> []"]),
        ({"a": {"b": True}}, {"a": None}, ['a: absent -> {"b": true}']),
        ([{"type": "x", "n": 1}], [{"type": "x", "n": 2}], ["[x].n: 2 -> 1"]),
        ([], [{"type": "x"}], ['[x]: {"type": "x"} -> absent']),
    ],
)
def test_only_what_was_asked_for_is_compared(wanted: Any, actual: Any, lines: list[str]) -> None:
    assert [one.line for one in differences(wanted, actual)] == lines


def test_the_rulesets_are_bodies_that_the_api_takes(contract: Contract) -> None:
    for path in FILES.glob("ruleset-*.json"):
        body = json.loads(path.read_text(encoding="utf-8"))
        contract.check_request("POST", "/repos/octo/model/rulesets", "", body)
    with pytest.raises(Exception, match="rulesets"):
        contract.check_request("POST", "/repos/octo/model/rulesets", "", {**body, "enforcement": "sometimes"})
