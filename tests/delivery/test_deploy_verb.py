"""`gitops-ml deploy` as a workflow calls it: outputs, exit codes, who approved, and the issue about a failure."""

from __future__ import annotations

from pathlib import Path

import pytest
from gitops_ml import cli
from gitops_ml.delivery.deployment import Live
from gitops_ml.delivery.merged import find_merged
from gitops_ml.delivery.trouble import Book, Trouble
from gitops_ml.errors import UserError
from gitops_ml.github import GitHub
from gitops_ml.verbs import deploy as verb

from tests.delivery.places import Place
from tests.delivery.repositories import PIPELINE, commit, git, push
from tests.delivery.shop import Shop
from tests.delivery.truth import WORKFLOW
from tests.fakes.forge import Forge
from tests.fakes.state import Pull, Review

BOT = "github-actions[bot]"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """The one environment of every run, with a runner around it."""
    found = Place(tmp_path / "place.json")
    monkeypatch.setattr(verb, "choose", lambda *arguments: found)
    for name, value in {
        "GITHUB_ACTIONS": "true",
        "GITHUB_REPOSITORY": "octo/model",
        "GITHUB_RUN_ID": "77",
        "GITHUB_RUN_ATTEMPT": "2",
        "GITHUB_SERVER_URL": "https://forge.invalid",
        "GITHUB_WORKFLOW_REF": f"octo/model/{WORKFLOW}",
        "GITHUB_OUTPUT": str(tmp_path / "output"),
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary"),
    }.items():
        monkeypatch.setenv(name, value)
    for name in ("GITHUB_TOKEN", "GITHUB_API_URL"):
        monkeypatch.delenv(name, raising=False)
    return found


@pytest.fixture
def online(forge: Forge, monkeypatch: pytest.MonkeyPatch) -> Forge:
    monkeypatch.setenv("GITHUB_TOKEN", "token-of-the-run")
    monkeypatch.setenv("GITHUB_API_URL", forge.api_url)
    return forge


def run(shop: Shop, *words: str, environment: str = "staging") -> int:
    return cli.main(["deploy", "--environment", environment, "--repository", str(shop.clone), *words])


def outputs(folder: Path) -> dict[str, str]:
    """The last value of each output."""
    lines = (folder / "output").read_text(encoding="utf-8").splitlines()
    return {lines[at].partition("<<")[0]: lines[at + 1] for at in range(0, len(lines), 3)}


def test_a_deployment_says_what_it_did(
    shop: Shop, place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    release = shop.release()
    assert run(shop, "--dry-run") == 0
    assert outputs(tmp_path) == {"action": "deploy", "release": "", "healthy": "false"}
    assert place.applied == []
    assert run(shop) == 0
    assert outputs(tmp_path) == {"action": "deploy", "release": release.release, "healthy": "true"}
    said = (tmp_path / "summary").read_text(encoding="utf-8")
    assert f"    {release.release[:10]} serves, main wants {release.release[:10]}" in said
    assert "no GITHUB_TOKEN" in capsys.readouterr().out
    assert run(shop) == 0
    assert outputs(tmp_path)["action"] == "nothing"
    (deployment,) = shop.world().facts.history("staging")
    assert deployment.intent.run.url == "https://forge.invalid/octo/model/actions/runs/77"
    assert (deployment.intent.run.attempt, deployment.intent.run.workflow) == (2, WORKFLOW)


def test_without_a_release_there_is_nothing_to_do(shop: Shop, place: Place, tmp_path: Path) -> None:
    assert run(shop, environment="production") == 0
    assert outputs(tmp_path) == {"action": "nothing", "release": "", "healthy": "false"}


def test_what_a_container_says_is_no_command_to_the_runner(
    shop: Shop, place: Place, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    release = shop.release()
    place.sick.add(release.release)
    apply = place.apply
    monkeypatch.setattr(place, "apply", lambda order: apply(order) + "\n::set-output name=x::y\n\x1b[2J")
    assert run(shop) == 1
    assert not [line for line in capsys.readouterr().out.splitlines() if line.startswith("::set-output")]


def test_a_failure_is_one_issue_that_is_kept_true_and_closed(
    shop: Shop, place: Place, online: Forge, tmp_path: Path
) -> None:
    release = shop.release()
    place.sick.add(release.release)
    assert run(shop) == 1
    assert outputs(tmp_path)["healthy"] == "false"
    (issue,) = online.state.issues
    assert (issue.title, issue.labels, issue.state) == (
        f"staging could not run {release.release[:10]}",
        ["deployment"],
        "open",
    )
    assert "    its log's last line: out of memory" in issue.body
    assert "Now in staging: nothing serves." in issue.body
    assert run(shop) == 1
    assert (len(online.state.issues), online.state.comments) == (1, [])
    second = shop.release()
    place.sick.add(second.release)
    assert run(shop) == 1
    assert (len(online.state.issues), len(online.state.comments)) == (1, 1)
    assert issue.title == f"staging could not run {second.release[:10]}"
    place.sick.clear()
    assert run(shop, "--again") == 0
    assert issue.state == "closed"
    assert "staging runs what main wants, and is healthy" in online.state.comments[-1].body
    assert run(shop) == 0
    assert len(online.state.comments) == 2


def test_an_issue_that_cannot_be_written_does_not_change_the_outcome(
    shop: Shop, place: Place, online: Forge, capsys: pytest.CaptureFixture[str]
) -> None:
    from tests.fakes.troubles import READ_ONLY

    release = shop.release()
    place.sick.add(release.release)
    online.trouble("POST", "/issues", READ_ONLY, times=20)
    assert run(shop) == 1
    assert "::warning::The issue about staging could not be written." in capsys.readouterr().out


def test_a_target_that_cannot_be_reached_is_an_issue_too(
    shop: Shop, place: Place, online: Forge, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable() -> Live:
        raise UserError("docker-1.example.org does not answer.", "Start it.")

    shop.release()
    with monkeypatch.context() as broken:
        broken.setattr(place, "live", unreachable)
        assert run(shop) == 2
        assert run(shop) == 2
        assert run(shop, environment="qa") == 2
    (issue,) = online.state.issues
    assert issue.title == "staging could not be brought to where main is"
    assert "    docker-1.example.org does not answer." in issue.body
    assert online.state.comments == []
    assert run(shop) == 0
    assert issue.state == "closed"


def test_an_issue_of_somebody_else_is_left_alone(online: Forge) -> None:
    """Without the label it is a stranger's, whatever it begins with; another environment has its own."""
    trouble = Trouble("staging", "staging could not run r-1", "no memory", "nothing serves")
    book = Book(GitHub(online.api_url, "token-of-the-run", sleep=lambda _: None), "octo/model")
    online.ignores_filters = True
    github = GitHub(online.api_url, online.token_of("mallory"), sleep=lambda _: None)
    github.send("POST", "/repos/octo/model/issues", {"title": "x", "body": trouble.body})
    other = Trouble("production", "production could not run r-1", "no memory", "nothing serves")
    assert book.tell(other) == "opened"
    assert book.tell(trouble) == "opened"
    assert book.tell(trouble) == "unchanged"
    assert book.close("staging", "all is well") == "closed"
    assert [issue.state for issue in online.state.issues] == ["open", "open", "closed"]
    assert book.close("staging", "all is well") == "none"


def test_lines_of_a_log_cannot_act_in_the_issue() -> None:
    body = Trouble("staging", "t", "a\n# b @octo\n```\n<img src=x>\u202e", "nothing serves").body
    quoted = [line for line in body.splitlines() if "octo" in line or "img" in line or line.strip() == "```"]
    assert len(quoted) == 3
    assert all(line.startswith("    ") for line in quoted)
    assert "\u202e" not in body


def pull(**changes: object) -> Pull:
    """Pull request 7, merged as `f...f`."""
    given: dict[str, object] = {"author": "ann", "state": "closed", "merged_by": "ann", "merge_sha": "f" * 40}
    return Pull(7, "octo/model", "promote", **(given | changes))  # type: ignore[arg-type]


def approval(login: str, state: str = "APPROVED", sha: str = "a1" * 20) -> Review:
    return Review(1, login, sha, state)


@pytest.mark.parametrize(
    ("changes", "reviews", "approvers", "by"),
    [
        ({}, [approval("ben")], {"ben"}, "ann"),
        ({}, [approval("ben"), approval("ben", "COMMENTED")], {"ben"}, "ann"),
        ({}, [approval("ben"), approval("ben", "CHANGES_REQUESTED")], set(), "ann"),
        ({}, [approval("ben"), approval("ben", "DISMISSED")], set(), "ann"),
        ({}, [approval("ben", sha="b2" * 20)], set(), "ann"),
        ({}, [approval("robot[bot]")], set(), "ann"),
        ({"author": BOT, "body": "Promote\n\nRequested-By: cat\n"}, [approval("cat")], {"cat"}, "cat"),
        ({"author": "ann", "body": "Requested-By: cat"}, [approval("ben")], {"ben"}, "ann"),
    ],
    ids=[
        "approved",
        "a comment after it",
        "changed their mind",
        "dismissed",
        "of an earlier commit",
        "by a bot",
        "a bot names who asked",
        "a person cannot name another",
    ],
)
def test_who_approved_a_merged_change(
    forge: Forge, changes: dict[str, object], reviews: list[Review], approvers: set[str], by: str
) -> None:
    forge.state.pulls.append(pull(**changes, reviews=reviews))
    found = find_merged(GitHub(forge.api_url, "token", sleep=lambda _: None), "octo/model", "f" * 40)
    assert found is not None
    assert (found.number, found.review.approvers, found.by) == (7, approvers, by)
    assert found.review.others == approvers - {by, found.review.author}


@pytest.mark.parametrize(
    "changes", [{"merged_by": None}, {"merge_sha": "e" * 40}, {"base": "release"}], ids=str
)
def test_only_a_change_that_was_merged_into_main_as_this_commit_counts(
    forge: Forge, changes: dict[str, object]
) -> None:
    forge.state.pulls.append(pull(**changes, reviews=[approval("ben")]))
    github = GitHub(forge.api_url, "token", sleep=lambda _: None)
    assert find_merged(github, "octo/model", "f" * 40) is None


def test_four_eyes_are_asked_of_the_forge(shop: Shop, place: Place, online: Forge, tmp_path: Path) -> None:
    changed = PIPELINE.replace("  - name: production\n", "  - name: production\n    four_eyes: true\n")
    commit(shop.clone, "Four eyes", environments__pipeline_yaml=changed)
    push(shop.clone)
    release = shop.release()
    assert run(shop) == 0
    place.put(Live())
    shop.squash(shop.branch(release))
    place.applied.clear()
    assert run(shop, environment="production") == 0
    assert outputs(tmp_path)["action"] == "wait"
    assert place.applied == []
    merged = git(shop.clone, "rev-parse", "main")
    online.state.pulls.append(
        pull(merge_sha=merged, author=BOT, body="Requested-By: ann", reviews=[approval("ann")])
    )
    assert run(shop, environment="production") == 1
    assert outputs(tmp_path)["action"] == "refuse"
    online.state.pulls[0].reviews.append(approval("ben"))
    assert run(shop, environment="production") == 0
    assert place.applied == [release.release]
    (deployment,) = shop.world().facts.history("production")
    assert (deployment.intent.by, deployment.intent.approvers) == ("ann", ("ann", "ben"))


def test_targets_get_the_files_of_main_and_not_those_of_the_clone(
    shop: Shop, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = PIPELINE.replace("follow: true}", "follow: true, target: {kind: compose}}")
    commit(shop.clone, "Use a Docker host", environments__pipeline_yaml=changed)
    push(shop.clone)
    shop.release()
    commit(shop.clone, "Not pushed", src__model_py="version = 88\n")
    (shop.clone / "src" / "model.py").write_text("changed by hand\n", encoding="utf-8")
    given: list[Path] = []

    def chosen(environment: str, pipeline: object, folder: Path, *others: object) -> Place:
        assert (folder / "src" / "model.py").read_text(encoding="utf-8") == "version = 1\n"
        assert folder.name == shop.clone.name
        given.append(folder)
        return place

    monkeypatch.setattr(verb, "choose", chosen)
    assert run(shop) == 0
    assert given
    assert not any(folder.exists() for folder in given)
    assert git(shop.clone, "worktree", "list").count("\n") == 0
