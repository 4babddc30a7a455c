"""The tests' own tools do what tests rely on."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.fakes.git_remote import GitRemote
from tests.tools.required import find, need


def test_a_missing_tool_is_skipped_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GITOPS_ML_REQUIRE_TOOLS", raising=False)
    with pytest.raises(pytest.skip.Exception, match="no-such-tool is not on this machine"):
        need("no-such-tool")


def test_a_missing_tool_fails_where_tools_are_required(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITOPS_ML_REQUIRE_TOOLS", "1")
    with pytest.raises(pytest.fail.Exception, match="no-such-tool is not on this machine"):
        need("no-such-tool")
    assert need("git") == find("git")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    folder = tmp_path / "checkout"
    subprocess.run(["git", "init", "--quiet", "--initial-branch=main", str(folder)], check=True)
    commit = [
        "-c",
        "user.name=Ada",
        "-c",
        "user.email=ada@forge.invalid",
        "commit",
        "--quiet",
        "--allow-empty",
        "-m",
        "x",
    ]
    subprocess.run(["git", "-C", str(folder), *commit], check=True)
    return folder


def push(checkout: Path, remote: GitRemote, branch: str) -> subprocess.CompletedProcess[str]:
    command = ["git", "-C", str(checkout), "push", "--quiet", str(remote.path), f"HEAD:refs/heads/{branch}"]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_main_is_protected_and_other_branches_are_not(tmp_path: Path, checkout: Path) -> None:
    remote = GitRemote.create(tmp_path / "remote.git")
    assert push(checkout, remote, "topic").returncode == 0
    refused = push(checkout, remote, "main")
    assert refused.returncode != 0
    assert "Protected branch update failed" in refused.stderr
    assert set(remote.heads()) == {"topic"}
    remote.merge(checkout)
    assert set(remote.heads()) == {"main", "topic"}
