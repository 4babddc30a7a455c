"""Data that are kept by DVC in a bucket: what one clone sends, another one has, and nobody trains twice."""

from __future__ import annotations

import io
import shutil
import threading
import tomllib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest
import yaml
from gitops_ml.cli import build_parser
from gitops_ml.errors import UserError
from gitops_ml.runner import Runner
from gitops_ml.verbs import data

from tests.fakes.moto import make_bucket, moto_server
from tests.template.workbench import Workbench, set_up

URL = "s3://lake/dvc"
DATA = "data/breast_cancer.csv"
ACCOUNT = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1"}
# What is trained does not matter here.
DUMMY = {"estimator": "sklearn.dummy.DummyClassifier", "params": {}}
CANARY = "canaryinthecoalmine"
# Nobody answers there: the port of a service that no machine has any more.
NOWHERE = "http://127.0.0.1:9"
ADDRESSES = {
    "s3": URL,
    "gs": "gs://lake/dvc",
    "azure": "azure://lake/dvc",
    "ssh": "ssh://ann@data.example.org:2222/srv/dvc",
}


@pytest.fixture(scope="module")
def storage(environ: dict[str, str]) -> Iterator[str]:
    with moto_server(environ) as address:
        yield address


@pytest.fixture(scope="module")
def first(
    template: Path, environ: dict[str, str], storage: str, tmp_path_factory: pytest.TempPathFactory
) -> Workbench:
    """A project whose data were given to DVC, trained, and sent with its results."""
    cloud = {**environ, **ACCOUNT, "AWS_ENDPOINT_URL": storage, "AWS_EC2_METADATA_DISABLED": "true"}
    parent = tmp_path_factory.mktemp("first")
    bench = set_up(template, parent, cloud, "classification", dvc_remote="s3", dvc_remote_url=URL)
    bench.edit_params(model=DUMMY)
    bench.succeed("git", "rm", "--quiet", "--cached", DATA)
    bench.succeed(".venv/bin/dvc", "add", "--quiet", DATA)
    bench.succeed("git", "add", "--all")
    bench.succeed("git", "commit", "--quiet", "--message", "Give the data to DVC")
    bench.succeed("make", "train")
    make_bucket(storage, "lake")
    assert "1 file pushed" in bench.succeed("make", "push").printed
    # As the workflow does it, where one job trains and another one, which has only the files, may write to the remote.
    shutil.rmtree(bench.project / ".dvc" / "cache" / "runs")
    (bench.project / "dvc.lock").unlink()
    bench.succeed("make", "keep")
    bench.succeed("make", "push", "RUNS=1")
    return bench


@pytest.fixture
def second(first: Workbench, tmp_path: Path) -> Workbench:
    """A fresh clone, with the packages of the first."""
    folder = tmp_path / "second"
    first.succeed("git", "clone", "--quiet", str(first.project), str(folder))
    (folder / ".venv").symlink_to(first.project / ".venv")
    return Workbench(folder, first.environ)


def test_a_clone_pulls_the_data_and_trains_nothing(first: Workbench, second: Workbench) -> None:
    assert not (second.project / DATA).exists()
    printed = second.succeed("make", "pull").printed
    assert f"{URL}: 1 data files are here, and the results of 4 steps" in printed
    printed = second.succeed("make", "train").printed
    assert printed.count("is cached - skipping run") == 4
    assert "Running stage" not in printed
    assert second.bytes("model/model.skops", DATA) == first.bytes("model/model.skops", DATA)


def test_where_a_parameter_differs_the_steps_before_are_taken(second: Workbench) -> None:
    second.edit_params(model={"seed": 7})
    printed = second.succeed("make", "pull").printed
    assert "the results of 2 steps" in printed
    assert (second.project / "build" / "train.parquet").is_file()
    assert not (second.project / "model").exists()


def test_without_the_data_one_line_says_how_to_get_them(second: Workbench) -> None:
    assert second.fail("make", "train").errors == [
        f"error: {DATA} is not here, only {DATA}.dvc, which names it; run make pull"
    ]


def test_data_that_nobody_sent_are_named(first: Workbench, second: Workbench) -> None:
    data = second.project / "data" / "more.csv"
    data.write_text("a,b\n1,2\n", encoding="utf-8")
    second.succeed(".venv/bin/dvc", "add", "--quiet", str(data))
    data.unlink()
    shutil.rmtree(second.project / ".dvc" / "cache")
    shutil.rmtree(second.project / ".dvc" / "tmp")
    assert second.fail("make", "pull").errors == [
        f"error: {URL} does not hold what data/more.csv.dvc names; whoever added it runs make push"
    ]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"AWS_ENDPOINT_URL": NOWHERE}, "Could not connect to the endpoint URL"),
        ({"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, "Unable to locate credentials"),
    ],
    ids=["unreachable", "no rights"],
)
def test_a_remote_that_does_not_answer_is_one_line_and_stops_no_training(
    first: Workbench, change: dict[str, str], said: str
) -> None:
    away = Workbench(first.project, {**first.environ, **change})
    outcome = away.fail("make", "pull")
    assert len(outcome.errors) == 1
    assert said in outcome.errors[0]
    assert outcome.errors[0].endswith(f"({URL})")
    assert "Traceback" not in outcome.printed
    assert "up to date" in away.succeed("make", "train").printed


def test_a_bucket_that_is_not_there(first: Workbench) -> None:
    with first.changed(".dvc/config", URL, "s3://pond/dvc"):
        outcome = first.fail("make", "push")
    assert len(outcome.errors) == 1
    assert "bucket does not exist" in outcome.errors[0]
    assert outcome.errors[0].endswith("(s3://pond/dvc)")


def test_a_step_that_fails_costs_no_earlier_result(first: Workbench) -> None:
    names = ("build/table.parquet", "model/model.skops", "reports/metrics.json", "reports/run.json")
    before = first.bytes(*names)
    with first.changed("params.yaml", "target: diagnosis", "target: nowhere"):
        assert "nowhere" in first.fail("make", "train").errors[0]
    assert first.bytes(*names) == before
    assert "Running stage" not in first.succeed("make", "train").printed


class Listener(BaseHTTPRequestHandler):
    """Somebody else's S3, who writes down what is sent there."""

    heard: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.heard.append(f"{self.path} {self.headers}")
        self.send_response(403)
        self.end_headers()

    def do_HEAD(self) -> None:
        self.do_GET()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def elsewhere() -> Iterator[tuple[str, list[str]]]:
    """The address of a listener, and what it hears."""
    Listener.heard.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Listener) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", Listener.heard
        server.shutdown()


def run_verb(bench: Workbench, tmp_path: Path, **options: str) -> tuple[int, str]:
    """`gitops-ml data` in the checkout of main, with the right to the remote; its code and its error."""
    given = {
        "GITOPS_ML_DVC_ACCOUNT": CANARY,
        "GITOPS_ML_DVC_SECRET": CANARY,
        "GITOPS_ML_DVC_REGION": "us-east-1",
        "GITOPS_ML_DVC_ENDPOINT": bench.environ["AWS_ENDPOINT_URL"],
    }
    plain = {name: value for name, value in bench.environ.items() if not name.startswith("AWS_")}
    words = [f"--{name}={value}" for name, value in options.items()]
    parser = build_parser("data")
    stderr = io.StringIO()
    runner = Runner({**plain, **given, "RUNNER_TEMP": str(tmp_path)}, stderr)
    arguments = parser.parse_args(["data", f"--working-directory={bench.project}", *words])
    try:
        return data.run(arguments, runner), stderr.getvalue()
    except UserError as error:
        return 2, error.message


def test_a_job_fetches_what_a_pull_request_names(first: Workbench, second: Workbench, tmp_path: Path) -> None:
    fetched = tmp_path / "fetched"
    pointers = f"{second.project}\n{first.project}"
    assert run_verb(first, tmp_path, pointers=pointers, into=str(fetched)) == (0, "")
    assert len([path for path in fetched.rglob("*") if path.is_file()]) == 1
    shutil.copytree(fetched, second.project / ".dvc" / "cache")
    second.succeed("bash", "-c", "PATH=.venv/bin:$PATH scripts/data check")
    assert second.bytes(DATA) == first.bytes(DATA)


HOSTILE_CONFIG = """
[core]
    remote = storage
['remote "storage"']
    url = s3://lake/dvc
    endpointurl = {address}
"""
HOSTILE_POINTER = """
deps:
- path: remote://storage/rows.csv
  etag: "1"
outs:
- md5: {md5}
  hash: md5
  path: rows.csv
  remote: storage
"""


def test_a_pull_request_cannot_choose_who_gets_the_credentials(
    first: Workbench, second: Workbench, elsewhere: tuple[str, list[str]], tmp_path: Path
) -> None:
    address, heard = elsewhere
    (second.project / ".dvc" / "config").write_text(HOSTILE_CONFIG.format(address=address), encoding="utf-8")
    (second.project / ".dvc" / "config.local").write_text(
        HOSTILE_CONFIG.format(address=address), encoding="utf-8"
    )
    md5 = yaml.safe_load((first.project / f"{DATA}.dvc").read_text(encoding="utf-8"))["outs"][0]["md5"]
    (second.project / "data" / "rows.csv.dvc").write_text(HOSTILE_POINTER.format(md5=md5), encoding="utf-8")
    code, _ = run_verb(first, tmp_path, pointers=str(second.project), into=str(tmp_path / "fetched"))
    assert code == 0
    assert heard == []
    # The same files do reach the stranger where DVC itself believes them.
    canary = {"AWS_ACCESS_KEY_ID": CANARY, "AWS_SECRET_ACCESS_KEY": CANARY}
    environ = {name: value for name, value in second.environ.items() if name != "AWS_ENDPOINT_URL"} | canary
    Workbench(second.project, environ).fail(".venv/bin/dvc", "fetch", f"{DATA}.dvc")
    assert any(CANARY in request for request in heard)


def test_what_the_remote_lacks_is_named(first: Workbench, second: Workbench, tmp_path: Path) -> None:
    pointer = second.project / f"{DATA}.dvc"
    pointer.write_text("outs:\n- md5: " + "a" * 32 + "\n  hash: md5\n  path: x\n", encoding="utf-8")
    code, said = run_verb(first, tmp_path, pointers=str(second.project), into=str(tmp_path / "fetched"))
    assert code == 2
    assert "does not hold what is named in" in said
    assert "breast_cancer.csv.dvc: file 1" in said


def test_main_alone_names_the_remote(first: Workbench, second: Workbench, tmp_path: Path) -> None:
    with first.changed(".dvc/config", "    remote = storage\n", ""):
        code, said = run_verb(first, tmp_path, pointers=str(second.project), into=str(tmp_path / "fetched"))
    assert (code, said) == (2, ".dvc/config of main names no remote.")


def test_a_command_has_the_right_and_not_what_it_was_made_of(first: Workbench, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    code, _ = run_verb(first, tmp_path, command=f"env >{seen}; dvc push {DATA}.dvc")
    assert code == 0
    variables = dict(
        line.split("=", 1) for line in seen.read_text(encoding="utf-8").splitlines() if "=" in line
    )
    assert variables["AWS_SECRET_ACCESS_KEY"] == CANARY
    assert not [name for name in variables if name.startswith(("GITOPS_ML_DVC_", "ACTIONS_ID_TOKEN_"))]
    code, said = run_verb(first, tmp_path, command="exit 3")
    assert (code, said) == (2, "The command ended with exit code 3: exit 3")


@pytest.mark.parametrize("kind", ADDRESSES)
def test_each_remote_is_one_that_dvc_knows(rendered, first: Workbench, kind: str) -> None:
    project, _ = rendered({"dvc_remote": kind, "dvc_remote_url": ADDRESSES[kind]})
    dvc = first.project / ".venv" / "bin" / "dvc"
    printed = Workbench(project, first.environ).succeed(str(dvc), "remote", "list").printed
    assert printed.split() == ["storage", ADDRESSES[kind], "(default)"]
    metadata = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))
    assert metadata["dependency-groups"]["dvc"] == [f"dvc[{kind}]>=3.64,<4"]
    stages = yaml.safe_load((project / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    assert persisted(stages) == {False}, "DVC keeps no run of a step that persists a file"


def test_without_a_remote_nothing_of_it_is_there(rendered, first: Workbench) -> None:
    project, _ = rendered()
    bench = Workbench(project, first.environ)
    dvc = str(first.project / ".venv" / "bin" / "dvc")
    assert bench.succeed(dvc, "remote", "list").printed.strip() in ("", "No remotes set.")
    metadata = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))
    assert metadata["dependency-groups"]["dvc"] == ["dvc>=3.64,<4"]
    assert persisted(yaml.safe_load((project / "dvc.yaml").read_text(encoding="utf-8"))["stages"]) == {True}
    (project / ".venv").symlink_to(first.project / ".venv")
    for verb in ("pull", "push"):
        (error,) = bench.fail("make", verb).errors
        assert "no remote of DVC is named in .dvc/config" in error


def persisted(stages: dict) -> set[bool]:
    """What the steps of `dvc.yaml` say of `persist`."""
    files = [
        file for stage in stages.values() for kind in ("outs", "metrics") for file in stage.get(kind, [])
    ]
    return {options["persist"] for file in files for options in file.values()}
