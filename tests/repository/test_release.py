"""A release of the template: ready or refused, and the same bytes every time."""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
from pathlib import Path

import pytest

from tools import release

FILES = {
    "pyproject.toml": '[project]\nname = "x"\nversion = "1.2.3"\n',
    "actions/pyproject.toml": '[project]\nname = "y"\nversion = "1.2.3"\n',
    "actions/requirements/diff.txt": f"numpy==2.4.0 ; python_version > '3' \\\n    --hash=sha256:{'a' * 64}\n",
    "actions/requirements/comment.txt": (
        f"urllib3==2.6.0 \\\n    --hash=sha256:{'b' * 64} \\\n    --hash=sha256:{'c' * 64}\n"
    ),
    "cookiecutter.json": '{"actions_ref": "v1.2.3"}\n',
    "CHANGELOG.md": "# Changelog\n\n## 1.2.3\n\nMore.\n",
}


def repository(folder: Path, **changed: str) -> Path:
    """A repository with one commit, tagged v1.2.3 and latest."""
    for name, text in (FILES | changed).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    identity = ["-c", "user.name=A", "-c", "user.email=a@localhost", "-c", "commit.gpgsign=false"]
    for words in (
        ["init", "--quiet"],
        ["add", "--all"],
        ["commit", "--quiet", "-m", "1"],
        ["tag", "v1.2.3"],
        ["tag", "new"],
    ):
        subprocess.run(["git", *identity, *words], cwd=folder, check=True)
    return folder


def test_a_release_is_the_same_bytes_every_time(tmp_path: Path) -> None:
    root = repository(tmp_path / "repository")
    one, two = (release.make(root, "v1.2.3", tmp_path / name) for name in ("one", "two"))
    assert [path.read_bytes() for path in one] == [path.read_bytes() for path in two]
    with tarfile.open(fileobj=io.BytesIO(one[0].read_bytes())) as archive:
        names = archive.getnames()
    assert "cookiecutter-gitops-ml-1.2.3/actions/requirements/diff.txt" in names
    listed = json.loads(one[1].read_text(encoding="utf-8"))["components"]
    assert [part["purl"] for part in listed] == ["pkg:pypi/numpy@2.4.0", "pkg:pypi/urllib3@2.6.0"]
    assert [len(part["hashes"]) for part in listed] == [1, 2]


@pytest.mark.parametrize(
    ("tag", "changed", "said"),
    [
        ("new", {}, "not a version"),
        ("v9.9.9", {}, "git show failed"),
        ("v1.2.3", {"pyproject.toml": '[project]\nversion = "1.2.4"\n'}, "pyproject.toml says 1.2.4"),
        (
            "v1.2.3",
            {"actions/pyproject.toml": '[project]\nversion = "1.0.0"\n'},
            "actions/pyproject.toml says 1.0.0",
        ),
        ("v1.2.3", {"cookiecutter.json": '{"actions_ref": "v1.0.0"}\n'}, "offers the actions of v1.0.0"),
        ("v1.2.3", {"CHANGELOG.md": "# Changelog\n\n## 1.2.30\n"}, "no section 1.2.3"),
    ],
)
def test_what_is_not_ready_is_refused_and_writes_nothing(
    tmp_path: Path, tag: str, changed, said: str
) -> None:
    root = repository(tmp_path / "repository", **changed)
    with pytest.raises(release.ReleaseError, match=said):
        release.make(root, tag, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_locks_of_this_repository_are_read_whole() -> None:
    for path in sorted((release.ROOT / "actions" / "requirements").glob("*.txt")):
        text = path.read_text(encoding="utf-8")
        assert len(release.components(text)) == text.count("==") - text.count(" == "), path
