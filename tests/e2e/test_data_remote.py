"""Data that DVC keeps in a bucket, through the workflows: one job fetches them for all, and main alone stores runs."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.e2e import canary
from tests.e2e.act import TOKEN, Act, machine_environment
from tests.e2e.canary import Canary
from tests.e2e.conftest import generate
from tests.e2e.delivery import Delivery
from tests.e2e.loop import IDENTITY
from tests.e2e.test_pull_request import merge_base
from tests.fakes.contract import Contract
from tests.fakes.forge import Forge
from tests.fakes.moto import make_bucket, moto_server
from tests.fakes.state import State
from tests.tools.required import need

URL = "s3://lake/dvc"
DATA = "data/breast_cancer.csv"
REGION = "us-east-1"
# The data of a pull request and of its merge base come from the bucket, and the rest is as everywhere.
WITH_DATA = ("fetch", "data", "train", "base", "model-tests", "metric-diff", "gate")
TO_STORE = ("find", "data", "model", "store")


@dataclass
class Lake(Delivery):
    """A repository whose data are in a bucket; `environ` has the right to it, as a person's machine has."""

    environ: Mapping[str, str] = field(default_factory=dict)
    secret: Canary = field(default_factory=lambda: Canary("DVC_SECRET"))

    def type(self, *words: str, folder: Path | None = None) -> str:
        """What a person types, here or in another clone; returns what is printed."""
        place = folder or self.checkout
        done = subprocess.run(words, cwd=place, env=dict(self.environ), capture_output=True, text=True)
        assert done.returncode == 0, f"{words}: {done.stdout}\n{done.stderr}"
        return done.stdout

    def leaks(self) -> list[str]:
        logs = ((str(path), path.read_bytes()) for path in self.act.folder.rglob("log.txt"))
        places = {"logs": logs, "artifacts and caches": canary.files(self.act.store)}
        return canary.leaks((self.secret,), places)


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lake]:
    """A project with its data in a bucket and in no commit."""
    description = need("openapi")
    root = tmp_path_factory.mktemp("lake")
    project, origin, environment = generate(root, {"dvc_remote": "s3", "dvc_remote_url": URL})
    environ = {**machine_environment(), **IDENTITY, "HOME": str(root), "GIT_CONFIG_GLOBAL": "/dev/null"}
    with (
        moto_server(environ) as storage,
        Forge(contract=Contract.load(description), state=State(git=origin)) as forge,
    ):
        make_bucket(storage, "lake")
        environ |= {"AWS_ACCESS_KEY_ID": "ada", "AWS_SECRET_ACCESS_KEY": "ada", "AWS_REGION": REGION}
        environ["AWS_ENDPOINT_URL"] = storage
        variables = {"DVC_ACCOUNT": "robot", "DVC_REGION": REGION, "DVC_ENDPOINT": storage}
        secret = Canary("DVC_SECRET")
        act = Act(
            root / "act",
            root / "store",
            origin.path,
            environment,
            # They install DVC alone, in one of the two workflows, and would take the others' packages away.
            alone=("fetch", "data", "store"),
            variables=variables,
            secrets={"GITHUB_TOKEN": TOKEN, secret.name: secret.value},
        )
        made = Lake(project, origin.path, act, forge, "", environ=environ, secret=secret)
        made.git("remote", "add", "origin", str(origin.path))
        (project / ".venv").symlink_to(environment)
        made.git("rm", "--quiet", "--cached", DATA)
        made.type(".venv/bin/dvc", "add", "--quiet", DATA)
        made.type("make", "push")
        (project / ".venv").unlink()
        made.main = made.commit("Give the data to DVC")
        origin.merge(project, made.main)
        yield made


def test_a_pull_request_is_judged_by_data_that_no_commit_holds(lake: Lake) -> None:
    lake.start(lake.main)
    assert not (lake.checkout / DATA).exists()
    lake.edit("params.yaml", "C: 0.5", "C: 0.4")
    lake.commit("Regularise more")
    done, _ = lake.train(lake.propose("stronger", "Regularise more"), image=False)
    assert {job: done.results[job] for job in WITH_DATA} == dict.fromkeys(WITH_DATA, "success"), done.log[
        -6000:
    ]
    report = done.report()
    assert report["model"] == "trained"
    assert merge_base(report)["available"], "the merge base has its data too"
    assert lake.leaks() == []


def test_data_that_nobody_sent_stop_a_pull_request_with_their_name(lake: Lake) -> None:
    lake.start(lake.main)
    pointer = lake.checkout / f"{DATA}.dvc"
    text = pointer.read_text(encoding="utf-8")
    known = text.partition("md5: ")[2][:32]
    pointer.write_text(text.replace(known, "a" * 32), encoding="utf-8")
    lake.commit("Train on new customers")
    done, run = lake.train(lake.propose("forgotten", "Train on new customers"), image=False)
    assert (done.results["fetch"], done.results["gate"]) == ("failure", "failure")
    assert f"{DATA}.dvc: file 1" in done.log
    assert not {"data", "train", "base"} & {job for job, said in done.results.items() if said != "skipped"}
    assert (done.report()["verdict"], run.conclusion) == ("fail", "failure")
    assert "could not get the data" in json.dumps(done.report())


def test_main_stores_what_it_trained_and_takes_it_again(lake: Lake, tmp_path: Path) -> None:
    lake.start(lake.main)
    lake.edit("params.yaml", "C: 0.5", "C: 0.6")
    lake.commit("Regularise less")
    lake.merge_new("Regularise less")
    first = lake.deliver(before="release")
    assert {job: first.results[job] for job in TO_STORE} == dict.fromkeys(TO_STORE, "success"), first.log[
        -6000:
    ]
    # As people take it, in a clone that holds neither data nor results.
    clone = tmp_path / "clone"
    lake.type("git", "clone", "--quiet", str(lake.origin), str(clone))
    lake.type("make", "setup", folder=clone)
    assert "the results of 4 steps" in lake.type("make", "pull", folder=clone)
    model = (clone / "model" / "model.skops").read_bytes()
    assert model == (first.artifact("model") / "model" / "model.skops").read_bytes()

    # A run that was lost before it recorded a release is made up for without training.
    second = lake.deliver(before="release")
    assert (second.results["model"], "store" in second.results) == ("success", False), second.log[-6000:]
    assert (second.artifact("model") / "model" / "model.skops").read_bytes() == model
    assert lake.leaks() == []
