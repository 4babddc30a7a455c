"""`gitops-ml doctor`: each thing that can be missing is found, with its fix, and a sound repository is not bothered."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from gitops_ml.doctor import code_owners
from gitops_ml.doctor.finding import Finding, page, summary
from gitops_ml.doctor.protection import Protection, judge_main, judge_state, of_classic, of_rules

from tests.actions.test_settings import Town, contract, town
from tests.delivery.repositories import PIPELINE, git
from tests.fakes.troubles import POLICY, READ_ONLY
from tools.template_files import PROJECT_FOLDER, ROOT

__all__ = ["contract", "town"]

OWNERS = (
    (ROOT / PROJECT_FOLDER / "CODEOWNERS")
    .read_text(encoding="utf-8")
    .replace("<< cookiecutter.github_owner >>", "ada")
)


@pytest.fixture
def sound(town: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Town:
    """A clone and a forge in which nothing is missing."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("uv", "docker"):
        (tools / name).write_text("#!/bin/sh\n", encoding="utf-8")
        (tools / name).chmod(0o755)
    programs = subprocess.run(["which", "git"], capture_output=True, text=True, check=True).stdout.strip()
    (tools / "git").symlink_to(programs)
    monkeypatch.setenv("PATH", str(tools))
    folder = town.folder
    (folder / "uv.lock").write_text("version = 1\n", encoding="utf-8")
    (folder / "CODEOWNERS").write_text(OWNERS, encoding="utf-8")
    (folder / "environments").mkdir()
    (folder / "environments" / "pipeline.yaml").write_text(PIPELINE, encoding="utf-8")
    hook = folder / ".git" / "hooks" / "pre-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\n", encoding="utf-8")
    git(folder, "add", "--all")
    git(folder, "remote", "add", "origin", "https://github.com/octo/model.git")
    assert town.run("settings", "--apply") == 0
    return town


def test_a_sound_repository_passes(sound: Town) -> None:
    assert sound.run("doctor") == 0, sound.said
    assert "0 missing" in sound.said
    assert "MISSING" not in sound.said
    assert "In order" in sound.said


def ruleset(town: Town, name: str) -> dict[str, Any]:
    return next(one for one in town.forge.state.settings.rulesets.values() if one["name"] == name)


def without_rule(name: str, kind: str) -> Callable[[Town], object]:
    def change(town: Town) -> None:
        found = ruleset(town, name)
        found["rules"] = [rule for rule in found["rules"] if rule["type"] != kind]

    return change


def parameter(**values: object) -> Callable[[Town], object]:
    def change(town: Town) -> None:
        for rule in ruleset(town, "main")["rules"]:
            if rule["type"] == "pull_request":
                rule["parameters"] |= values

    return change


def evaluating(town: Town) -> None:
    ruleset(town, "main")["enforcement"] = "evaluate"


FAULTS: dict[str, Callable[[Town], object]] = {
    "main can be pushed to directly": without_rule("main", "pull_request"),
    "main does not wait for the check `gate`": without_rule("main", "required_status_checks"),
    "main can be rewritten by a force-push": without_rule("main", "non_fast_forward"),
    "main can be deleted": without_rule("main", "deletion"),
    "main is merged into without an approval": parameter(required_approving_review_count=0),
    "main does not wait for a code owner": parameter(require_code_owner_review=False),
    "main keeps approvals of what was pushed over": parameter(dismiss_stale_reviews_on_push=False),
    "main lets who pushed last approve": parameter(require_last_push_approval=False),
    "main takes merge commits or rebases": parameter(allowed_merge_methods=["squash", "merge"]),
    "main can be pushed to directly, a ruleset is only tried": evaluating,
    "deploy-state can be rewritten by a force-push": without_rule("deploy-state", "non_fast_forward"),
    "deploy-state can be deleted": without_rule("deploy-state", "deletion"),
    "somebody may pass by the ruleset main": lambda t: ruleset(t, "main").update(
        bypass_actors=[{"actor_id": 5, "actor_type": "RepositoryRole", "bypass_mode": "always"}]
    ),
    "the environment production is not there": lambda t: t.forge.state.settings.environments.pop(
        "production"
    ),
    "the environment production: branches": lambda t: t.forge.state.settings.branches["production"].update(
        {7: "*"}
    ),
    "workflows may not open pull requests": lambda t: t.forge.state.settings.actions.update(
        can_approve_pull_request_reviews=False
    ),
    "the secret DEPLOY_SSH_KEY stands at the level": lambda t: t.forge.state.settings.secrets.append(
        "DEPLOY_SSH_KEY"
    ),
    "the workflow deliver.yml is switched off (disabled_inactivity)": lambda t: (
        t.forge.state.settings.workflows.update({"deliver.yml": "disabled_inactivity"})
    ),
    "CODEOWNERS, line 3: Unknown owner": lambda t: t.forge.state.settings.owner_errors.append(
        {"path": "CODEOWNERS", "line": 3, "column": 1, "kind": "Unknown owner", "message": "no such user"}
    ),
    "there is no CODEOWNERS": lambda t: (t.folder / "CODEOWNERS").unlink(),
    "uv.lock is not committed": lambda t: git(t.folder, "rm", "--cached", "--quiet", "uv.lock"),
    "environments/pipeline.yaml": lambda t: (t.folder / "environments" / "pipeline.yaml").write_text(
        "schema: 2\n"
    ),
}


@pytest.mark.parametrize("words", FAULTS)
def test_each_fault_is_found_and_has_a_fix(sound: Town, words: str) -> None:
    FAULTS[words](sound)
    assert sound.run("doctor") == 1
    missing = sound.said.split("\n\n")[0]
    assert missing.startswith("Missing\n")
    assert words.split(", a ruleset")[0] in missing
    assert "why: " in missing


def test_tools_hooks_and_remote_are_looked_for(sound: Town, tmp_path: Path) -> None:
    (tmp_path / "tools" / "uv").unlink()
    (tmp_path / "tools" / "docker").unlink()
    (sound.folder / ".git" / "hooks" / "pre-commit").unlink()
    git(sound.folder, "remote", "remove", "origin")
    assert sound.run("doctor", "--offline") == 1
    for words in (
        "MISSING uv is not",
        "MISSING the clone has no remote",
        "advice  docker",
        "advice  the hooks of",
    ):
        assert words in sound.said
    assert sound.forge.requests("GET", "/rules/branches") == []


def test_without_a_token_the_local_part_is_judged(sound: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GITHUB_TOKEN")
    monkeypatch.delenv("GH_TOKEN", raising=False)
    assert sound.run("doctor") == 0
    assert "there is no token" in sound.said
    assert "uv.lock is committed" in sound.said


def test_what_the_plan_cannot_enforce_is_said_as_that(sound: Town) -> None:
    sound.forge.state.settings.paid = False
    assert sound.run("doctor") == 0
    assert "What this plan can't enforce" in sound.said
    assert "Upgrade to GitHub Pro" in sound.said


def test_what_the_token_may_not_see_is_not_taken_for_sound(sound: Town) -> None:
    sound.forge.trouble("GET", "/actions/secrets$", READ_ONLY, times=9)
    assert sound.run("doctor") == 0
    assert "Not known" in sound.said
    assert "secrets of the repository: " in sound.said
    assert "no credentials of an environment stand" not in sound.said


@pytest.fixture
def in_a_run(sound: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Town:
    """The sound repository, looked at by a workflow's run with the token that every run has."""
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_TOKEN", "token-of-the-run")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    monkeypatch.setenv("GITHUB_OUTPUT", str(tmp_path / "output.txt"))
    (sound.folder / ".git" / "hooks" / "pre-commit").unlink()
    return sound


UNSEEN = (
    "what tokens of runs may do",
    "secrets of the repository",
    "who may pass by the ruleset main",
    "who may pass by the ruleset deploy-state",
    "the settings of the repository",
)


def test_a_run_s_own_token_says_what_it_may_not_see_and_that_is_not_green(
    in_a_run: Town, tmp_path: Path
) -> None:
    assert in_a_run.run("doctor") == 0, in_a_run.said
    for words in UNSEEN:
        assert f"?       {words}: not visible to this token" in in_a_run.said
    assert "administration: read" in in_a_run.said
    for words in (
        "no credentials of",
        "workflows may open",
        "nobody passes by",
        "settings of the repository is",
    ):
        assert words not in in_a_run.said
    # What it may see is judged: rulesets are, and classic protection is known not to be there.
    assert "ok      main waits for the check `gate`" in in_a_run.said
    assert "by rulesets" not in in_a_run.said
    assert "hooks of pre-commit" not in in_a_run.said
    assert f"::warning::Not known, and so neither in order nor missing:%0A{UNSEEN[0]}" in in_a_run.said
    assert "::error::" not in in_a_run.said
    shown = (tmp_path / "summary.md").read_text(encoding="utf-8")
    assert shown.startswith("### Doctor: ")
    assert shown.count("- ❔ ") == len(UNSEEN)
    assert "🔴" not in shown
    assert "unknown<<" in (tmp_path / "output.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "words",
    [
        "main can be pushed to directly",
        "main does not wait for the check `gate`",
        "deploy-state can be deleted",
        "the environment production is not there",
        "the workflow deliver.yml is switched off (disabled_inactivity)",
    ],
)
def test_a_run_s_own_token_finds_what_it_may_see_and_the_run_is_red(
    in_a_run: Town, tmp_path: Path, words: str
) -> None:
    FAULTS[words](in_a_run)
    assert in_a_run.run("doctor") == 1
    assert f"MISSING {words}" in in_a_run.said
    assert "::error::Missing, with the fixes in the summary:%0A" in in_a_run.said
    shown = (tmp_path / "summary.md").read_text(encoding="utf-8")
    assert shown.index("#### Missing") < shown.index("- 🔴 ") < shown.index("#### Not known")


def test_classic_protection_that_a_run_may_not_see_is_neither_there_nor_missing(in_a_run: Town) -> None:
    without_rule("main", "non_fast_forward")(in_a_run)
    assert in_a_run.run("doctor") == 1, "the branch itself says that there is no classic protection"
    in_a_run.forge.state.settings.classic = {"enforce_admins": {"enabled": True}}
    assert in_a_run.run("doctor") == 0, in_a_run.said
    assert "?       main can be rewritten by a force-push, by rulesets: not visible" in in_a_run.said
    assert "ok      main waits for the check `gate`" in in_a_run.said


def test_another_refusal_is_not_taken_for_a_missing_right(sound: Town) -> None:
    sound.forge.trouble("GET", "/actions/secrets$", POLICY, times=9)
    assert sound.run("doctor") == 0
    assert "?       secrets of the repository: GitHub refused" in sound.said
    assert "a policy of the organisation forbids it" in sound.said
    assert "not visible to this token" not in sound.said


def test_colours_are_for_terminals_only(sound: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    assert sound.run("doctor") == 0
    assert "\x1b" not in sound.said
    found = [Finding("ok", "good\x1b[5m"), Finding("missing", "bad", "why", "fix")]
    assert page(found, coloured=True).count("\x1b[") == 4
    assert "\x1b[31mMISSING" in page(found, coloured=True)


def test_nothing_in_the_summary_acts_as_markdown() -> None:
    shown = summary([Finding("missing", "<img src=x>\n# head", "[a](b)", "@octo `rm <b>`, then `")])
    assert "<b>" not in shown
    assert "<img" not in shown
    assert "\n# head" not in shown
    assert "[a](b)" not in shown
    assert "@octo" not in shown
    assert "Fix: <code>gh auth login</code>" in summary([Finding("missing", "x", "", "gh auth login")])
    assert summary([Finding("missing", "x", "", "See `a` or `<i>`.")]).endswith(
        "Fix: See <code>a</code> or <code>&#60;i&#62;</code>&#46;"
    )


def test_classic_protection_counts_unless_administrators_are_let_through(sound: Town) -> None:
    without_rule("main", "non_fast_forward")(sound)
    classic: dict[str, Any] = {
        "enforce_admins": {"url": "https://x.invalid", "enabled": True},
        "allow_force_pushes": {"enabled": False},
        "allow_deletions": {"enabled": False},
    }
    sound.forge.state.settings.classic = classic
    assert sound.run("doctor") == 0, sound.said
    classic["enforce_admins"]["enabled"] = False
    assert sound.run("doctor") == 1


def test_a_rule_that_stops_the_records_is_found(sound: Town) -> None:
    rules = [rule for rule in ruleset(sound, "main")["rules"] if rule["type"] == "pull_request"]
    ruleset(sound, "deploy-state")["rules"] += rules
    assert sound.run("doctor") == 1
    assert "deploy-state takes changes by pull request" in sound.said


def test_what_a_team_took_out_of_the_files_is_advice() -> None:
    there = of_rules([{"type": "pull_request", "parameters": {"required_approving_review_count": 0}}])
    states = {one.what: one.state for one in judge_main(there, there)}
    assert states["main takes changes by pull request only"] == "ok"
    assert states["main is merged into without an approval, as .github/settings says"] == "advice"
    assert "missing" not in states.values()


def test_of_several_rulesets_the_strictest_counts() -> None:
    loose = {"type": "pull_request", "parameters": {"required_approving_review_count": 1}}
    strict = {
        "type": "pull_request",
        "parameters": {"required_approving_review_count": 2, "allowed_merge_methods": ["squash"]},
    }
    found = of_rules([strict, loose, {"type": "required_linear_history"}, {"type": "unheard_of"}])
    assert (found.approvals, found.methods) == (2, frozenset({"squash"}))
    assert of_classic({}) == Protection()
    assert [one.state for one in judge_state(Protection())] == ["missing", "missing"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("* @ada\n", ""),
        ("", "gives no owner to environments/production.yaml"),
        ("* @ada\n/environments/production.yaml\n", "gives no owner to environments/production.yaml"),
        ("* @ada\n/environments/\n", "environments/production.yaml, environments/pipeline.yaml"),
        ("*.yaml @ada\n/.github/ @ada\n", ""),
        ("*.yaml @ada\n.github @ada\n", ""),
        ("*.yaml @ada\n/.github/* @ada\n", "gives no owner to .github/workflows/deliver.yml"),
        (
            "* @ada\n/.github/workflows/pull-request.yml\n",
            "gives no owner to .github/workflows/pull-request.yml",
        ),
        ("* ada\n", "line 1: 'ada' is no owner"),
        ("* @octo/team someone@example.org\n", ""),
        ("docs/ @ada\n/environments/** @ada\n/.github/ @ada\n", "gives no owner to gates.yaml"),
    ],
)
def test_owners_are_those_of_the_last_line_that_matches(text: str, words: str) -> None:
    findings = list(code_owners.judge("CODEOWNERS", text))
    said = "; ".join(one.what for one in findings if one.state == "missing")
    assert words in said if words else said == ""


def test_the_template_s_own_code_owners_guard_what_decides_about_production() -> None:
    assert [one.state for one in code_owners.judge("CODEOWNERS", OWNERS)] == ["ok"]
    for path in ("environments/production.yaml", "environments/pipeline.yaml", "environments/revoked.yaml"):
        assert f"/{path}" in OWNERS


def test_nothing_on_the_page_acts_in_a_terminal() -> None:
    shown = page([Finding("missing", "\x1b[2J\x07evil", "why\x9b", "fix\x1b]0;x\x07")])
    assert shown.isprintable() or not any(ord(char) < 32 and char != "\n" for char in shown)
    assert "\x1b" not in shown
