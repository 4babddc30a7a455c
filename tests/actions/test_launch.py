"""`actions/launch` stays itself whatever the checkout holds and whatever an earlier step left in the environment."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import pytest

from tests.actions.launching import ACTIONS, PATH, launch

# Each writes a file when it is run or imported; the file's name says which one was.
PAYLOAD = "open({mark!r}, 'w').close()\n"
MODULES = (
    "json.py",
    "argparse.py",
    "re.py",
    "secrets.py",
    "pydantic.py",
    "numpy.py",
    "yaml.py",
    "gitops_ml.py",
    "sitecustomize.py",
    "usercustomize.py",
    "conftest.py",
    "__main__.py",
)
SETS = ("none", "diff", "comment")


@pytest.fixture(scope="module")
def temp(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The runner's folder, shared by the tests, so that each set is installed once."""
    return tmp_path_factory.mktemp("runner")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout full of modules that Python would rather import than its own."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    for name in MODULES:
        (folder / name).write_text(PAYLOAD.format(mark=str(tmp_path / f"ran-{name}")), encoding="utf-8")
    (folder / "evil.pth").write_text(
        f"import pathlib; pathlib.Path({str(tmp_path / 'ran-pth')!r}).write_text('ran')\n", encoding="utf-8"
    )
    return folder


def ran(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in tmp_path.glob("ran-*"))


def control(checkout: Path, environ: dict[str, str]) -> None:
    """Proof that the trap works: a Python that is not started by `launch` falls into it."""
    command = [sys.executable, "-c", "import json"]
    subprocess.run(command, cwd=checkout, env=os.environ | environ, check=False, capture_output=True)


@pytest.mark.parametrize("set_name", SETS)
def test_planted_modules_are_not_imported(checkout: Path, temp: Path, tmp_path: Path, set_name: str) -> None:
    done = launch(checkout, temp, set_name, "--help")
    assert done.returncode == 0, done.stderr
    assert "usage: gitops-ml" in done.stdout
    assert ran(tmp_path) == []
    control(checkout, {})
    assert "ran-json.py" in ran(tmp_path)


@pytest.mark.parametrize("set_name", SETS)
def test_python_variables_have_no_effect(checkout: Path, temp: Path, tmp_path: Path, set_name: str) -> None:
    hostile = {
        "PYTHONPATH": str(checkout),
        "PYTHONHOME": str(checkout),
        "PYTHONSTARTUP": str(checkout / "conftest.py"),
        "PYTHONUSERBASE": str(checkout),
        "PYTHONINSPECT": "1",
        "PYTHONPLATLIBDIR": "nowhere",
    }
    done = launch(checkout, temp, set_name, "--help", environ=hostile)
    assert done.returncode == 0, done.stderr
    assert ran(tmp_path) == []
    control(checkout, {"PYTHONPATH": str(checkout)})
    assert "ran-sitecustomize.py" in ran(tmp_path)


def test_project_environment_on_path_does_not_load_its_start_files(tmp_path: Path, temp: Path) -> None:
    """`scope`, `train` and `gate` use the Python they find; a .pth file in a project's environment is not run."""
    environment = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True)
    (site,) = environment.glob("lib/python*/site-packages")
    mark = tmp_path / "ran-venv"
    (site / "evil.pth").write_text(f"import pathlib; pathlib.Path({str(mark)!r}).write_text('ran')\n")
    (site / "sitecustomize.py").write_text(PAYLOAD.format(mark=str(mark)))
    path = f"{environment / 'bin'}{os.pathsep}{PATH}"
    done = launch(tmp_path, temp, "none", "--help", environ={"PATH": path})
    assert done.returncode == 0, done.stderr
    assert ran(tmp_path) == []
    subprocess.run([str(environment / "bin" / "python"), "-c", ""], check=True)
    assert ran(tmp_path) == ["ran-venv"]


def test_planted_configuration_of_uv_and_pip_is_not_read(tmp_path: Path) -> None:
    """Every file and variable that could redirect or weaken the installation, at once; the install still succeeds."""
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    nowhere = "http://127.0.0.1:9/simple"
    (checkout / "uv.toml").write_text(f'index-url = "{nowhere}"\nno-binary = true\n')
    (checkout / "pyproject.toml").write_text(
        f'[project]\nname = "x"\nversion = "1"\nrequires-python = "<3"\n[tool.uv]\nindex-url = "{nowhere}"\n'
    )
    (checkout / "pip.conf").write_text(f"[global]\nindex-url = {nowhere}\n")
    (checkout / ".python-version").write_text("2.7\n")
    (checkout / "uv.lock").write_text("not a lock\n")
    hostile = {
        "UV_CONFIG_FILE": str(checkout / "uv.toml"),
        "UV_PYTHON": "2.7",
        "UV_SYSTEM_PYTHON": "true",
        "UV_PROJECT_ENVIRONMENT": str(checkout / "planted"),
        "UV_NO_BINARY": "1",
        "UV_ONLY_BINARY": "nothing",
        "UV_CONSTRAINT": str(checkout / "uv.lock"),
        "UV_OVERRIDE": str(checkout / "uv.lock"),
        "UV_EXCLUDE_NEWER": "2001-01-01",
        "UV_REQUIRE_HASHES": "false",
        "UV_NO_VERIFY_HASHES": "1",
        "UV_BREAK_SYSTEM_PACKAGES": "1",
        "UV_ENV_FILE": str(checkout / "uv.lock"),
        "UV_WORKING_DIRECTORY": str(checkout),
        "PIP_INDEX_URL": nowhere,
        "PIP_CONFIG_FILE": str(checkout / "pip.conf"),
        "PIP_REQUIRE_VIRTUALENV": "1",
        "VIRTUAL_ENV": str(checkout / "planted"),
    }
    done = launch(checkout, tmp_path / "runner", "comment", "--help", environ=hostile)
    assert done.returncode == 0, done.stderr
    assert not (checkout / "planted").exists()


def test_the_machine_still_says_where_packages_are(tmp_path: Path) -> None:
    """A runner behind a mirror names it in a variable; that it is asked shows when nothing answers there."""
    nowhere = {"UV_DEFAULT_INDEX": "http://127.0.0.1:9/simple", "UV_CACHE_DIR": str(tmp_path / "cache")}
    done = launch(
        tmp_path, tmp_path / "runner", "comment", "--help", environ=nowhere | {"UV_HTTP_RETRIES": "0"}
    )
    assert done.returncode == 2
    assert "127.0.0.1:9" in done.stderr
    assert "could not install comment.txt" in done.stderr
    assert list((tmp_path / "runner" / "gitops-ml").iterdir()) == [], "half an environment was left behind"


def test_a_package_with_another_content_is_refused(tmp_path: Path) -> None:
    actions = tmp_path / "actions"
    shutil.copytree(ACTIONS, actions, ignore=shutil.ignore_patterns("__pycache__"))
    locked = actions / "requirements" / "comment.txt"
    lines = locked.read_text().splitlines()
    forged = [line[: line.index("sha256:") + 7] + "0" * 64 + (" \\" if line.endswith("\\") else "")
              if "--hash" in line else line for line in lines]  # fmt: skip
    locked.write_text("\n".join(forged) + "\n")
    done = launch(tmp_path, tmp_path / "runner", "comment", "--help", actions=actions)
    assert done.returncode == 2
    assert "Hash mismatch" in done.stderr


def test_installed_once_for_each_content(tmp_path: Path, temp: Path) -> None:
    first = launch(tmp_path, temp, "comment", "--help")
    marks = {path: path.stat().st_mtime_ns for path in (temp / "gitops-ml").glob("comment-*")}
    second = launch(tmp_path, temp, "comment", "--help")
    assert (first.returncode, second.returncode) == (0, 0)
    assert len(marks) == 1
    assert {path: path.stat().st_mtime_ns for path in (temp / "gitops-ml").glob("comment-*")} == marks


def test_two_at_the_same_time(tmp_path: Path) -> None:
    codes: list[int] = []

    def run() -> None:
        codes.append(launch(tmp_path, tmp_path / "runner", "comment", "--help").returncode)

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert codes == [0, 0, 0]
    assert [path.name for path in (tmp_path / "runner" / "gitops-ml").glob("new-*")] == []


def test_nothing_is_written_into_the_checkout_or_beside_the_code(tmp_path: Path) -> None:
    actions = tmp_path / "actions"
    shutil.copytree(ACTIONS, actions, ignore=shutil.ignore_patterns("__pycache__"))
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    assert launch(checkout, tmp_path / "runner", "none", "scope", "--help", actions=actions).returncode == 0
    assert list(checkout.iterdir()) == []
    assert list(actions.rglob("__pycache__")) == []


def test_compiled_files_of_the_checkout_are_not_run(tmp_path: Path) -> None:
    """A vendored package's __pycache__ could hold other code than the source beside it."""
    actions = tmp_path / "actions"
    shutil.copytree(ACTIONS, actions, ignore=shutil.ignore_patterns("__pycache__"))
    mark = tmp_path / "ran-compiled"
    evil = tmp_path / "errors.py"
    evil.write_text(PAYLOAD.format(mark=str(mark)) + "class UserError(Exception): pass\n")
    for python in {sys.executable, shutil.which("python3", path=PATH) or sys.executable}:
        compiled = actions / "gitops_ml" / "__pycache__"
        code = (
            "import py_compile, sys, importlib.util as u\n"
            "target = sys.argv[2] + '/errors.' + sys.implementation.cache_tag + '.pyc'\n"
            "py_compile.compile(sys.argv[1], target, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)\n"
        )
        subprocess.run([python, "-c", code, str(evil), str(compiled)], check=True)
        subprocess.run([python, "-c", "import gitops_ml.errors"], cwd=actions, check=False)
    assert mark.exists(), "the trap does not work"
    mark.unlink()
    assert launch(tmp_path, tmp_path / "runner", "none", "--help", actions=actions).returncode == 0
    assert not mark.exists()


@pytest.mark.parametrize(
    "words", [(), ("none",), ("../etc", "scope"), ("nothing", "scope"), ("none.txt", "x")]
)
def test_wrong_words_are_one_error(tmp_path: Path, words: tuple[str, ...]) -> None:
    done = launch(tmp_path, tmp_path / "runner", *words)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1


def test_without_uv_says_what_to_add(tmp_path: Path) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("bash", "env", "dirname", "mkdir"):
        (tools / name).symlink_to(shutil.which(name) or name)
    done = launch(tmp_path, tmp_path / "runner", "diff", "diff", environ={"PATH": str(tools)})
    assert done.returncode == 2
    said = "error: uv is not on PATH, and 'diff' needs it: install it as https://docs.astral.sh/uv says.\n"
    assert done.stderr == said
    done = launch(tmp_path, tmp_path / "runner", "none", "scope", environ={"PATH": str(tools)})
    assert done.stderr.startswith("error: Neither uv nor Python 3.11 or newer is on PATH, and 'scope'")
    done = launch(
        tmp_path, tmp_path / "runner", "diff", "x", environ={"PATH": str(tools), "GITHUB_ACTIONS": "true"}
    )
    assert done.stderr.startswith("::error::uv is not on PATH")
    assert "add the setup action before this step" in done.stderr


def test_locked_packages_are_those_asked_for() -> None:
    done = subprocess.run(
        [str(ACTIONS / "lock"), "--check"],
        env=os.environ | {"PATH": PATH},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_lock_out_of_step_is_found(tmp_path: Path) -> None:
    actions = tmp_path / "actions"
    shutil.copytree(ACTIONS, actions, ignore=shutil.ignore_patterns("__pycache__"))
    pyproject = actions / "pyproject.toml"
    text = pyproject.read_text()
    assert "urllib3>=2.6" in text
    pyproject.write_text(text.replace('"urllib3>=2.6"', '"urllib3>=2.6", "iniconfig>=2"'))
    done = subprocess.run(
        [str(actions / "lock"), "--check"],
        env=os.environ | {"PATH": PATH},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 1
    assert "iniconfig" in done.stdout
    assert "Run: actions/lock" in done.stderr


def test_the_package_can_be_installed_as_a_command(tmp_path: Path) -> None:
    """Outside of actions: a wheel with everything it needs at run time, and the command `gitops-ml`."""
    source = tmp_path / "actions"
    shutil.copytree(ACTIONS, source, ignore=shutil.ignore_patterns("__pycache__"))
    environ = os.environ | {"PATH": PATH}
    words = [
        "uv",
        "--no-config",
        "build",
        "--quiet",
        "--wheel",
        "--out-dir",
        str(tmp_path / "dist"),
        str(source),
    ]
    subprocess.run(words, env=environ, check=True, timeout=300)
    (wheel,) = (tmp_path / "dist").glob("gitops_ml-*.whl")
    packed = set(zipfile.ZipFile(wheel).namelist())
    wanted = {
        str(path.relative_to(ACTIONS))
        for path in (ACTIONS / "gitops_ml").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert wanted <= packed
    subprocess.run(["uv", "venv", "--quiet", str(tmp_path / "venv")], env=environ, check=True)
    install = [
        "uv",
        "--no-config",
        "pip",
        "install",
        "--quiet",
        "--python",
        str(tmp_path / "venv" / "bin" / "python"),
    ]
    subprocess.run([*install, str(wheel)], env=environ, check=True, timeout=300)
    command = [str(tmp_path / "venv" / "bin" / "gitops-ml"), "--help"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "usage: gitops-ml" in done.stdout
