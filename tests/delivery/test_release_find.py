"""`gitops-ml release find`: what main needs, and which models may not be taken over."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from gitops_ml.delivery.build import build_key
from gitops_ml.delivery.git import Git
from gitops_ml.delivery.merged import merge_of, read_pulls
from gitops_ml.delivery.records import to_files
from gitops_ml.delivery.state import StateBranch
from gitops_ml.delivery.train_once import Trained, trained_by
from gitops_ml.errors import UserError

from tests.delivery.repositories import git, made
from tests.delivery.site import IMAGE, Site
from tests.fakes import troubles
from tests.fakes.contract import Contract
from tests.fakes.forge import Forge
from tests.fakes.state import Pull, Run, State


@pytest.fixture
def site(forge: Forge, tmp_path: Path) -> Site:
    return Site.make(forge, tmp_path)


@dataclass
class Case:
    """One repository with a merged pull request, for many tests: each gets the forge's state as it was after it."""

    site: Site
    number: int
    commit: str
    state: State

    @property
    def run(self) -> Run:
        return self.site.forge.state.runs[0]


@pytest.fixture(scope="module")
def prepared(contract: Contract | None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Case]:
    with Forge(contract) as forge:
        site = Site.make(forge, tmp_path_factory.mktemp("merged"))
        number = changed(site)
        site.train(number)
        commit = site.merge(number)
        yield Case(site, number, commit, copy.deepcopy(forge.state))
    assert forge.violations == []


@pytest.fixture
def case(prepared: Case) -> Case:
    prepared.site.forge.state = copy.deepcopy(prepared.state)
    prepared.site.forge.ignores_filters = False
    prepared.site.environ.clear()
    return prepared


def changed(site: Site, text: str = "depth = 2\n", branch: str = "topic") -> int:
    return site.propose(branch, {"src/model.py": text})


def key_of(site: Site, commit: str) -> str:
    return build_key(Git(site.remote.path).entries(commit))


def test_the_model_of_the_merged_pull_request_is_found(site: Site) -> None:
    number = changed(site)
    run = site.train(number)
    commit = site.merge(number)
    found = site.verb("find")
    assert found == {
        "release": "",
        "build-key": key_of(site, commit),
        "commit": commit,
        "image": IMAGE,
        "adopt-run": str(run.id),
        "reason": f"Pull request {number} trained the model of these files in run {run.id}.",
    }
    assert (
        f"### Release\n\n    The model of the pull request is taken over: Pull request {number}"
        in site.summary
    )


def test_the_head_of_main_counts_and_not_the_commit_that_started_the_run(site: Site) -> None:
    first = changed(site)
    site.train(first)
    started = site.merge(first)
    second = changed(site, "depth = 3\n", "second")
    run = site.train(second)
    newest = site.merge(second)
    git(site.project, "checkout", "--quiet", "--detach", started)
    site.environ["GITHUB_SHA"] = started
    found = site.verb("find")
    assert (found["commit"], found["adopt-run"]) == (newest, str(run.id))


def test_files_that_have_a_release_are_built_no_more(site: Site) -> None:
    number = changed(site)
    site.train(number)
    commit = site.merge(number)
    there = made(commit, key_of(site, commit), 1, 2)
    StateBranch(Git(site.author)).append(lambda facts: to_files(there), "a release")
    documents = site.propose(
        "words", {"README.md": "Better words.\n", "environments/revoked.yaml": "schema: 1\n"}
    )
    newest = site.merge(documents)
    asked = len(site.forge.seen)
    found = site.verb("find")
    assert (found["release"], found["adopt-run"], found["commit"]) == (there.release, "", newest)
    assert len(site.forge.seen) == asked, "the API was asked for nothing"
    assert "Nothing has to be built" in site.summary


def test_documents_merged_before_the_build_began_do_not_hide_the_model(site: Site) -> None:
    number = changed(site)
    run = site.train(number)
    site.merge(number)
    words = site.propose("words", {"docs/index.md": "Words.\n"})
    commit = site.merge(words)
    found = site.verb("find")
    # The pull request with the words has main's files too, but trained nothing.
    assert (found["commit"], found["adopt-run"]) == (commit, str(run.id))
    again = site.train(words)
    assert site.verb("find")["adopt-run"] == str(again.id)


def test_a_release_that_cannot_be_read_is_none(site: Site) -> None:
    number = changed(site)
    commit = site.merge(number)
    there = made(commit, key_of(site, commit), 1, 2)
    ((path, content),) = to_files(there).items()
    broken = {path: content.replace(b'"sequence": 2', b'"sequence": 0')}
    StateBranch(Git(site.author)).append(lambda facts: broken, "a release")
    assert site.verb("find")["release"] == ""


def from_fork(site: Site, number: int, run: Run) -> None:
    site.pull(number).head_repo = "stranger/model"


def run_for_a_fork(site: Site, number: int, run: Run) -> None:
    run.head_repo = "stranger/model"


def failed(site: Site, number: int, run: Run) -> None:
    run.conclusion = "failure"


def other_workflow(site: Site, number: int, run: Run) -> None:
    run.path = ".github/workflows/mine.yml"


def by_hand(site: Site, number: int, run: Run) -> None:
    run.event = "workflow_dispatch"


def other_commit(site: Site, number: int, run: Run) -> None:
    run.sha = "b2" * 20


def other_branch(site: Site, number: int, run: Run) -> None:
    run.ref = "evil"


def expired(site: Site, number: int, run: Run) -> None:
    site.forge.state.artifacts[0].expired = True


def other_artifact(site: Site, number: int, run: Run) -> None:
    site.forge.state.artifacts[0].name = "model-base"


def never_trained(site: Site, number: int, run: Run) -> None:
    site.forge.state.runs.clear()


def went_elsewhere_before(site: Site, number: int, run: Run) -> None:
    site.pull(number).events += ["labeled", "base_ref_changed"]


def proposed_to_another_branch(site: Site, number: int, run: Run) -> None:
    """The same branch was proposed to one with another workflow, whose run looks like that of main's."""
    pull = site.pull(number)
    site.remote.git("branch", "--force", "evil-workflows", "main")
    site.forge.state.pulls.append(
        Pull(77, pull.head_repo, pull.ref, pull.sha, state="closed", base="evil-workflows")
    )


def proposed_too_often(site: Site, number: int, run: Run) -> None:
    pull = site.pull(number)
    site.forge.state.pulls += [Pull(70 + n, pull.head_repo, pull.ref, pull.sha, "closed") for n in range(5)]


def proposed_by_an_account_that_is_gone(site: Site, number: int, run: Run) -> None:
    ghost = {**site.pull(number).shown(), "number": 77, "user": None, "base": {"ref": "evil-workflows"}}
    site.forge.trouble("GET", "/pulls$", troubles.Answer(200, [site.pull(number).shown(), ghost]), times=2)


def another_head(site: Site, number: int, run: Run) -> None:
    """The API says another commit than git has."""
    site.pull(number).sha = run.sha = git(site.author, "rev-parse", "HEAD~1")


REFUSED = [
    (from_fork, "comes from a fork"),
    (run_for_a_fork, "No successful run"),
    (failed, "No successful run"),
    (other_workflow, "No successful run"),
    (by_hand, "No successful run"),
    (other_commit, "No successful run"),
    (other_branch, "No successful run"),
    (never_trained, "No successful run"),
    (expired, "has expired"),
    (other_artifact, "was not made, or has expired"),
    (went_elsewhere_before, "another branch than main"),
    (proposed_to_another_branch, "another branch than main"),
    (proposed_too_often, "proposed 6 times"),
    (proposed_by_an_account_that_is_gone, "can be read"),
    (another_head, "as the API says"),
]


FILTERED = (failed, by_hand, other_commit, other_artifact, proposed_to_another_branch)


@pytest.mark.parametrize(
    ("change", "said", "filtering"),
    [(*case, True) for case in REFUSED] + [(*case, False) for case in REFUSED if case[0] in FILTERED],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_in_doubt_nothing_is_taken_over(
    case: Case, change: Callable[[Site, int, Run], None], said: str, filtering: bool
) -> None:
    change(case.site, case.number, case.run)
    case.site.forge.ignores_filters = not filtering
    found = case.site.verb("find")
    assert (found["adopt-run"], found["release"], found["commit"]) == ("", "", case.commit)
    assert said in found["reason"]
    assert found["reason"].endswith(".")
    assert "\n" not in found["reason"]
    assert "The model is trained on main" in case.site.summary


def test_a_fork_that_is_gone_is_still_a_fork() -> None:
    head = {"ref": "topic", "sha": "a1" * 20, "repo": None}
    shown = {"number": 4, "head": head, "base": {"ref": "main"}, "merged_at": "x", "user": {"login": "ann"}}
    (pull,) = read_pulls([shown])
    run = Run(900, 5, None, "topic").shown("octo/model")
    assert not trained_by(Trained.model_validate(run), pull, "octo/model")
    run["head_repository"] = {"full_name": "octo/model"}
    assert trained_by(Trained.model_validate(run), pull, "octo/model")
    run["repository"] = {"full_name": "octo/other"}
    assert not trained_by(Trained.model_validate(run), pull, "octo/model")


def test_a_commit_that_two_pull_requests_claim_is_no_merge() -> None:
    shown = Pull(4, "octo/model", "topic", merged_by="ann", merge_sha="c3" * 20).shown()
    pulls = read_pulls([{**shown, "number": number} for number in (4, 5)])
    assert merge_of(pulls[:1], "c3" * 20) == pulls[0]
    assert merge_of(pulls, "c3" * 20) is None
    assert merge_of(pulls[:1], "d4" * 20) is None
    assert merge_of(read_pulls([{**shown, "merged_at": None}]), "c3" * 20) is None
    assert merge_of(read_pulls([{**shown, "base": {"ref": "next"}}]), "c3" * 20) is None


def test_files_merged_in_between_are_trained_on_main(site: Site) -> None:
    number = changed(site)
    site.train(number)
    other = site.propose("other", {"src/features.py": "x = 1\n"})
    site.merge(other)
    site.merge(number)
    found = site.verb("find")
    assert found["adopt-run"] == ""
    assert "something else was merged in between" in found["reason"]


def test_a_push_after_the_run_leaves_nothing_to_take_over(site: Site) -> None:
    number = changed(site)
    site.train(number)
    site.push(number, {"src/model.py": "depth = 4\n"})
    site.merge(number)
    assert "No successful run" in site.verb("find")["reason"]


def test_a_commit_without_a_pull_request_is_trained_on_main(site: Site) -> None:
    git(site.author, "checkout", "--quiet", "main")
    site.commit("By hand", {"src/model.py": "depth = 9\n"})
    site.remote.merge(site.author)
    assert "is not the merge of a pull request" in site.verb("find")["reason"]


@pytest.mark.parametrize(
    "path", ["/commits/", "/actions/runs$", "/artifacts$", r"/pulls$", "/events$"], ids=lambda path: path
)
def test_an_api_that_fails_never_blocks(case: Case, path: str) -> None:
    case.site.forge.trouble("GET", path, troubles.PERSONAL)
    found = case.site.verb("find")
    assert (found["commit"], found["adopt-run"]) == (case.commit, "")
    assert "GitHub refused GET" in found["reason"]


@pytest.mark.parametrize("missing", ["GITHUB_TOKEN", "GITHUB_REPOSITORY"])
def test_without_token_or_repository_it_is_trained_on_main(case: Case, missing: str) -> None:
    case.site.environ[missing] = ""
    found = case.site.verb("find")
    assert found["adopt-run"] == ""
    assert missing in found["reason"]


def test_taking_over_can_be_switched_off(case: Case) -> None:
    asked = len(case.site.forge.seen)
    assert case.site.verb("find", "--take-over=false")["adopt-run"] == ""
    assert len(case.site.forge.seen) == asked
    assert case.site.verb("find")["adopt-run"] == str(case.run.id)


def test_a_remote_without_main_is_one_clear_error(site: Site) -> None:
    site.remote.git("update-ref", "-d", "refs/heads/main")
    with pytest.raises(UserError, match="has no branch main"):
        site.verb("find")
