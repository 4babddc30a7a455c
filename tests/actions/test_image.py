"""What goes into an image and how the engine is called: the parts of the image verb that need no engine."""

from __future__ import annotations

import argparse
import datetime as dt
import hashlib
import json
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from gitops_ml import cli, packing, provenance
from gitops_ml.engine import Build, Docker, find
from gitops_ml.errors import UserError
from gitops_ml.golden import Contract, plain, read_contract, read_golden
from gitops_ml.runner import Runner
from gitops_ml.verbs import image as verb

from tests.fakes.engine import Behaviour, FakeEngine

MODEL = b"a model"
MODEL_HASH = hashlib.sha256(MODEL).hexdigest()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder as training leaves it; no git repository."""
    root = tmp_path / "project"
    for folder in ("model", "deploy"):
        (root / folder).mkdir(parents=True)
    (root / "model/model.skops").write_bytes(MODEL)
    contract = {"model_hash": MODEL_HASH, "data_hash": "d" * 64}
    (root / "model/contract.json").write_text(json.dumps(contract), encoding="utf-8")
    (root / "deploy/Dockerfile").touch()
    (root / "uv.lock").touch()
    return root


def git(project: Path, *words: str) -> str:
    identity = ["-c", "user.name=Ada", "-c", "user.email=ada@localhost"]
    done = subprocess.run(["git", *identity, *words], cwd=project, capture_output=True, text=True, check=True)
    return done.stdout.strip()


class TestProvenance:
    def test_a_commit_and_its_time(self, project: Path) -> None:
        git(project, "init", "--quiet")
        git(project, "add", "uv.lock")
        git(project, "commit", "--quiet", "--message", "one")
        found = provenance.of(project, {})
        assert found.revision == git(project, "rev-parse", "HEAD")
        assert found.epoch == int(git(project, "log", "-1", "--format=%ct"))
        assert (found.model_hash, found.data_hash) == (MODEL_HASH, "d" * 64)
        (project / "uv.lock").write_text("changed", encoding="utf-8")
        assert provenance.of(project, {}).revision == f"{found.revision}-dirty"

    def test_without_a_repository_it_says_unknown(self, project: Path) -> None:
        assert provenance.of(project, {}).revision == "unknown"

    def test_a_model_of_another_training_is_refused(self, project: Path) -> None:
        (project / "model/model.skops").write_bytes(b"another model")
        with pytest.raises(UserError, match=r"not the model that .*contract\.json was written for"):
            provenance.of(project, {})

    def test_a_missing_model_says_what_to_run(self, project: Path) -> None:
        (project / "model/model.skops").unlink()
        with pytest.raises(UserError, match="does not exist") as refused:
            provenance.of(project, {})
        assert "make train" in refused.value.fix

    @pytest.mark.parametrize(
        ("remote", "shown"),
        [
            ("https://github.com/owner/model.git", "https://github.com/owner/model"),
            ("https://user:token@github.com/owner/model", "https://github.com/owner/model"),
            ("https://forge.example:8443/owner/model.git", "https://forge.example:8443/owner/model"),
            ("git@github.com:owner/model.git", "https://github.com/owner/model"),
            ("ssh://git@forge.example:2222/owner/model.git", "https://forge.example/owner/model"),
            ("/srv/git/model.git", ""),
            ("file:///srv/git/model.git", ""),
            ("", ""),
        ],
    )
    def test_a_remote_is_shown_without_credentials(self, remote: str, shown: str) -> None:
        assert provenance.public_url(remote) == shown

    def test_on_a_runner_the_runner_knows_the_repository(self, project: Path) -> None:
        environ = {"GITHUB_SERVER_URL": "https://github.com", "GITHUB_REPOSITORY": "owner/model"}
        assert provenance.of(project, environ).source == "https://github.com/owner/model"


class TestPacking:
    def build(self, project: Path, environ: dict[str, str], **order: Any) -> FakeEngine:
        engine = FakeEngine(Behaviour({}))
        wanted = packing.Order(project, project / "deploy/Dockerfile", "model:dev", **order)
        built = packing.build(engine, wanted, provenance.of(project, {}), environ)
        assert json.loads(built.to_json())["model_hash"] == MODEL_HASH
        return engine

    def test_arguments_name_what_is_inside(self, project: Path) -> None:
        (build,) = self.build(
            project, {"HTTPS_PROXY": "http://proxy:3128"}, base="python:3", release="v1"
        ).builds
        assert build.arguments == {
            "SOURCE": "",
            "REVISION": "unknown",
            "MODEL_HASH": MODEL_HASH,
            "DATA_HASH": "d" * 64,
            "SOURCE_DATE_EPOCH": "0",
            "BASE": "python:3",
            "RELEASE": "v1",
            "HTTPS_PROXY": "http://proxy:3128",
        }

    def test_the_index_and_its_password_are_secrets_only(self, project: Path, tmp_path: Path) -> None:
        index = "https://me:it's $(secret)@index.example/simple"
        authority = tmp_path / "ca.pem"
        authority.write_text("certificates", encoding="utf-8")
        engine = self.build(project, {"UV_DEFAULT_INDEX": index, "HOME": "/root"}, certificates=authority)
        assert "secret" not in str(engine.builds[0].arguments)
        assert engine.secrets["ca"] == "certificates"
        name, _, value = engine.secrets["index"].strip().partition("=")
        assert (name, shlex.split(value)) == ("UV_DEFAULT_INDEX", [index])
        assert not engine.builds[0].secrets["index"].exists(), "the secret must not outlive the build"

    def test_without_settings_there_is_no_secret(self, project: Path) -> None:
        assert self.build(project, {}).secrets == {}

    @pytest.mark.parametrize("name", ["uv.lock", "deploy/Dockerfile"])
    def test_a_missing_file_is_named(self, project: Path, name: str) -> None:
        (project / name).unlink()
        with pytest.raises(UserError, match=f"{name} does not exist"):
            self.build(project, {})

    def test_missing_certificates_are_named(self, project: Path, tmp_path: Path) -> None:
        with pytest.raises(UserError, match=r"none\.pem does not exist"):
            self.build(project, {}, certificates=tmp_path / "none.pem")

    def test_a_lock_that_does_not_fit_gives_no_list(self, project: Path, tmp_path: Path) -> None:
        environ = {"PATH": "/usr/bin:/bin"}
        with pytest.raises(UserError, match="uv"):
            packing.write_sbom(project, tmp_path / "sbom.json", environ)


CONTRACT = Contract("classification", MODEL_HASH, "d" * 64, ("no", "yes"), "yes", {"x": False, "when": True})


class TestGolden:
    def write(self, folder: Path, rows: int = 10, **columns: list[Any]) -> tuple[Path, Path]:
        day = dt.datetime(2025, 12, 31, 23, 59)
        table = {
            "__id__": [f"r{n}" for n in reversed(range(rows))],
            "x": [float(n) for n in reversed(range(rows))],
            "when": [None, *[day] * (rows - 1)],
            "__target__": ["no"] * rows,
        }
        said = {
            "id": [f"r{n}" for n in range(rows)],
            "y_true": ["no"] * rows,
            "y_pred": ["yes"] * rows,
            "y_score": [n / rows for n in range(rows)],
        }
        for name, values in columns.items():
            (said if name in said or name.startswith("y_") else table)[name] = values
        pq.write_table(pa.table(table), folder / "test.parquet")
        pq.write_table(pa.table(said), folder / "predictions.parquet")
        return folder / "test.parquet", folder / "predictions.parquet"

    def test_rows_meet_their_predictions_by_id(self, tmp_path: Path) -> None:
        found = read_golden(*self.write(tmp_path), CONTRACT, 100)
        assert found.left_out == 0
        assert [row.id for row in found.rows] == [f"r{n}" for n in range(10)]
        assert [row.record["x"] for row in found.rows] == [float(n) for n in range(10)]
        assert found.rows[3].scores == {"yes": 0.3}
        assert found.rows[9].record["when"] is None
        assert found.rows[0].record["when"] == "2025-12-31T23:59:00"

    def test_few_rows_are_spread_over_all(self, tmp_path: Path) -> None:
        found = read_golden(*self.write(tmp_path), CONTRACT, 3)
        assert [row.id for row in found.rows] == ["r0", "r3", "r6"]

    def test_rows_that_the_contract_refuses_are_counted(self, tmp_path: Path) -> None:
        values = [float("nan"), None, *map(float, range(8))]
        found = read_golden(*self.write(tmp_path, x=values), CONTRACT, 100)
        assert (len(found.rows), found.left_out) == (8, 2)

    def test_several_classes_have_a_score_each(self, tmp_path: Path) -> None:
        shares = {"y_score_no": [0.25] * 10, "y_score_yes": [0.75] * 10}
        several = Contract("classification", "", "", ("no", "yes"), None, {"x": False})
        found = read_golden(*self.write(tmp_path, **shares), several, 1)
        assert found.rows[0].scores == {"no": 0.25, "yes": 0.75}

    def test_a_number_is_its_own_prediction(self, tmp_path: Path) -> None:
        regression = Contract("regression", "", "", (), None, {"x": False})
        found = read_golden(*self.write(tmp_path, y_pred=[1.5] * 10), regression, 1)
        assert found.rows[0].predicted == 1.5

    def test_files_of_two_trainings_are_refused(self, tmp_path: Path) -> None:
        with pytest.raises(UserError, match="'stranger' is not in"):
            read_golden(*self.write(tmp_path, id=["stranger"] * 10), CONTRACT, 100)

    def test_no_usable_row_is_an_error(self, tmp_path: Path) -> None:
        files = self.write(tmp_path, x=[float("nan")] * 10)
        with pytest.raises(UserError, match="no row"):
            read_golden(*files, CONTRACT, 100)

    def test_a_missing_column_is_named(self, tmp_path: Path) -> None:
        wide = Contract("classification", "", "", ("no", "yes"), "yes", {"size": False})
        with pytest.raises(UserError, match="no column 'size'"):
            read_golden(*self.write(tmp_path), wide, 100)

    def test_what_is_no_parquet_file_is_named(self, tmp_path: Path) -> None:
        rows, predictions = self.write(tmp_path)
        predictions.write_bytes(b"PAR1")
        with pytest.raises(UserError, match="not a readable parquet file"):
            read_golden(rows, predictions, CONTRACT, 100)

    def test_what_is_no_contract_is_named(self, tmp_path: Path) -> None:
        path = tmp_path / "contract.json"
        path.write_text('{"task": "classification"}', encoding="utf-8")
        with pytest.raises(UserError, match="is not a contract"):
            read_contract(path)

    def test_values_as_json_has_them(self) -> None:
        values = [float("nan"), 1, True, "a", dt.date(2025, 1, 2)]
        assert [plain(value) for value in values] == [None, 1, True, "a", "2025-01-02"]


def program(folder: Path, script: str) -> str:
    """A `docker` that logs its arguments, one a line, and does what `script` says."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "docker"
    log = shlex.quote(str(folder / "log"))
    path.write_text(
        f'#!/bin/sh\nprintf \'%s\\n\' "$DOCKER_BUILDKIT" "$@" >>{log}\n{script}\n', encoding="utf-8"
    )
    path.chmod(0o755)
    return str(path)


GOOD = 'case "$*" in "build --help") echo "      --secret stringArray" ;; version*) echo 28 ;; esac'
NO_BUILDX = 'echo "ERROR: BuildKit is enabled but the buildx component is missing or broken." >&2; exit 1'
NO_ENGINE = (
    'case "$*" in "build --help") echo "  --secret" ;; *) echo "Cannot connect to it" >&2; exit 1 ;; esac'
)


class TestEngine:
    def test_the_first_command_that_can_build_is_taken(self, tmp_path: Path) -> None:
        program(tmp_path / "one", NO_BUILDX)
        good = program(tmp_path / "two", GOOD)
        found = find({"PATH": f"relative:{tmp_path / 'none'}:{tmp_path / 'one'}:{tmp_path / 'two'}"})
        assert found.command == good

    def test_a_named_command_is_not_replaced(self, tmp_path: Path) -> None:
        program(tmp_path / "good", GOOD)
        environ = {"PATH": str(tmp_path / "good"), "DOCKER": program(tmp_path / "bad", NO_BUILDX)}
        with pytest.raises(UserError, match=r"bad/docker: ERROR: .*buildx component is missing"):
            find(environ)

    def test_no_command_says_what_to_install(self, tmp_path: Path) -> None:
        with pytest.raises(UserError, match="No docker command") as refused:
            find({"PATH": str(tmp_path)})
        assert "buildx" in refused.value.fix

    def test_a_silent_engine_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(UserError, match="does not answer: Cannot connect to it"):
            find({"DOCKER": program(tmp_path, NO_ENGINE)})

    def test_a_build_is_one_argument_list(self, tmp_path: Path) -> None:
        docker = Docker(program(tmp_path, "exit 0"), {})
        docker.build(
            Build(Path("here"), Path("there"), "a:b", {"X": "1; rm -rf /"}, {"ca": Path("ca.pem")}, "host")
        )
        said = (tmp_path / "log").read_text(encoding="utf-8").splitlines()
        assert said[:2] == ["1", "build"], "BuildKit has to be asked for"
        assert "X=1; rm -rf /" in said
        assert "id=ca,src=ca.pem" in said
        assert said[-3:] == ["--network", "host", "here"]

    def test_a_failed_build_is_one_line(self, tmp_path: Path) -> None:
        docker = Docker(program(tmp_path, "exit 17"), {})
        with pytest.raises(UserError, match="exit code 17"):
            docker.build(Build(Path(), Path(), "a:b", {}))

    def test_a_refusal_is_its_last_line(self, tmp_path: Path) -> None:
        docker = Docker(program(tmp_path, "echo one >&2; echo 'denied: no access' >&2; exit 1"), {})
        with pytest.raises(UserError, match="tag failed: denied: no access"):
            docker.push("a:b", "registry/a:b")


class TestVerb:
    def options(self, *words: str) -> argparse.Namespace:
        return cli.build_parser("image").parse_args(["image", *words])

    @pytest.mark.parametrize("name", ["", "--privileged", "Upper:dev", "a b", "a;b", "a\nb"])
    def test_what_is_no_image_name_is_refused(self, name: str) -> None:
        with pytest.raises(UserError, match="not the name of an image"):
            verb.run(self.options("push", "--tag=model:dev", f"--to={name or ' '}"), Runner({}))

    def test_what_is_no_network_is_refused(self) -> None:
        options = self.options("smoke", "--tag=model:dev", "--network=--privileged")
        with pytest.raises(UserError, match="not the name of a network"):
            verb.run(options, Runner({}))

    def test_a_push_says_the_digest_of_its_own_repository(self, tmp_path: Path) -> None:
        digest = "sha256:" + "a" * 64
        found = {
            "Id": "sha256:1",
            "Size": 1,
            "RepoDigests": [f"other/model@{digest}", f"127.0.0.1:5000/model@{digest}"],
        }
        script = f'case "$1" in image) echo {shlex.quote(json.dumps([found]))} ;; esac'
        output = tmp_path / "output"
        runner = Runner({"GITHUB_OUTPUT": str(output)})
        options = self.options("push", "--tag=model:dev", "--to=127.0.0.1:5000/model:v1")
        assert verb.run_push(options, runner, Docker(program(tmp_path / "bin", script), {})) == 0
        said = output.read_text(encoding="utf-8")
        assert f"127.0.0.1:5000/model@{digest}" in said
        assert "other/model" not in said
