"""Signing a model: who may, what a signature covers, and the two steps of `build-image` as a runner takes them."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from gitops_ml import image_record
from gitops_ml.errors import UserError
from gitops_ml.signer import Identities, Wish, choose, find

from tests.actions.launching import ACTIONS, PATH, files_of
from tests.tools.required import need

GITHUB = "https://token.actions.githubusercontent.com"
WORKFLOW = "octo/churn/.github/workflows/deliver.yml"
MODEL = b"a model"
MODEL_HASH = hashlib.sha256(MODEL).hexdigest()
RECORD = {"model_hash": MODEL_HASH, "size_bytes": 500_000_000}


class TestChoice:
    @pytest.mark.parametrize(
        ("wish", "key", "token", "public", "means"),
        [
            ("auto", True, True, True, "key"),
            ("auto", False, True, True, "keyless"),
            ("auto", False, True, False, "none"),
            ("auto", False, False, True, "none"),
            ("required", True, False, False, "key"),
            ("required", False, True, False, "keyless"),
            ("never", True, True, True, "none"),
        ],
    )
    def test_who_signs(self, wish: Wish, key: bool, token: bool, public: bool, means: str) -> None:
        choice = choose(wish, Identities(key, token, public))
        assert choice.means == means
        assert bool(choice.why) == (means == "none")

    def test_required_without_an_identity_is_an_error_that_says_what_to_do(self) -> None:
        with pytest.raises(UserError, match="no identity") as refused:
            choose("required", Identities(False, False, True))
        assert "id-token: write" in refused.value.fix
        assert "signing-key" in refused.value.fix

    def test_a_private_repository_is_not_named_in_a_public_log_unasked(self) -> None:
        assert "public log" in choose("auto", Identities(False, True, False)).why

    @pytest.mark.parametrize(
        ("event", "public"),
        [
            ('{"repository": {"private": false}}', True),
            ('{"repository": {"private": true}}', False),
            ('{"repository": {"private": "false"}}', False),
            ('{"schedule": "1 * * * *"}', False),
            ("[]", False),
            ("{", False),
            (None, False),
        ],
    )
    def test_only_what_the_event_calls_public_is_public(
        self, tmp_path: Path, event: str | None, public: bool
    ) -> None:
        path = tmp_path / "event.json"
        if event is not None:
            path.write_text(event, encoding="utf-8")
        assert find({"GITHUB_EVENT_PATH": str(path)}).public is public
        assert find({}).public is False

    def test_an_empty_secret_is_no_key(self) -> None:
        assert not find({"SIGNING_KEY": "\n"}).key


@dataclass(frozen=True)
class Step:
    """How one step of the action ended."""

    code: int
    printed: str
    outputs: dict[str, str]
    summary: str

    @property
    def errors(self) -> list[str]:
        return [line for line in self.printed.splitlines() if line.startswith("::error::")]


@dataclass(frozen=True)
class Job:
    """A project after its image was built, and the runner's folder, which all tests share to install once."""

    project: Path
    temp: Path
    environ: dict[str, str] = field(default_factory=dict)

    def step(self, identity: str, key: str = "", sign: str = "auto") -> Step:
        """The script of the step `identity` of build-image's action.yml, with what its inputs would give."""
        action = yaml.safe_load((ACTIONS / "build-image/action.yml").read_text(encoding="utf-8"))
        (found,) = (step for step in action["runs"]["steps"] if step.get("id") == identity)
        given = {"inputs.sign": sign, "inputs.signing-key": key, "inputs.working-directory": "."}
        wanted = {name: given[value.split()[1]] for name, value in found["env"].items()}
        files = {name: self.temp / name.lower() for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
        for path in files.values():
            path.write_text("", encoding="utf-8")
        runner = {name: str(path) for name, path in files.items()}
        runner |= {"GITHUB_ACTION_PATH": str(ACTIONS / "build-image"), "GITHUB_ACTIONS": "true"}
        done = self.run("bash", "-eo", "pipefail", "-c", found["run"], **runner, **wanted)
        summary = files["GITHUB_STEP_SUMMARY"].read_text(encoding="utf-8")
        return Step(done.returncode, done.stdout, files_of(files["GITHUB_OUTPUT"]), summary)

    def run(self, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
        dropped = ("GITHUB_", "PYTHON", "ACTIONS_", "SIGNING_")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
        own = {"RUNNER_TEMP": str(self.temp), "TMPDIR": str(self.temp / "scratch"), "PATH": PATH}
        return subprocess.run(
            words,
            cwd=self.project,
            env={**kept, **own, **self.environ, **environ},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=600,
        )

    def verify(self, public: Path) -> subprocess.CompletedProcess[str]:
        return self.run(str(ACTIONS / "launch"), "sign", "sign", "verify", "--key", str(public))

    @property
    def signature(self) -> Path:
        return self.project / "reports/image/model.sig"

    @property
    def record(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.project / "reports/image/image.json").read_text("utf-8"))
        return found


@dataclass(frozen=True)
class Keys:
    """Files of keys by openssl, made once: `private` and its `public`, and `other`, of somebody else."""

    folder: Path

    def make(self, name: str, *words: str) -> Path:
        path = self.folder / name
        subprocess.run([str(need("openssl")), *words, "-out", str(path)], check=True, capture_output=True)
        return path

    def curve(self, name: str, curve: str = "prime256v1") -> Path:
        return self.make(name, "ecparam", "-name", curve, "-genkey", "-noout")

    def public(self, private: Path) -> Path:
        return self.make(f"public-{private.name}", "ec", "-in", str(private), "-pubout")


@pytest.fixture(scope="module")
def temp(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runner")
    (folder / "scratch").mkdir()
    return folder


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return Keys(tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="module")
def private(keys: Keys) -> Path:
    return keys.curve("private.pem")


@pytest.fixture
def job(tmp_path: Path, temp: Path) -> Job:
    project = tmp_path / "project"
    files = {
        "model/model.skops": MODEL,
        "model/contract.json": json.dumps({"model_hash": MODEL_HASH, "data_hash": "d"}).encode(),
        "model/reference.parquet": b"rows",
        "reports/image/image.json": json.dumps(RECORD).encode(),
    }
    for name, content in files.items():
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_bytes(content)
    return Job(project, temp)


def test_a_key_signs_and_the_record_says_so(job: Job, keys: Keys, private: Path) -> None:
    key, public = private.read_text("utf-8"), keys.public(private)
    assert job.step("who", key).outputs == {"signer": "key"}
    signed = job.step("sign", key)
    assert signed.code == 0, signed.printed
    assert signed.outputs == {"signature": "reports/image/model.sig"}
    fingerprint = hashlib.sha256(public.read_bytes()).hexdigest()
    assert job.record == RECORD | {
        "signature": {
            "by": "key",
            "identity": fingerprint,
            "issuer": "",
            "file": "model.sig",
            "sha256": hashlib.sha256(job.signature.read_bytes()).hexdigest(),
        }
    }
    assert fingerprint in signed.summary
    assert job.verify(public).returncode == 0
    # Neither in the log nor in a file: a second line of the key is as secret as the first.
    assert not set(key.splitlines()[1:-1]) & set(signed.printed.splitlines())
    assert list((job.temp / "scratch").iterdir()) == []
    assert sorted(path.name for path in job.signature.parent.iterdir()) == ["image.json", "model.sig"]


def test_what_is_not_what_was_signed_is_refused(job: Job, keys: Keys, private: Path) -> None:
    public, model = keys.public(private), job.project / "model"
    assert job.step("sign", private.read_text("utf-8")).code == 0
    other = job.verify(keys.public(keys.curve("other.pem")))
    assert (other.returncode, other.stdout.count("error: ")) == (2, 1)
    assert "public key" in other.stdout
    (model / "more.txt").touch()
    added = job.verify(public)
    assert (added.returncode, "more.txt" in added.stdout) == (2, True)
    (model / "more.txt").unlink()
    assert job.verify(public).returncode == 0
    with (model / "model.skops").open("ab") as file:
        file.write(b"x")
    changed = job.verify(public)
    assert changed.returncode == 2
    (line,) = changed.stdout.splitlines()
    assert line.startswith("error: reports/image/model.sig is not a valid signature of model: ")
    assert line.endswith("Hash mismatch for 'model.skops'")


def test_another_tool_of_model_signing_reads_the_signature(job: Job, keys: Keys, private: Path) -> None:
    """The command of model signing itself, as anybody has it who does not know this suite."""
    assert job.step("sign", private.read_text("utf-8")).code == 0
    (python,) = job.temp.glob("gitops-ml/sign-*/bin/python")
    words = ["verify", "key", "model", "--public_key", str(keys.public(private))]
    done = job.run(str(python), "-m", "model_signing", *words, "--signature", str(job.signature))
    assert done.returncode == 0, done.stdout


def test_without_an_identity_nothing_is_signed_or_installed(job: Job, tmp_path: Path) -> None:
    job = Job(job.project, tmp_path / "fresh")
    (job.temp / "scratch").mkdir(parents=True)
    job.signature.write_text("of an older model", encoding="utf-8")
    who = job.step("who")
    assert (who.code, who.outputs) == (0, {"signer": "none"}), who.printed
    assert "not signed: no identity" in who.summary
    assert "::" not in who.printed, "it is nothing to warn of"
    assert job.record["signature"]["by"] == "none"
    assert not job.signature.exists()
    assert list(job.temp.glob("gitops-ml/*-*")) == []


def test_required_without_an_identity_is_red(job: Job) -> None:
    who = job.step("who", sign="required")
    assert (who.code, who.outputs, len(who.errors)) == (2, {}, 1)
    assert "no identity to sign it with" in who.errors[0]
    assert job.record == RECORD


def test_a_broken_key_is_one_clear_error(job: Job, keys: Keys, private: Path) -> None:
    sealed = ["ec", "-in", str(private), "-aes256", "-passout", "pass:secret"]
    broken = {
        "not a private key in PEM": "c2VjcmV0",
        "not a private key": private.read_text("utf-8")[:100],
        "is not a private": keys.public(private).read_text("utf-8"),
        "protected by a password": keys.make("sealed.pem", *sealed).read_text("utf-8"),
        "not of a curve": keys.curve("bitcoin.pem", "secp256k1").read_text("utf-8"),
        "not of a curve that": keys.make("rsa.pem", "genpkey", "-algorithm", "RSA").read_text("utf-8"),
    }
    for said, key in broken.items():
        done = job.step("sign", key)
        assert (done.code, len(done.errors)) == (2, 1), (said, done.printed)
        assert said in done.errors[0]
        assert "openssl" in done.errors[0], "and how to make a good one"
        assert "Traceback" not in done.printed
        assert not any(line in done.printed for line in key.splitlines() if len(line) > 30)
        assert not job.signature.exists()


def test_the_model_of_another_image_is_not_signed(job: Job, private: Path) -> None:
    record = job.project / "reports/image/image.json"
    record.write_text(json.dumps(RECORD | {"model_hash": "0" * 64}), encoding="utf-8")
    done = job.step("sign", private.read_text("utf-8"))
    assert (done.code, len(done.errors)) == (2, 1)
    assert "built from another model" in done.errors[0]
    assert not job.signature.exists()


# Signs something else than it was asked to, as a fault in model signing would.
FAULT = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from gitops_ml import signature
from gitops_ml.errors import UserError
honest = signature.signing.Config.sign
signature.signing.Config.sign = lambda self, model, path: honest(self, model.parent / "other", path)
try:
    signature.with_key(Path("model"), Path(sys.argv[2]).read_bytes(), Path("reports/image/model.sig"))
except UserError as error:
    print(error.message)
"""


def test_a_signature_that_does_not_hold_is_never_left(job: Job, private: Path) -> None:
    (job.project / "other").mkdir()
    (job.project / "other/model.skops").write_bytes(b"another model")
    assert job.step("sign", private.read_text("utf-8")).code == 0
    job.signature.unlink()
    (python,) = job.temp.glob("gitops-ml/sign-*/bin/python")
    printed = job.run(str(python), "-c", FAULT, str(ACTIONS), str(private)).stdout
    assert "is not a valid signature of model" in printed
    assert [path.name for path in job.signature.parent.iterdir()] == ["image.json"]


def token() -> str:
    """As GitHub's tokens are, without a signature."""
    now = int(time.time())
    said: dict[str, object] = {"iss": GITHUB, "aud": "sigstore", "sub": "repo:octo/churn:ref:refs/heads/main"}
    said |= {"iat": now - 10, "exp": now + 600, "job_workflow_ref": f"{WORKFLOW}@refs/heads/main"}
    parts = [json.dumps(part).encode() for part in ({"alg": "none"}, said)]
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in [*parts, b"none"])


@pytest.fixture(params=["no token", "no Sigstore"])
def cut_off(request: pytest.FixtureRequest, job: Job, tmp_path: Path) -> Iterator[Job]:
    """A job in a public repository that may sign as itself, but gets no token, or does not reach Sigstore."""
    given = request.param == "no Sigstore"
    # Installed while the index can be reached.
    assert job.run(str(ACTIONS / "launch"), "sign", "sign", "--help").returncode == 0

    class Tokens(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if given else 403)
            self.end_headers()
            self.wfile.write(json.dumps({"value": token()} if given else {}).encode())

        def log_message(self, *arguments: object) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Tokens)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    event = tmp_path / "event.json"
    event.write_text('{"repository": {"private": false}}', encoding="utf-8")
    address = f"http://127.0.0.1:{server.server_port}/token?api-version=2"
    environ = {"ACTIONS_ID_TOKEN_REQUEST_URL": address, "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "proof"}
    nowhere = {"HTTPS_PROXY": "http://127.0.0.1:9"}
    yield Job(job.project, job.temp, environ | nowhere | {"GITHUB_EVENT_PATH": str(event)})
    server.shutdown()
    server.server_close()


def test_a_delivery_goes_on_unsigned_when_signing_without_a_key_fails(cut_off: Job) -> None:
    assert cut_off.step("who").outputs == {"signer": "keyless"}
    done = cut_off.step("sign")
    assert (done.code, done.outputs) == (0, {}), done.printed
    assert done.printed.count("::warning::") == 1
    assert "not signed" in done.summary
    assert cut_off.record["signature"]["by"] == "none"


def test_a_required_signature_that_fails_is_red(cut_off: Job) -> None:
    done = cut_off.step("sign", sign="required")
    assert (done.code, len(done.errors)) == (2, 1), done.printed
    assert re.search("The model was not signed|gave this job no identity", done.errors[0])
    assert cut_off.record == RECORD


def test_verifying_needs_to_be_told_whose_signature_it_should_be(job: Job) -> None:
    done = job.run(str(ACTIONS / "launch"), "sign", "sign", "verify")
    assert (done.returncode, "--identity" in done.stdout) == (2, True)


def test_a_key_that_is_not_there_is_named(job: Job, tmp_path: Path) -> None:
    missing = tmp_path / "none.pem"
    for task in ("model", "verify"):
        done = job.run(str(ACTIONS / "launch"), "sign", "sign", task, "--key", str(missing))
        assert (done.returncode, done.stdout.count("error: ")) == (2, 1)
        assert f"{missing} is not a file" in done.stdout


def test_without_a_record_only_the_signature_is_written(tmp_path: Path) -> None:
    image_record.check_model(tmp_path, MODEL_HASH)
    image_record.note_signature(tmp_path, {"by": "none", "why": "no identity"})
    assert list(tmp_path.iterdir()) == []
