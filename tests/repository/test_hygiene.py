"""What may not be committed, and linters that are able to fail."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from tools import check_syntax, lint
from tools.template_files import ROOT

# In parts, so that this file does not hold what it looks for.
REGISTRIES = re.compile(
    r"(?:"
    + "|".join(["py" + "pi", "python" + "hosted", "npm" + "js", "proxy.go" + "lang", "deb" + "ian"])
    + r")\.(?:org|com)"
)
HASH_LINE = re.compile(r"    --hash=sha256:[0-9a-f]{64}(?: \\)?")
REQUIREMENT = re.compile(r"[a-z0-9._-]+(?:\[[a-z,]+\])?==[^ ]+(?: ; [^\\]+)? \\")


def tracked_texts() -> list[tuple[str, str]]:
    texts = []
    for path in lint.tracked(ROOT):
        if path.suffix not in {".csv", ".parquet", ".png"}:
            texts.append((str(path.relative_to(ROOT)), path.read_text(encoding="utf-8", errors="replace")))
    return texts


def test_no_address_of_a_package_registry() -> None:
    found = [(name, match[0]) for name, text in tracked_texts() if (match := REGISTRIES.search(text))]
    assert found == []


def test_no_lock_file_says_where_packages_come_from() -> None:
    """uv.lock always does; npm's can hold hashes alone."""
    assert [path for path in lint.tracked(ROOT) if path.name == "uv.lock"] == []
    for path in lint.tracked(ROOT, "*package-lock.json"):
        packages = json.loads(path.read_text(encoding="utf-8"))["packages"]
        installed = [entry for place, entry in packages.items() if place]
        assert [entry for entry in installed if "resolved" in entry or "integrity" not in entry] == [], path


def test_requirements_are_hashes_and_nothing_else() -> None:
    files = [*ROOT.glob("requirements-*.txt"), *(ROOT / "actions" / "requirements").glob("*.txt")]
    assert len(files) > 2
    for path in files:
        lines = path.read_text(encoding="utf-8").splitlines()
        odd = [line for line in lines if not HASH_LINE.fullmatch(line) and not REQUIREMENT.fullmatch(line)]
        assert odd == [], path
        assert any("--hash" in line for line in lines)


def locked(name: str) -> set[str]:
    """The packages of a file of requirements, as name==version, perhaps with a condition."""
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    return {line.removesuffix(" \\") for line in lines if "==" in line and "--hash" not in line}


def test_requirements_hold_everything_asked_for() -> None:
    metadata = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    groups = metadata["dependency-groups"]
    demo = [*metadata["project"]["dependencies"], *groups["demo"]]
    dev = [*demo, *(line for line in groups["dev"] if isinstance(line, str))]
    for asked, name in ((demo, "requirements-demo.txt"), (dev, "requirements-dev.txt")):
        names = {re.split(r"[^A-Za-z0-9-]", line)[0].lower() for line in asked}
        assert names <= {line.split("==")[0] for line in locked(name)}, name


def test_the_demo_has_the_packages_of_the_tests() -> None:
    assert locked("requirements-demo.txt") <= locked("requirements-dev.txt")


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("twice.yaml", "a: 1\na: 2\n", "stands twice"),
        ("twice.json", '{"a": 1, "a": 2}', "stands twice"),
        ("broken.yaml", "a: [1\n", "broken.yaml"),
        ("broken.json", "{", "broken.json"),
    ],
)
def test_syntax_check_can_fail(tmp_path: Path, name: str, text: str, why: str) -> None:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    assert why in (check_syntax.problem(path) or "")
    assert check_syntax.main([str(path)]) == 1


def test_syntax_of_every_file_here() -> None:
    names = [str(path) for path in lint.tracked(ROOT, "*.yml", "*.yaml", "*.json")]
    assert len(names) > 5
    assert [text for name in names if (text := check_syntax.problem(Path(name)))] == []


def test_long_files_are_found(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    (tmp_path / "short.py").write_text("x = 1\n" * lint.MAX_LINES, encoding="utf-8")
    assert lint.too_long(tmp_path) == []
    (tmp_path / "long.py").write_text("x = 1\n" * (lint.MAX_LINES + 1), encoding="utf-8")
    assert lint.too_long(tmp_path) == ["long.py: 401 lines, at most 400"]


def test_long_functions_are_found_in_templates_too(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    body = "    x = 1\n" * (lint.MAX_FUNCTION_LINES - 1)
    path = tmp_path / "template.py"
    path.write_text(
        f"from << cookiecutter.package_name >>.x import y\n\n\ndef f():\n{body}", encoding="utf-8"
    )
    assert lint.too_long_functions(tmp_path) == []
    path.write_text(path.read_text(encoding="utf-8") + "    x = 1\n", encoding="utf-8")
    assert lint.too_long_functions(tmp_path) == ["template.py:4: f has 61 lines, at most 60"]


def test_a_linter_that_finds_something_fails(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert not lint.run("a linter", ["false"], tmp_path)
    assert lint.run("a linter", ["true"], tmp_path)
    assert capfd.readouterr().out.splitlines() == ["FAILED a linter", "ok     a linter"]
    assert not lint.run("a linter", ["no-such-linter"], tmp_path)
    assert "no-such-linter is not here; make setup installs it" in capfd.readouterr().out


def test_a_dockerfile_that_installs_what_comes_is_found(capfd: pytest.CaptureFixture[str]) -> None:
    assert lint.dockerfile_is_sound("FROM << cookiecutter.base >>:1\nUSER 1\n")
    assert not lint.dockerfile_is_sound("FROM debian:12\nRUN apt-get install curl\n")
    assert "DL3008" in capfd.readouterr().err


def test_shell_scripts_are_found_by_their_first_line() -> None:
    found = {str(path.relative_to(ROOT)) for path in lint.shell_scripts(ROOT)}
    assert {".ci/run", "actions/launch"} <= found


def test_pre_commit_calls_tools_of_the_environment_only() -> None:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    hooks = [hook for repository in config["repos"] for hook in repository["hooks"]]
    assert {repository["repo"] for repository in config["repos"]} == {"local"}
    assert all(hook["language"] == "system" and hook["entry"].startswith(".venv/bin/") for hook in hooks)


def test_pre_commit_finds_nothing_here() -> None:
    command = [sys.executable, "-m", "pre_commit", "run", "--all-files"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("Passed") == 4
