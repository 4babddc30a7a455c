"""`gitops-ml release record`: what was built is written down once, and names what it was built from."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from gitops_ml.delivery.build import build_key
from gitops_ml.delivery.facts import Facts
from gitops_ml.delivery.git import Git
from gitops_ml.delivery.state import Appended, Make, StateBranch
from gitops_ml.errors import UserError

from tests.actions.launching import files_of
from tests.delivery.repositories import git, make_clone
from tests.delivery.site import IMAGE, Site, merged, sha256, trained, write
from tests.fakes import troubles
from tests.fakes.contract import Contract
from tests.fakes.state import State

ROOT = Path(__file__).parents[2]
RUNNER = {
    "GITHUB_ACTIONS": "true",
    "GITHUB_RUN_ID": "77",
    "GITHUB_RUN_ATTEMPT": "2",
    "GITHUB_WORKFLOW_REF": "octo/model/.github/workflows/deliver.yml@refs/heads/main",
}


def image(number: int = 1) -> str:
    return f"{IMAGE}@sha256:{number:064x}"


@pytest.fixture(scope="module")
def prepared(
    contract: Contract | None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Site, State]]:
    with merged(contract, tmp_path_factory.mktemp("merged"), train=False) as found:
        yield found


@pytest.fixture
def site(prepared: tuple[Site, State]) -> Site:
    """The job on main after training, with nothing recorded yet."""
    site, state = prepared
    site.forge.state = copy.deepcopy(state)
    site.environ = {}
    git(site.project, "checkout", "--quiet", "--force", "--detach", "origin/main")
    git(site.project, "clean", "--quiet", "-fdx")
    write(site.project, trained(git(site.project, "rev-parse", "HEAD")))
    if "deploy-state" in site.remote.heads():
        site.remote.drop("deploy-state")
    return site


def record(site: Site, number: int = 1, origin: str = "main") -> str:
    return site.verb("record", "--image", image(number), "--trained", origin)["release"]


def refused(site: Site, said: str, *words: str) -> None:
    with pytest.raises(UserError) as raised:
        site.verb("record", *(words or ("--image", image())))
    assert said in raised.value.message
    assert "deploy-state" not in site.remote.heads()


def test_a_release_names_all_that_it_was_made_of(site: Site) -> None:
    site.environ |= RUNNER
    # On a runner git is given the token for the server; the remote of this test is a folder and needs none.
    made = record(site, origin="pull-request")
    facts = site.facts()
    assert list(facts.releases) == [made]
    assert facts.unreadable == frozenset()
    found = facts.releases[made]
    commit = git(site.project, "rev-parse", "HEAD")
    contract = (site.project / "model" / "contract.json").read_bytes()
    assert found.artifacts.model_dump() == {
        "commit": commit,
        "build_key": build_key(Git(site.project).entries(commit)),
        "image": image(),
        "model": sha256(b"weights"),
        "data": sha256(b"rows"),
        "run": "5" * 32,
        "contract": sha256(contract),
    }
    assert (found.sequence, found.eval_hash, found.primary) == (2, sha256(b"evaluation"), "roc_auc")
    assert found.metrics == {"roc_auc": 0.97, "fit_seconds": 1.5}
    assert (found.trained, found.pull_request, found.model_name) == ("pull request", 1, "churn")
    assert found.run.model_dump() == {
        "id": "77",
        "attempt": 2,
        "url": "https://forge.invalid/octo/model/actions/runs/77",
        "workflow": ".github/workflows/deliver.yml@refs/heads/main",
    }
    assert "taken over from the pull request" in site.summary
    assert site.verb("find")["release"] == made


@pytest.mark.parametrize(
    ("origin", "kept", "said"),
    [("main", "main", "trained on main"), ("run-cache", "run cache", "from the run cache")],
)
def test_where_the_model_came_from_is_recorded(site: Site, origin: str, kept: str, said: str) -> None:
    made = record(site, origin=origin)
    assert site.facts().releases[made].trained == kept
    assert said in site.summary


def test_recording_twice_changes_nothing(site: Site) -> None:
    made = record(site)
    tip = site.remote.heads()["deploy-state"]
    assert record(site) == made
    assert site.remote.heads()["deploy-state"] == tip


def test_of_two_builds_of_the_same_files_the_first_counts(site: Site) -> None:
    first = record(site, 1)
    assert record(site, 2) == first
    assert list(site.facts().releases) == [first]
    assert "recorded first" in site.summary


@pytest.mark.parametrize(("environ", "named"), [({}, "none"), (RUNNER, "77-2")], ids=["laptop", "runner"])
def test_without_mlflow_the_release_names_the_workflow_run(
    site: Site, environ: dict[str, str], named: str
) -> None:
    site.environ = dict(environ)
    with_json("reports/run.json", mlflow_run_id=None)(site)
    made = record(site)
    assert site.facts().releases[made].artifacts.run == named


def test_a_primary_metric_that_was_not_measured_is_none(site: Site) -> None:
    write(site.project, {"reports/metrics.json": b'{"log_loss": 0.1}'})
    made = record(site)
    assert site.facts().releases[made].primary is None


def test_the_pull_request_is_not_needed(site: Site) -> None:
    site.forge.trouble("GET", "/commits/", troubles.READ_ONLY)
    made = record(site)
    assert site.facts().releases[made].pull_request is None


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("ghcr.io/octo/other@sha256:" + "1" * 64, "comes from ghcr.io/octo/other"),
        (f"{IMAGE}/x@sha256:" + "1" * 64, f"allows {IMAGE} alone"),
        (f"{IMAGE}:latest", "is no image by digest"),
        (f"{IMAGE}@sha256:" + "1" * 63, "is no image by digest"),
        (f"{IMAGE}:v1@sha256:" + "1" * 64, "is no image by digest"),
        ("", "is no image by digest"),
        ("--help@sha256:" + "1" * 64, "is no image by digest"),
    ],
)
def test_other_images_are_refused(site: Site, given: str, said: str) -> None:
    refused(site, said, f"--image={given}")


def test_what_is_not_on_main_becomes_no_release(site: Site) -> None:
    git(site.project, "commit", "--quiet", "--allow-empty", "-m", "mine")
    refused(site, "is no commit of main")


def test_a_pull_requests_head_becomes_no_release(site: Site) -> None:
    git(site.project, "fetch", "--quiet", "origin", "refs/pull/1/head")
    git(site.project, "checkout", "--quiet", "--detach", "FETCH_HEAD")
    refused(site, "is no commit of main")


def test_changed_files_become_no_release(site: Site) -> None:
    (site.project / "src/model.py").write_text("depth = 99\n")
    refused(site, "Tracked files differ")


def test_what_dvc_writes_is_no_change(site: Site) -> None:
    """A project whose dvc.lock is in git, which training has just written anew."""
    number = site.propose("lock", {"dvc.lock": "schema: '2.0'\n"})
    site.merge(number)
    try:
        (site.project / "dvc.lock").write_text("schema: '2.0'\nstages: {}\n")
        assert record(site)
        site.remote.drop("deploy-state")
        (site.project / "README.md").write_text("Other words.\n")
        refused(site, "Tracked files differ")
    finally:
        site.remote.git("update-ref", "refs/heads/main", "refs/heads/main~1")
        git(site.project, "fetch", "--quiet", "origin", "+refs/heads/main:refs/remotes/origin/main")


def with_json(name: str, **changes: object) -> Callable[[Site], None]:
    def change(site: Site) -> None:
        path = site.project / name
        value = json.loads(path.read_text()) if path.exists() else {}
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({**value, **changes}))

    return change


def without(name: str) -> Callable[[Site], None]:
    return lambda site: (site.project / name).unlink()


def built(site: Site) -> dict[str, str]:
    return {
        "revision": git(site.project, "rev-parse", "HEAD"),
        "model_hash": sha256(b"weights"),
        "data_hash": sha256(b"rows"),
    }


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (with_json("reports/run.json", model_hash="0" * 64), "key 'model_hash': not that of"),
        (with_json("reports/run.json", data_hash="0" * 64), "key 'data_hash': not that of"),
        (with_json("reports/run.json", data_hash=None), "key 'data_hash': not that of"),
        (with_json("reports/run.json", eval_hash="x"), "eval_hash"),
        (with_json("reports/run.json", mlflow_run_id="a b"), "run"),
        (with_json("model/contract.json", model_hash="0" * 64), "is not the model that"),
        (with_json("reports/metrics.json", roc_auc="high"), "must be a number"),
        (with_json("reports/image/image.json", revision="0" * 40), "built from something else"),
        (without("model/model.skops"), "there is no model"),
        (without("reports/metrics.json"), "does not exist"),
        (without("reports/run.json"), "not that of"),
    ],
)
def test_what_is_not_of_one_build_becomes_no_release(
    site: Site, change: Callable[[Site], None], said: str
) -> None:
    change(site)
    refused(site, said)


@pytest.mark.parametrize("name", ["revision", "model_hash", "data_hash"])
def test_the_image_that_was_built_has_to_hold_this_model(site: Site, name: str) -> None:
    path = site.project / "reports" / "image" / "image.json"
    write(site.project, {"reports/image/image.json": json.dumps({**built(site), name: "other"}).encode()})
    refused(site, f"key '{name}': the image was built from something else")
    path.write_text(json.dumps(built(site)))
    assert record(site)


def test_a_branch_that_takes_nothing_is_one_clear_error(site: Site) -> None:
    hook = site.remote.path / "hooks" / "update"
    hook.write_text("#!/bin/sh\necho GH013: no >&2\nexit 1\n", encoding="utf-8")
    hook.chmod(0o755)
    try:
        refused(site, "took no new record")
    finally:
        hook.unlink()


def test_eight_recorders_at_once_lose_nothing_and_one_wins_per_key(site: Site) -> None:
    """Four builds of each of two commits, by eight processes that start at the same time."""
    clones = []
    for number in range(8):
        clone = make_clone(site.remote.path, f"job{number}")
        git(clone, "checkout", "--quiet", "--detach", "origin/main" if number % 2 else "origin/main~1")
        write(clone, trained(git(clone, "rev-parse", "HEAD")))
        clones.append(clone)
    environ = {name: value for name, value in os.environ.items() if not name.startswith("GITHUB_")}
    environ |= {"PYTHONPATH": str(ROOT / "actions")}
    script = "import sys; from gitops_ml.cli import main; sys.stdin.readline(); sys.exit(main(sys.argv[1:]))"
    jobs = [
        subprocess.Popen(
            [
                sys.executable,
                "-c",
                script,
                "release",
                "record",
                "--project",
                str(clone),
                "--image",
                image(number),
            ],
            env={**environ, "GITHUB_OUTPUT": str(site.folder / f"output{number}")},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number, clone in enumerate(clones)
    ]
    said = [job.communicate("\n", timeout=300) for job in jobs]
    assert [job.returncode for job in jobs] == [0] * 8, said
    releases = site.facts().releases
    keys = {found.artifacts.build_key: name for name, found in releases.items()}
    assert (len(releases), len(keys)) == (2, 2)
    for number, clone in enumerate(clones):
        key = build_key(Git(clone).entries(git(clone, "rev-parse", "HEAD")))
        assert files_of(site.folder / f"output{number}")["release"] == keys[key]


def test_the_winner_is_looked_for_again_when_somebody_was_faster(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other release arrives between the look at the branch and the push."""
    append = StateBranch.append
    winner: list[str] = []

    def slow(branch: StateBranch, make: Make, message: str) -> Appended:
        def meanwhile(facts: Facts) -> Mapping[str, bytes]:
            files = make(facts)
            if not winner:
                monkeypatch.setattr(StateBranch, "append", append)
                outputs = (site.folder / "output").read_text()
                winner.append(record(site, 2))
                (site.folder / "output").write_text(outputs)
            return files

        return append(branch, meanwhile, message)

    monkeypatch.setattr(StateBranch, "append", slow)
    assert record(site, 1) == winner[0]
    assert list(site.facts().releases) == winner
