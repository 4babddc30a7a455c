"""Tags and digests in real registries, and logins of every kind; a registry that lies or fails changes nothing."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from pathlib import Path

import pytest
from gitops_ml.delivery.oci import Repository, Stored, is_loopback
from gitops_ml.delivery.registry_login import find_login
from gitops_ml.errors import UserError

from tests.delivery.registries import (
    MANIFEST,
    PASSWORD,
    USER,
    TokenRegistry,
    docker_config,
    locked_registry,
    push_image,
    written,
)
from tests.image.conftest import registry

__all__ = ["registry"]

CONTENT = b'{"schemaVersion":   2}'
DIGEST = "sha256:" + hashlib.sha256(CONTENT).hexdigest()
IMAGE = Stored(DIGEST, MANIFEST, CONTENT)


def test_a_tag_moves_to_an_image_that_is_there_and_its_digest_stays_the_same(
    registry: str, tmp_path: Path
) -> None:
    name = f"tests/oci-{os.getpid()}"
    images = Repository(f"{registry}/{name}")
    one, two = (push_image(registry, name, text) for text in ("one", "two"))
    assert one != two
    assert images.find("staging") is None
    for digest in (one, two, one):
        found = images.find(digest)
        assert found is not None
        images.tag(found, "staging")
        tagged = images.find("staging")
        assert tagged == found
        assert tagged.digest == digest
    assert images.find("sha256:" + "0" * 64) is None


def test_a_registry_with_a_password_is_read_and_written_with_docker_s_login(tmp_path: Path) -> None:
    with locked_registry(tmp_path / "locked") as host:
        basic = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        digest = push_image(host, "octo/churn", "one", basic)
        name = f"{host}/octo/churn"
        images = Repository(name, docker_config(tmp_path / "docker", host))
        found = images.find(digest)
        assert found is not None
        images.tag(found, "production")
        tagged = images.find("production")
        assert tagged is not None
        assert tagged.digest == digest
        wrong = docker_config(tmp_path / "wrong", host, password="guessed")
        for environ in (wrong, {"HOME": str(tmp_path)}):
            with pytest.raises(UserError, match="could not read production: status 401") as caught:
                Repository(name, environ).find("production")
            assert f"docker login {host}" in caught.value.fix
            assert "packages: write" in caught.value.fix
            assert PASSWORD not in str(caught.value)


def test_a_token_is_asked_for_once_and_for_reading_and_writing(tmp_path: Path) -> None:
    with TokenRegistry({DIGEST: CONTENT}) as fake:
        images = fake.repository(docker_config(tmp_path, fake.host))
        found = images.find(DIGEST)
        assert found == IMAGE
        images.tag(found, "staging")
        assert images.find("staging") == IMAGE
        assert fake.asked == [(USER, "repository:octo/churn:pull,push")]


def test_an_identity_is_exchanged_for_a_token(tmp_path: Path) -> None:
    """As some clouds' logins leave it behind: no password, but something to exchange."""
    entry = {"auth": base64.b64encode(b"0000:").decode(), "identitytoken": "identity-1"}
    with TokenRegistry({DIGEST: CONTENT}) as fake:
        environ = written(tmp_path, {"auths": {fake.host: entry}})
        assert fake.repository(environ).find(DIGEST) == IMAGE
        assert fake.asked == [("identity", "repository:octo/churn:pull,push")]


def test_whoever_is_not_logged_in_may_read_what_is_public_and_is_told_to_log_in_for_the_rest(
    tmp_path: Path,
) -> None:
    environ = {"HOME": str(tmp_path)}
    with TokenRegistry({DIGEST: CONTENT}, anonymous=True) as fake:
        images = fake.repository(environ)
        assert images.find(DIGEST) == IMAGE
        with pytest.raises(
            UserError, match=r"could not move the tag staging: status 403 \('may only read'\)"
        ) as caught:
            images.tag(IMAGE, "staging")
        assert "docker login" in caught.value.fix
        assert "staging" not in fake.manifests
    with (
        TokenRegistry() as fake,
        pytest.raises(UserError, match=r"could not log in: status 401 \('who are you'\)"),
    ):
        fake.repository(environ).find("staging")


def test_a_password_goes_nowhere_without_encryption(tmp_path: Path) -> None:
    with TokenRegistry({DIGEST: CONTENT}, realm="http://tokens.invalid/token") as fake:
        images = fake.repository(docker_config(tmp_path, fake.host))
        with pytest.raises(
            UserError, match=r"wants a login at 'http://tokens\.invalid/token', which is not encrypted"
        ):
            images.find(DIGEST)


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("localhost", True),
        ("localhost:5000", True),
        ("127.0.0.1:5000", True),
        ("127.9.9.9", True),
        ("[::1]:5000", True),
        ("ghcr.io", False),
        ("10.0.0.1:5000", False),
        ("localhost.example.org", False),
        ("127.0.0.1.example.org:80", False),
    ],
)
def test_only_this_machine_is_spoken_to_without_encryption(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback
    assert Repository(f"{host}/octo/churn").address == f"{'http' if loopback else 'https'}://{host}"


def test_a_name_without_a_host_is_on_docker_hub() -> None:
    images = Repository("octo/churn")
    assert (images.host, images.path, images.address) == (
        "docker.io",
        "octo/churn",
        "https://registry-1.docker.io",
    )
    assert Repository("docker.io/octo/churn").path == "octo/churn"
    assert Repository("ghcr.io/octo/churn/model").path == "octo/churn/model"


def test_a_registry_that_sends_other_bytes_than_it_says_is_not_believed(tmp_path: Path) -> None:
    with TokenRegistry({DIGEST: CONTENT, "staging": CONTENT}, lies="sha256:" + "9" * 64) as fake:
        images = fake.repository(docker_config(tmp_path, fake.host))
        with pytest.raises(UserError, match=f"sent {DIGEST} for staging, and says that it is sha256:999"):
            images.find("staging")
        with pytest.raises(UserError, match="the tag production was moved to 'sha256:999"):
            images.tag(IMAGE, "production")
    other = "sha256:" + "8" * 64
    with (
        TokenRegistry({other: CONTENT}) as fake,
        pytest.raises(UserError, match=f"sent {DIGEST} for {other}"),
    ):
        fake.repository(docker_config(tmp_path, fake.host)).find(other)


def test_what_is_no_image_is_refused(tmp_path: Path) -> None:
    with TokenRegistry({"staging": b"<html>"}, media_type="text/html; charset=utf-8") as fake:
        images = fake.repository(docker_config(tmp_path, fake.host))
        with pytest.raises(UserError, match="staging is 'text/html', which is not an image"):
            images.find("staging")


def test_a_registry_that_fails_for_a_moment_is_asked_again(tmp_path: Path) -> None:
    with TokenRegistry({DIGEST: CONTENT}, troubles=[503, 429]) as fake:
        assert fake.repository(docker_config(tmp_path, fake.host)).find(DIGEST) == IMAGE
    with TokenRegistry({DIGEST: CONTENT}, troubles=[503] * 9) as fake:
        with pytest.raises(UserError, match="failed with status 503"):
            fake.repository(docker_config(tmp_path, fake.host)).find(DIGEST)
        gone = fake.repository()
    with pytest.raises(UserError, match="can't be reached"):
        gone.find(DIGEST)


@pytest.mark.parametrize(
    ("content", "said"),
    [("no json", "is not JSON"), ('{"auths": {"ghcr.io": {"auth": "%%"}}}', "login at ghcr.io is broken")],
)
def test_a_broken_file_of_docker_is_named(tmp_path: Path, content: str, said: str) -> None:
    (tmp_path / "config.json").write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match=said) as caught:
        find_login("ghcr.io", {"DOCKER_CONFIG": str(tmp_path)})
    assert "docker login" in caught.value.fix


def test_a_login_is_found_where_docker_looks_for_it(tmp_path: Path) -> None:
    hub = docker_config(tmp_path / ".docker", "https://index.docker.io/v1/", password="pass:word")
    assert hub
    found = find_login("docker.io", {"HOME": str(tmp_path)})
    assert found is not None
    assert (found.user, found.password) == (USER, "pass:word")
    assert "pass:word" not in repr(found)
    assert find_login("ghcr.io", {"HOME": str(tmp_path)}) is None
    assert find_login("ghcr.io", {"HOME": str(tmp_path / "nowhere")}) is None


def test_a_helper_of_docker_is_asked(tmp_path: Path) -> None:
    helper = tmp_path / "bin" / "docker-credential-tests"
    helper.parent.mkdir()
    said = json.dumps({"Username": "octo", "Secret": "from the helper"})
    helper.write_text(
        f"#!/bin/sh\nread -r host; [ \"$host\" = ghcr.io ] && echo '{said}'\n", encoding="utf-8"
    )
    helper.chmod(0o755)
    environ = written(tmp_path, {"credsStore": "tests"})
    with pytest.raises(UserError, match="docker-credential-tests, which is not on PATH"):
        find_login("ghcr.io", environ | {"PATH": "bin:/usr/bin:/bin"})
    environ |= {"PATH": f"{helper.parent}:/usr/bin:/bin"}
    found = find_login("ghcr.io", environ)
    assert found is not None
    assert (found.user, found.password) == ("octo", "from the helper")
    assert find_login("quay.io", environ) is None
    entry = {"auth": base64.b64encode(b"octo:from the file").decode()}
    own = {"credsStore": "tests", "credHelpers": {"ghcr.io": ""}, "auths": {"ghcr.io": entry}}
    found = find_login("ghcr.io", environ | written(tmp_path, own))
    assert found is not None
    assert found.password == "from the file", "an empty helper means the file"
