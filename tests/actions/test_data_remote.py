"""The right to a remote of DVC, and what is believed of files that a stranger wrote; DVC runs in tests/template."""

from __future__ import annotations

import base64
import json
import stat
from pathlib import Path

import pytest
from gitops_ml.data import pointers
from gitops_ml.data.access import prepare
from gitops_ml.data.pointers import read_pointers
from gitops_ml.errors import UserError
from gitops_ml.login.identity import Desk
from gitops_ml.login.web import Web

HASH = "0123456789abcdef0123456789abcdef"
GOOD = f"outs:\n- md5: {HASH}\n  size: 12\n  hash: md5\n  path: rows.csv\n"


def write(folder: Path, text: str, name: str = "rows.csv.dvc") -> Path:
    path = folder / "data" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_hashes_are_read_and_nothing_else(tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    write(tmp_path, GOOD.replace(HASH, HASH[::-1] + ".dir"), "folder.dvc")
    elsewhere = f"deps:\n- path: s3://elsewhere/rows.csv\n{GOOD}  remote: elsewhere\n"
    write(tmp_path, elsewhere.replace(HASH, "f" * 32), "imported.csv.dvc")
    found = read_pointers([tmp_path])
    assert [item.md5 for item in found] == sorted([HASH, "f" * 32, HASH[::-1] + ".dir"])


def test_the_same_content_is_wanted_once(tmp_path: Path) -> None:
    for name in ("head", "base"):
        (tmp_path / name).mkdir()
        write(tmp_path / name, GOOD)
    assert [item.md5 for item in read_pointers([tmp_path / "head", tmp_path / "base"])] == [HASH]


def test_settings_of_dvc_and_environments_are_not_looked_at(tmp_path: Path) -> None:
    for name in (".dvc", ".venv", ".git"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "hidden.dvc").write_text("not: a pointer\n", encoding="utf-8")
    assert read_pointers([tmp_path]) == []


HOSTILE = {
    "no list": ("outs: yes\n", "there is no list"),
    "an empty list": ("outs: []\n", "there is no list"),
    "a list": ("- outs\n", "there is no list"),
    "no hash": ("outs:\n- path: x\n", "there is no hash"),
    "a path for a hash": (GOOD.replace(HASH, "../../../etc/passwd"), "is not the hash"),
    "a hash with settings behind it": (GOOD.replace(HASH, f'"{HASH}\\n  remote: x"'), "is not the hash"),
    "an alias": (f"x: &a {HASH}\nouts:\n- md5: *a\n", "anchors and aliases"),
    "a tag": (f"outs:\n- md5: !!python/object {HASH}\n", "tags are not read"),
    "hashed by DVC 2": (GOOD.replace("  hash: md5\n", ""), "DVC 2"),
    "another hash": (GOOD.replace("hash: md5", "hash: etag"), "DVC 2"),
    "a huge file": (GOOD + "#" * 300_000, "300,"),
}


@pytest.mark.parametrize(("text", "said"), HOSTILE.values(), ids=HOSTILE)
def test_what_dvc_add_has_not_written_is_refused(tmp_path: Path, text: str, said: str) -> None:
    write(tmp_path, text)
    with pytest.raises(UserError, match=said) as refusal:
        read_pointers([tmp_path])
    assert "rows.csv.dvc" in refusal.value.message


def test_links_are_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside.dvc"
    outside.write_text(GOOD, encoding="utf-8")
    project = tmp_path / "project"
    project.mkdir()
    (project / "rows.dvc").symlink_to(outside)
    with pytest.raises(UserError, match="symbolic link"):
        read_pointers([project])


def test_too_many_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pointers, "MAX_FILES", 5)
    for number in range(6):
        (tmp_path / f"{number}.dvc").write_text(GOOD, encoding="utf-8")
    with pytest.raises(UserError, match="more than 5 files"):
        read_pointers([tmp_path])


class Issued:
    """GitHub's answer: a token that says who the job is and for whom it is meant."""

    status = 200

    def __init__(self, audience: str) -> None:
        self.audience = audience

    def text(self, key: str) -> str:
        claims = base64.urlsafe_b64encode(json.dumps({"sub": "repo:octo/churn:pull_request"}).encode())
        return f"head.{claims.decode()}.{self.audience}" if key == "value" else ""


class Issuer(Web):
    """GitHub, as far as it gives a job its identity."""

    def get(self, url: str, headers: object = None) -> Issued:
        assert headers == {"Authorization": "bearer proof"}
        return Issued(url.partition("audience=")[2])


def rights(address: str, folder: Path, **given: str) -> dict[str, str]:
    """What `prepare` makes of what the step was given."""
    environ = {f"GITOPS_ML_DVC_{name}": value for name, value in given.items()}
    environ |= {
        "ACTIONS_ID_TOKEN_REQUEST_URL": "https://issuer/?v=1",
        "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "proof",
    }
    return prepare(address, Desk(Issuer(), environ, lambda secret: None), folder)


def test_keys_become_what_each_library_reads(tmp_path: Path) -> None:
    s3 = rights(
        "s3://lake", tmp_path, ACCOUNT="id", SECRET="key", REGION="eu-west-1", ENDPOINT="https://minio"
    )
    assert s3 == {
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ACCESS_KEY_ID": "id",
        "AWS_SECRET_ACCESS_KEY": "key",
        "AWS_REGION": "eu-west-1",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_ENDPOINT_URL": "https://minio",
    }
    gs = rights("gs://lake", tmp_path, SECRET='{"type": "service_account"}')
    file = Path(gs["GOOGLE_APPLICATION_CREDENTIALS"])
    assert json.loads(file.read_text()) == {"type": "service_account"}
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    azure = rights("azure://lake", tmp_path, ACCOUNT="store", SECRET="a2V5==")
    assert azure == {"AZURE_STORAGE_ACCOUNT": "store", "AZURE_STORAGE_KEY": "a2V5=="}
    assert "AZURE_STORAGE_SAS_TOKEN" in rights("azure://lake", tmp_path, ACCOUNT="store", SECRET="sv=1&sig=x")
    ssh = rights("ssh://host/srv", tmp_path, SECRET="KEY")
    home = Path(ssh["HOME"], ".ssh")
    assert (home / "id_ed25519").read_text() == "KEY\n"
    assert stat.S_IMODE((home / "id_ed25519").stat().st_mode) == 0o600


def test_an_identity_becomes_what_each_library_reads(tmp_path: Path) -> None:
    for name in ("s3", "gs", "azure"):
        (tmp_path / name).mkdir()
    s3 = rights("s3://lake", tmp_path / "s3", AWS_ROLE="arn:aws:iam::123456789012:role/read")
    assert s3["AWS_ROLE_ARN"] == "arn:aws:iam::123456789012:role/read"
    assert Path(s3["AWS_WEB_IDENTITY_TOKEN_FILE"]).read_text().endswith(".sts.amazonaws.com")
    given = {"GCP_PROVIDER": "projects/1/providers/x", "GCP_SERVICE_ACCOUNT": "a@p.iam"}
    config = json.loads(
        Path(rights("gs://lake", tmp_path / "gs", **given)["GOOGLE_APPLICATION_CREDENTIALS"]).read_text()
    )
    assert config["audience"] == "//iam.googleapis.com/projects/1/providers/x"
    assert "a@p.iam" in config["service_account_impersonation_url"]
    assert "iam.googleapis.com" in Path(config["credential_source"]["file"]).read_text()
    given = {"ACCOUNT": "store", "AZURE_CLIENT_ID": "client", "AZURE_TENANT_ID": "tenant"}
    azure = rights("azure://lake", tmp_path / "azure", **given)
    assert Path(azure["AZURE_FEDERATED_TOKEN_FILE"]).read_text().endswith("AzureADTokenExchange")


@pytest.mark.parametrize(
    ("address", "given", "missing"),
    [
        ("s3://lake", {"SECRET": "canary"}, "DVC_ACCOUNT"),
        ("azure://lake", {"SECRET": "canary"}, "DVC_ACCOUNT"),
        ("azure://lake", {"AZURE_CLIENT_ID": "x"}, "AZURE_TENANT_ID"),
        ("gs://lake", {"GCP_PROVIDER": "x"}, "GCP_SERVICE_ACCOUNT"),
    ],
)
def test_half_of_what_is_needed_is_an_error(
    tmp_path: Path, address: str, given: dict[str, str], missing: str
) -> None:
    with pytest.raises(UserError, match=f"{missing} is not set") as refusal:
        rights(address, tmp_path, **given)
    assert "canary" not in refusal.value.message + refusal.value.fix


@pytest.mark.parametrize(
    "address", ["s3://lake", "gs://lake", "azure://lake", "ssh://host/srv", "/mnt/dvc", "https://a/b"]
)
def test_nothing_given_changes_nothing(tmp_path: Path, address: str) -> None:
    assert rights(address, tmp_path) == {}
    assert list(tmp_path.iterdir()) == []


def test_a_job_without_the_right_to_an_identity_is_told_so(tmp_path: Path) -> None:
    desk = Desk(Issuer(), {"GITOPS_ML_DVC_AWS_ROLE": "arn:aws:iam::1:role/x"}, lambda secret: None)
    with pytest.raises(UserError, match="id-token: write"):
        prepare("s3://lake", desk, tmp_path)
