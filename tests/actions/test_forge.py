"""The forge of the tests merges, reviews and refuses as GitHub does."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from gitops_ml.errors import UserError
from gitops_ml.github import GitHub, NotFoundError, segment

from tests.fakes.forge import Forge
from tests.fakes.git_remote import GitRemote

REPO = "/repos/octo/model"


@pytest.fixture
def work(tmp_path: Path, forge: Forge) -> Path:
    """A clone of the repository behind the forge, on main."""
    forge.state.git = GitRemote.create(tmp_path / "remote.git")
    folder = tmp_path / "work"
    git(tmp_path, "clone", "--quiet", str(forge.state.git.path), str(folder))
    write(folder, "value: 1\n", "Begin")
    forge.state.git.merge(folder)
    git(folder, "fetch", "--quiet")
    return folder


def git(folder: Path, *words: str) -> str:
    person = ["-c", "user.name=Ann", "-c", "user.email=ann@forge.invalid"]
    done = subprocess.run(["git", *person, *words], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def write(folder: Path, content: str, message: str) -> None:
    (folder / "file.yaml").write_text(content, encoding="utf-8")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "-m", message)


def branch(work: Path, name: str, content: str, message: str = "Change it") -> str:
    """Push a branch from the first commit; its head."""
    git(work, "checkout", "--quiet", "-B", name, "origin/main")
    write(work, content, message)
    git(work, "push", "--quiet", "--force", "origin", name)
    return git(work, "rev-parse", "HEAD")


def client(forge: Forge, login: str | None = None) -> GitHub:
    token = forge.token_of(login) if login else "token-of-the-run"
    return GitHub(forge.api_url, token, sleep=lambda seconds: None)


def ask(github: GitHub, head: str, **more: str) -> Any:
    wanted = {"title": "Change it", "head": head, "base": "main", "body": "why", **more}
    return github.send("POST", f"{REPO}/pulls", wanted)


def main_of(forge: Forge) -> str:
    assert forge.state.git is not None
    return forge.state.git.git("cat-file", "commit", "main")


def test_a_merge_by_a_person_moves_main_and_starts_its_workflows(forge: Forge, work: Path) -> None:
    head = branch(work, "topic/a", "value: 2\n", "Double it\n\nRollback-To: r-1")
    ann = client(forge, "ann")
    number = ask(ann, "topic/a")["number"]
    forge.approve(number, by="bob")
    assert [each["user"]["login"] for each in ann.get(f"{REPO}/pulls/{number}/reviews")] == ["bob"]
    assert ann.get(f"{REPO}/pulls/{number}")["mergeable"] is True
    done = ann.send("PUT", f"{REPO}/pulls/{number}/merge", {"merge_method": "squash", "sha": head})
    assert main_of(forge).endswith("Double it (#1)\n\nRollback-To: r-1")
    seen = ann.get(f"{REPO}/pulls/{number}")
    assert (seen["merged"], seen["merged_by"]["login"], seen["merge_commit_sha"]) == (
        True,
        "ann",
        done["sha"],
    )
    assert [each["number"] for each in ann.get(f"{REPO}/commits/{done['sha']}/pulls")] == [number]
    assert [(each.event, each.waits) for each in forge.state.triggered] == [
        ("pull_request", False),
        ("push", False),
    ]
    git(work, "fetch", "--quiet")
    assert git(work, "show", "origin/main:file.yaml") == "value: 2"


def test_what_the_token_of_a_run_does_starts_nothing_by_itself(forge: Forge, work: Path) -> None:
    branch(work, "topic", "value: 2\n")
    bot = client(forge)
    number = ask(bot, "topic")["number"]
    assert bot.get(f"{REPO}/pulls/{number}")["user"]["login"] == "github-actions[bot]"
    assert [each.waits for each in forge.state.triggered] == [True]
    forge.approve_runs(number, by="ann")
    assert [each.waits for each in forge.state.triggered] == [True, False]
    bot.send("PUT", f"{REPO}/pulls/{number}/merge", {})
    assert [each.event for each in forge.state.triggered] == ["pull_request", "pull_request"]
    bot.send("POST", f"{REPO}/actions/workflows/deliver.yml/dispatches", {"ref": "main"})
    assert forge.state.triggered[-1].event == "workflow_dispatch"


def test_a_run_may_be_forbidden_to_open_pull_requests(forge: Forge, work: Path) -> None:
    forge.state.rules.actions_open_pulls = False
    branch(work, "topic", "value: 2\n")
    with pytest.raises(UserError, match="not permitted to create or approve pull requests"):
        ask(client(forge), "topic")
    assert ask(client(forge, "ann"), "topic")["number"] == 1


def test_a_head_that_moved_is_not_merged_and_loses_its_approval(forge: Forge, work: Path) -> None:
    old = branch(work, "topic", "value: 2\n")
    number = forge.open_pull("topic", by="ann")
    forge.approve(number)
    forge.state.rules.approvals = 1
    new = branch(work, "topic", "value: 3\n")
    ann = client(forge, "ann")
    assert ann.get(f"{REPO}/pulls/{number}")["head"]["sha"] == new
    with pytest.raises(UserError, match="Head branch was modified"):
        ann.send("PUT", f"{REPO}/pulls/{number}/merge", {"sha": old})
    with pytest.raises(UserError, match="At least 1 approving review"):
        ann.send("PUT", f"{REPO}/pulls/{number}/merge", {"sha": new})
    forge.approve(number)
    assert forge.merge(number) == git(Path(forge.state.git.path), "rev-parse", "main")  # type: ignore[union-attr]


def test_a_conflict_is_not_merged(forge: Forge, work: Path) -> None:
    branch(work, "one", "value: 2\n")
    branch(work, "two", "value: 3\n")
    one, two = forge.open_pull("one"), forge.open_pull("two")
    forge.merge(one)
    before = main_of(forge)
    ann = client(forge, "ann")
    assert ann.get(f"{REPO}/pulls/{two}")["mergeable"] is False
    with pytest.raises(UserError, match="Pull Request is not mergeable"):
        ann.send("PUT", f"{REPO}/pulls/{two}/merge", {"merge_method": "squash"})
    with pytest.raises(AssertionError, match="not mergeable"):
        forge.merge(two)
    assert main_of(forge) == before


def test_main_can_ask_for_its_check(forge: Forge, work: Path) -> None:
    forge.state.rules.gate = True
    branch(work, "topic", "value: 2\n")
    number = forge.open_pull("topic")
    with pytest.raises(AssertionError, match='status check "gate" is expected'):
        forge.merge(number)
    forge.state.pulls[0].gate = True
    forge.merge(number)


@pytest.mark.parametrize(
    ("head", "more", "why"),
    [
        ("nowhere", {}, "head is invalid"),
        ("topic", {"base": "nowhere"}, "base is invalid"),
        ("main", {}, "No commits between main and main"),
        ("taken", {}, "A pull request already exists for octo:taken"),
        ("topic", {"title": "x" * 257}, "the text is too long"),
        ("topic", {"body": "x" * 65_537}, "the text is too long"),
    ],
)
def test_a_pull_request_is_refused(
    forge: Forge, work: Path, head: str, more: dict[str, str], why: str
) -> None:
    branch(work, "topic", "value: 2\n")
    branch(work, "taken", "value: 3\n")
    forge.open_pull("taken")
    with pytest.raises(UserError, match=why):
        ask(client(forge), head, **more)
    assert len(forge.state.pulls) == 1


def test_nobody_approves_a_pull_request_of_their_own(forge: Forge, work: Path) -> None:
    branch(work, "topic", "value: 2\n")
    number = forge.open_pull("topic", by="ann")
    with pytest.raises(UserError, match="Can not approve your own pull request"):
        client(forge, "ann").send("POST", f"{REPO}/pulls/{number}/reviews", {"event": "APPROVE"})


def test_lists_are_filtered_and_a_closed_pull_request_is_opened_again(forge: Forge, work: Path) -> None:
    branch(work, "one", "value: 2\n")
    branch(work, "two", "value: 3\n")
    ann = client(forge, "ann")
    one, two = ask(ann, "one")["number"], ask(ann, "octo:two")["number"]
    changed = ann.send("PATCH", f"{REPO}/pulls/{one}", {"state": "closed", "title": "Left"})
    assert (changed["state"], changed["title"], changed["body"]) == ("closed", "Left", "why")
    assert [each["number"] for each in ann.pages(f"{REPO}/pulls", state="open", base="main")] == [two]
    assert [each["number"] for each in ann.pages(f"{REPO}/pulls", state="all", head="octo:one")] == [one]
    assert ann.send("PATCH", f"{REPO}/pulls/{one}", {"state": "open"})["state"] == "open"


def test_a_branch_that_goes_closes_its_pull_request(forge: Forge, work: Path) -> None:
    head = branch(work, "promote/production/1a2b3c4d", "value: 2\n")
    number = forge.open_pull("promote/production/1a2b3c4d")
    ann = client(forge, "ann")
    name = segment("heads/promote/production/1a2b3c4d")
    assert ann.get(f"{REPO}/git/ref/{name}")["object"]["sha"] == head
    ann.send("DELETE", f"{REPO}/git/refs/heads/promote/production/1a2b3c4d")
    assert ann.get(f"{REPO}/pulls/{number}")["state"] == "closed"
    with pytest.raises(NotFoundError):
        ann.get(f"{REPO}/git/ref/{name}")
    with pytest.raises(UserError, match="Reference does not exist"):
        ann.send("DELETE", f"{REPO}/git/refs/{name}")
    with pytest.raises(UserError, match="is gone"):
        ann.send("PATCH", f"{REPO}/pulls/{number}", {"state": "open"})


def test_issues_are_found_by_label_and_commented_and_closed(forge: Forge, work: Path) -> None:
    branch(work, "topic", "value: 2\n")
    pull = forge.open_pull("topic")
    bot = client(forge)
    made = bot.send(
        "POST", f"{REPO}/issues", {"title": "It failed", "body": "why", "labels": ["deploy: failed"]}
    )
    number = made["number"]
    assert number == pull + 1
    bot.send("POST", f"{REPO}/issues", {"title": "Something else"})
    assert [each["number"] for each in bot.pages(f"{REPO}/issues", labels="deploy: failed")] == [number]
    bot.send("POST", f"{REPO}/issues/{number}/comments", {"body": "again"})
    assert [each["body"] for each in bot.pages(f"{REPO}/issues/{number}/comments")] == ["again"]
    closed = bot.send("PATCH", f"{REPO}/issues/{number}", {"state": "closed", "state_reason": "completed"})
    assert (closed["state"], closed["state_reason"]) == ("closed", "completed")
    assert list(bot.pages(f"{REPO}/issues", labels="deploy: failed")) == []
    # To GitHub a pull request is an issue as well, so whoever lists issues has to tell them apart.
    assert [each["number"] for each in bot.pages(f"{REPO}/issues") if "pull_request" in each] == [pull]


def test_labels_are_made_put_on_and_taken_off(forge: Forge, work: Path) -> None:
    branch(work, "topic", "value: 2\n")
    number = forge.open_pull("topic")
    bot = client(forge)
    with pytest.raises(NotFoundError):
        bot.get(f"{REPO}/labels/promotion")
    bot.send("POST", f"{REPO}/labels", {"name": "promotion", "color": "0e8a16"})
    put = bot.send("POST", f"{REPO}/issues/{number}/labels", {"labels": ["promotion"]})
    assert [(each["name"], each["color"]) for each in put] == [("promotion", "0e8a16")]
    assert bot.get(f"{REPO}/pulls/{number}")["labels"][0]["name"] == "promotion"
    bot.send("DELETE", f"{REPO}/issues/{number}/labels/promotion")
    with pytest.raises(UserError, match="404"):
        bot.send("DELETE", f"{REPO}/issues/{number}/labels/promotion")
