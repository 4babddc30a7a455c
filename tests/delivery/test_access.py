"""Which repository a clone belongs to, and whose token is used."""

from __future__ import annotations

from pathlib import Path

import pytest
from gitops_ml.delivery.access import Place, find_github, find_place, find_token, parse_address
from gitops_ml.delivery.git import Git
from gitops_ml.errors import UserError

from tests.delivery.repositories import git

PLACE = Place("https://github.com", "https://api.github.com", "octo/model")


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("https://github.com/octo/model.git", ("https://github.com", "octo/model")),
        ("https://github.com/octo/model", ("https://github.com", "octo/model")),
        (
            "https://ann:secret@ghes.example.com:8443/octo/model.git",
            ("https://ghes.example.com:8443", "octo/model"),
        ),
        ("http://localhost:3000/octo/model", ("http://localhost:3000", "octo/model")),
        ("git@github.com:octo/model.git", ("https://github.com", "octo/model")),
        ("ssh://git@github.com:22/octo/model.git", ("https://github.com", "octo/model")),
        ("git@github.com:octo/model.with.dots", ("https://github.com", "octo/model.with.dots")),
        ("/srv/git/model.git", None),
        ("file:///srv/git/model.git", None),
        ("../model", None),
        ("https://github.com/octo", None),
        ("https://github.com/octo/model/tree/main", None),
        ("https://github.com/octo/mo del", None),
        ("", None),
    ],
)
def test_addresses_of_git(address: str, found: tuple[str, str] | None) -> None:
    assert parse_address(address) == found


@pytest.mark.parametrize(
    ("environ", "api"),
    [
        ({}, "https://ghes.example.com/api/v3"),
        ({"GITHUB_API_URL": "https://ghes.example.com/api/v1/"}, "https://ghes.example.com/api/v1"),
    ],
)
def test_the_remote_says_where_the_api_is(tmp_path: Path, environ: dict[str, str], api: str) -> None:
    git(tmp_path, "init", "--quiet")
    assert find_place(Git(tmp_path), "origin", environ) is None
    git(tmp_path, "remote", "add", "origin", "git@ghes.example.com:octo/model.git")
    place = find_place(Git(tmp_path), "origin", environ)
    assert place == Place("https://ghes.example.com", api, "octo/model")
    runner = {"GITHUB_SERVER_URL": "https://github.com", "GITHUB_REPOSITORY": "octo/other"}
    assert find_place(Git(tmp_path), "origin", runner) == Place(
        "https://github.com", "https://api.github.com", "octo/other"
    )


def test_the_token_of_the_environment_comes_first() -> None:
    assert find_token(PLACE, {"GITHUB_TOKEN": "a", "GH_TOKEN": "b", "PATH": ""}) == "a"
    assert find_token(PLACE, {"GH_TOKEN": "b", "PATH": ""}) == "b"


def test_without_a_token_a_laptop_goes_on_by_hand_and_a_runner_stops(tmp_path: Path) -> None:
    assert find_github(PLACE, {"PATH": str(tmp_path)}) is None
    with pytest.raises(UserError, match="no usable GITHUB_TOKEN"):
        find_github(PLACE, {"GITHUB_ACTIONS": "true", "PATH": str(tmp_path)})
