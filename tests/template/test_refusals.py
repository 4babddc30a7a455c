"""Answers that could not work are refused before anything is written, each with one sentence that says what to do."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from tools.template_files import ROOT, RenderError

REFUSED = {
    "an empty name": ({"project_name": " ", "project_slug": "x-y"}, "project name is empty"),
    "a slug with capitals": ({"project_slug": "Tumour"}, "cannot name the repository"),
    "a slug with spaces": ({"project_slug": "tumour triage"}, "cannot name the repository"),
    "a slug that climbs": ({"project_slug": "../elsewhere"}, "cannot name the repository"),
    "a slug that starts with a digit": ({"project_slug": "3-tumours"}, "cannot name the repository"),
    "a slug of 64 characters": ({"project_slug": "a" * 64}, "at most 63"),
    "a package with a hyphen": ({"package_name": "tumour-triage"}, "cannot be imported"),
    "a package that starts with a digit": ({"package_name": "3d"}, "cannot be imported"),
    "a word of the language": ({"package_name": "class"}, "word of the Python language"),
    "a soft word of the language": ({"package_name": "match"}, "word of the Python language"),
    "a module of the standard library": ({"package_name": "json"}, "standard library"),
    "a package the project imports": ({"package_name": "sklearn"}, "a package this project uses"),
    "the package of the actions": ({"package_name": "gitops_ml"}, "a package this project uses"),
    "an empty description": ({"description": ""}, "answer to description is empty"),
    "two lines of description": ({"description": "one\ntwo"}, "one line"),
    "an empty author": ({"author_name": "  "}, "answer to author_name is empty"),
    "a very long author": ({"author_name": "x" * 201}, "at most 200"),
    "an empty owner": ({"github_owner": ""}, "not a GitHub user"),
    "an owner that is an address": ({"github_owner": "github.com/me"}, "not a GitHub user"),
    "an image without a registry": ({"image_repository": "octo/model"}, "not a place for images"),
    "an image with a tag": ({"image_repository": "ghcr.io/octo/model:1"}, "not a place for images"),
    "an image in capitals": ({"image_repository": "ghcr.io/Octo/model"}, "not a place for images"),
    "an image in another registry": (
        {"image_repository": "quay.io/octo/model"},
        "not a place for images in the registry ghcr.io; answer image_repository with a name in lower case, without"
        " a tag, such as ghcr.io/your-organisation/tumour-triage",
    ),
    "an image on Docker Hub without an account": (
        {"registry": "docker.io", "image_repository": "docker.io/model"},
        "such as docker.io/you/",
    ),
    "an image in nobody's account at AWS": ({"registry": "ecr"}, "such as 123456789012.dkr.ecr."),
    "an image in no project of Google's": (
        {"registry": "gar", "image_repository": "europe-docker.pkg.dev/model"},
        "such as europe-west3-docker.pkg.dev/your-project/models/",
    ),
    "an image in no registry of Azure's": ({"registry": "acr"}, "such as yourregistry.azurecr.io/"),
    "an image on no other host": ({"registry": "other"}, "such as registry.example.org/team/"),
    "a runner without a label": ({"training_runner": "self-hosted, "}, "no labels of a runner"),
    "a label that ends its quotes": (
        {"training_runner": "x')}} && '"},
        "joined by commas, such as ubuntu-24.04",
    ),
    "a bucket of another cloud": (
        {"dvc_remote": "gs", "dvc_remote_url": "s3://lake/dvc"},
        "gs://bucket/path",
    ),
    "a bucket without its kind": ({"dvc_remote": "s3", "dvc_remote_url": "lake/dvc"}, "s3://bucket/path"),
    "a bucket in capitals": ({"dvc_remote": "s3", "dvc_remote_url": "s3://Lake"}, "not an address"),
    "a container with an account in it": (
        {"dvc_remote": "azure", "dvc_remote_url": "azure://key@lake/dvc"},
        "azure://container/path",
    ),
    "a machine with a password in it": (
        {"dvc_remote": "ssh", "dvc_remote_url": "ssh://ann:secret@host/srv/dvc"},
        "ssh://user@host/srv/dvc",
    ),
    "a machine without a folder": ({"dvc_remote": "ssh", "dvc_remote_url": "ssh://host"}, "ssh://user@host"),
    "a folder that climbs": (
        {"dvc_remote": "ssh", "dvc_remote_url": "ssh://host/srv/../etc"},
        "ssh://user@host",
    ),
    "an address that writes settings": (
        {"dvc_remote": "s3", "dvc_remote_url": "s3://lake/dvc\nendpointurl = http://elsewhere"},
        "s3://bucket/path",
    ),
    "remote actions without an owner": (
        {"actions_source": "remote", "actions_repository": "suite"},
        "answer with owner/name",
    ),
    "remote actions on a branch": ({"actions_source": "remote", "actions_ref": "main"}, "answer with a tag"),
    "remote actions at a hostile ref": (
        {"actions_source": "remote", "actions_ref": "v1 # x"},
        "answer with a tag",
    ),
}


@pytest.mark.parametrize(("answers", "sentence"), REFUSED.values(), ids=REFUSED)
def test_refused(rendered, tmp_path: Path, answers: dict[str, str], sentence: str) -> None:
    with pytest.raises(RenderError) as refusal:
        rendered(answers)
    errors = [line for line in str(refusal.value).splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, str(refusal.value)
    assert sentence in errors[0]
    assert list((tmp_path / "out").iterdir()) == [], "a refused answer left files behind"


def test_refs_of_vendored_actions_do_not_matter(rendered) -> None:
    project, _ = rendered({"actions_ref": "main"})
    assert (project / ".github" / "actions").is_dir()


def test_an_address_without_a_remote_does_not_matter(rendered) -> None:
    project, _ = rendered({"dvc_remote_url": "ftp://nowhere"})
    assert "ftp" not in (project / ".dvc" / "config").read_text(encoding="utf-8")


def test_answers_with_quotes_and_backslashes_work(rendered) -> None:
    project, _ = rendered({"author_name": 'Ann "A" O\'Brien \\ Söhne', "description": "x \\ \"y\" 'z' #"})
    assert (project / "pyproject.toml").is_file()


@pytest.fixture(scope="module")
def pre_prompt() -> ModuleType:
    spec = importlib.util.spec_from_file_location("pre_prompt", ROOT / "hooks" / "pre_prompt.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("python", "git", "uv", "sentences"),
    [
        ((3, 11, 0), (2, 28), True, []),
        ((3, 10, 9), (2, 40), True, ["Python 3.11 or newer"]),
        ((3, 12, 1), None, True, ["git is needed"]),
        ((3, 12, 1), (2, 20), True, ["git 2.28 or newer"]),
        ((3, 12, 1), (2, 40), False, ["uv is needed"]),
        ((3, 9, 0), None, False, ["Python 3.11 or newer", "git is needed", "uv is needed"]),
    ],
)
def test_what_is_missing_is_named(pre_prompt: ModuleType, python, git, uv, sentences) -> None:
    found = pre_prompt.problems(python, git, uv)
    assert len(found) == len(sentences)
    assert all(start in sentence for start, sentence in zip(sentences, found, strict=True))


def test_without_uv_no_question_is_asked(rendered, environ: dict[str, str], tmp_path: Path) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    for tool in ("git", "env"):
        (tools / tool).symlink_to(f"/usr/bin/{tool}")
    with pytest.raises(RenderError, match="uv is needed"):
        rendered(environ=environ | {"PATH": str(tools)})
