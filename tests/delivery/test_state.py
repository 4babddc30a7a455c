"""The branch `deploy-state` with real git: nothing is lost, nothing is rewritten, and what is unreadable is named."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from gitops_ml.delivery import journal
from gitops_ml.delivery.branch import Branches
from gitops_ml.delivery.facts import Facts
from gitops_ml.delivery.git import Git
from gitops_ml.delivery.paths import noun
from gitops_ml.delivery.records import load_facts, parse_records, to_files
from gitops_ml.delivery.state import StateBranch
from gitops_ml.delivery.world import Desired
from gitops_ml.errors import UserError

from tests.delivery.repositories import git, made, make_clone, make_origin
from tests.delivery.truth import START

ROOT = Path(__file__).parents[2]
WRITER = """
import sys
from pathlib import Path
from gitops_ml.delivery.git import Git
from gitops_ml.delivery.records import to_files
from gitops_ml.delivery.journal import Author, start
from gitops_ml.delivery.state import StateBranch
from gitops_ml.delivery.world import Desired
from tests.delivery.truth import START
clone, writer, records = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
branch = StateBranch(Git(clone))
sys.stdin.readline()
for number in range(records):
    desired = Desired("staging", None, 1, 1)
    release = f"r-{writer * 1000 + number:064x}"
    made = branch.append(
        lambda facts: to_files(start(facts, desired, release, "deploy", Author(), START)), f"writer {writer}"
    )
    print(made.attempts, flush=True)
"""


@pytest.fixture
def origin(tmp_path: Path) -> Path:
    return make_origin(tmp_path)


@pytest.fixture
def branch(origin: Path) -> StateBranch:
    return StateBranch(Git(make_clone(origin, "clone")))


def facts_of(branch: StateBranch) -> Facts:
    return load_facts(branch.git, branch.fetch())


@pytest.mark.parametrize("shared", [False, True], ids=["a clone each", "one clone for all"])
def test_of_eight_concurrent_writers_none_is_lost(origin: Path, shared: bool) -> None:
    writers, records = 8, 3
    clones = [make_clone(origin, "clone" if shared else f"clone{n}") for n in range(1 if shared else writers)]
    environ = {**os.environ, "PYTHONPATH": f"{ROOT / 'actions'}:{ROOT}"}
    started = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(clones[n % len(clones)]), str(n), str(records)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environ,
            text=True,
        )
        for n in range(writers)
    ]
    for process in started:
        assert process.stdin
        process.stdin.write("\n")
        process.stdin.flush()
    said = [process.communicate(timeout=300) for process in started]
    assert [process.returncode for process in started] == [0] * writers, said
    facts = load_facts(Git(origin), git(origin, "rev-parse", "deploy-state"))
    # Each writer took the next number on the branch as it was: no two have the same, and none is missing.
    attempts = [item.intent.attempt for item in facts.deployments["staging"]]
    assert attempts == list(range(1, writers * records + 1))
    assert len({item.release for item in facts.deployments["staging"]}) == writers * records
    assert git(origin, "rev-list", "--count", "deploy-state") == str(writers * records)
    assert git(origin, "for-each-ref", "--format=%(refname)") == "refs/heads/deploy-state"
    assert max(int(line) for out, _ in said for line in out.split()) > 1, "the writers never met"


def test_a_record_is_never_changed(branch: StateBranch, origin: Path) -> None:
    files = to_files(made("a" * 40, "b" * 64, 1, 1))
    first = branch.append(lambda facts: files, "first")
    again = branch.append(lambda facts: files, "the same once more")
    assert (again.files, again.tip) == ((), first.tip)
    changed = {path: content.replace(b"roc_auc", b"roc_auk") for path, content in files.items()}
    with pytest.raises(UserError, match="exists with other content"):
        branch.append(lambda facts: changed, "changed")
    assert git(origin, "rev-parse", "deploy-state") == first.tip


def test_only_records_are_written(branch: StateBranch) -> None:
    for path in (
        "releases/../main.py",
        "README.md",
        "releases/r-1.json",
        "evidence/staging/x/1-1.json",
        "/etc/x",
    ):
        with pytest.raises(UserError, match="no place for a record"):
            branch.append(lambda facts, path=path: {path: b"{}"}, "odd")  # type: ignore[misc]
    assert branch.fetch() is None


def test_a_refusal_that_will_not_pass_is_not_tried_again(branch: StateBranch, origin: Path) -> None:
    (origin / "hooks" / "pre-receive").write_text("#!/bin/sh\necho GH013: no; exit 1\n", encoding="utf-8")
    asked = []
    with pytest.raises(UserError, match="GH013") as caught:
        branch.append(lambda facts: asked.append(1) or to_files(made("a" * 40, "b" * 64, 1, 1)), "refused")  # type: ignore[func-returns-value]
    assert len(asked) == 1
    assert "contents: write" in caught.value.fix


@pytest.mark.parametrize(
    "said", ["cannot lock ref 'refs/heads/x'", "failed to update ref", "remote ref updated since checkout"]
)
def test_a_push_that_met_another_one_is_no_refusal(branch: StateBranch, origin: Path, said: str) -> None:
    """Whichever branch it went to, as the forge words it; git's own words come with a lease that does not hold."""
    branch.append(lambda facts: to_files(made("a" * 40, "b" * 64, 1, 1)), "one")
    commit = branch.fetch()
    assert commit is not None
    (origin / "hooks" / "pre-receive").write_text(f'#!/bin/sh\necho "{said}"; exit 1\n', encoding="utf-8")
    assert not Branches(branch.git).push(commit, "promote/production/r-1", None)


def test_somebody_else_is_always_faster(branch: StateBranch, origin: Path) -> None:
    other, pauses = StateBranch(Git(make_clone(origin, "other"))), []
    slow = StateBranch(branch.git, pause=pauses.append)
    number = iter(range(100))

    def overtaken(facts: Facts) -> dict[str, bytes]:
        mine = to_files(made("a" * 40, "b" * 64, 99, 1))
        other.append(lambda _: to_files(made("a" * 40, f"{next(number):064x}", 1, 1)), "faster")
        return mine

    with pytest.raises(UserError, match="others were faster 30 times"):
        slow.append(overtaken, "slow")
    assert len(pauses) == 30
    assert len(facts_of(branch).releases) == 30


def test_a_release_is_decided_on_the_newest_facts(branch: StateBranch, origin: Path) -> None:
    key, other = "b" * 64, StateBranch(Git(make_clone(origin, "other")))
    ours, theirs = made("a" * 40, key, 1, 1), made("a" * 40, key, 2, 1)

    def meanwhile(facts: Facts) -> dict[str, bytes]:
        if not facts.releases:
            other.append(lambda _: to_files(theirs), "a run that was faster")
        return to_files(journal.release_to_use(facts, ours))

    done = branch.append(meanwhile, "ours")
    assert (done.attempts, done.files) == (2, ())
    assert list(facts_of(branch).releases) == [theirs.release]


def test_a_run_that_was_overtaken_writes_nothing(branch: StateBranch) -> None:
    def begin(fence: int) -> None:
        desired = Desired("production", None, generation=1, fence=fence)
        release = "r-" + "1" * 64
        branch.append(
            lambda facts: to_files(journal.start(facts, desired, release, "deploy", journal.Author(), START)),
            "begin",
        )

    begin(fence=7)
    with pytest.raises(UserError, match="newer main has started"):
        begin(fence=6)
    assert [item.intent.fence for item in facts_of(branch).deployments["production"]] == [7]


def test_unreadable_records_are_named_and_count_as_absent() -> None:
    manifest = made("a" * 40, "b" * 64, 1, 1)
    ((path, content),) = to_files(manifest).items()
    other = f"releases/r-{'0' * 64}.json"
    tampered = content.replace(b'"sequence": 1', b'"sequence": 1, "x": 1')
    facts = parse_records(
        [(path, content.replace(manifest.artifacts.model.encode(), b"f" * 64)), (other, content)]
    )
    assert facts.releases == {}
    assert facts.unreadable == {path, other}
    assert parse_records([(path, tampered)]).unreadable == {path}
    assert parse_records([(path, None)]).unreadable == {path}
    assert parse_records([(path, content)]).releases == {manifest.release: manifest}
    outcome = "deployments/staging/1-1.outcome.json"
    assert parse_records([(outcome, b"{}")]).unreadable == {outcome}


def test_what_else_lies_on_the_branch_is_left_alone(branch: StateBranch, origin: Path) -> None:
    branch.append(lambda facts: to_files(made("a" * 40, "b" * 64, 1, 1)), "a release")
    clone = make_clone(origin, "people")
    git(clone, "checkout", "--quiet", "deploy-state")
    (clone / "README.md").write_text("records\n", encoding="utf-8")
    (clone / "releases" / f"r-{'0' * 64}.json").symlink_to("/etc/passwd")
    git(clone, "add", "--all")
    git(clone, "commit", "--quiet", "-m", "a readme")
    git(clone, "push", "--quiet")
    assert noun("README.md") is None
    facts = facts_of(branch)
    assert (len(facts.releases), facts.unreadable) == (1, frozenset())


def test_a_missing_remote_is_one_clear_error(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    with pytest.raises(UserError, match="This clone has no remote origin"):
        StateBranch(Git(tmp_path)).append(lambda facts: {}, "nowhere")
    git(tmp_path, "remote", "add", "origin", str(tmp_path / "gone"))
    with pytest.raises(
        UserError, match=r"The remote origin can't be read: '.*gone' does not appear"
    ) as caught:
        StateBranch(Git(tmp_path)).append(lambda facts: {}, "nowhere")
    assert "\n" not in caught.value.message
