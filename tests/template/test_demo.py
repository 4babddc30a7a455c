"""`make demo`, as a person runs it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tools import demo, demo_step
from tools.demo_delivery import find_machine
from tools.template_files import ROOT, SKIP_LOCK


def test_the_demo_trains_compares_and_says_what_to_open(
    environ: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    # Without an engine the demo ends with the report; tests/image shows how it goes on with one.
    monkeypatch.setattr("os.environ", environ | {"DOCKER_HOST": f"unix://{tmp_path}/no-engine.sock"})
    earlier = tmp_path / demo.SLUG / "left over from an earlier demo"
    earlier.mkdir(parents=True)
    assert demo.main([str(tmp_path)]) == 0
    printed = capfd.readouterr().out
    assert not earlier.exists()
    assert "❌ Fails: log_loss is 0.29" in printed
    assert re.search(r"^  parameter  model\.params\.C  0\.5 +100\.0$", printed, re.MULTILINE)
    assert "Delivery was skipped: no Docker engine with Compose answers here" in printed
    last = printed.strip().splitlines()[-1]
    assert last.startswith("Open next: ")
    assert Path(last.removeprefix("Open next: ")).read_text(encoding="utf-8").startswith("<!")
    assert (tmp_path / demo.SLUG / "mlflow.db").is_file()


def test_a_compose_that_is_too_old_is_no_machine(tmp_path: Path) -> None:
    docker = tmp_path / "docker"
    docker.write_text("#!/bin/sh\necho 1.29.2\n", encoding="utf-8")
    docker.chmod(0o755)
    with pytest.raises(demo_step.DemoError, match=r"Compose is 1\.29\.2; 2\.23\.1 or newer is needed"):
        find_machine({"PATH": str(tmp_path)})


def test_inside_this_checkout_the_demo_is_a_repository_of_its_own(
    environ: dict[str, str], tmp_path: Path
) -> None:
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, env=environ, check=True)
    (tmp_path / ".gitignore").write_text("demo/\n", encoding="utf-8")
    project = demo.generate(tmp_path / "demo", environ | {SKIP_LOCK: "1"})
    log = subprocess.run(
        ["git", "log", "--format=%s"], cwd=project, env=environ, capture_output=True, text=True
    )
    assert log.stdout.strip() == "Start from the template"
    assert (project / ".git").is_dir()


def test_a_step_that_fails_is_named_with_what_it_printed(tmp_path: Path) -> None:
    bench = demo_step.Demo(tmp_path, {"PATH": "/usr/bin:/bin"})
    with pytest.raises(
        demo_step.DemoError, match=r"doing nothing: `sh -c echo reason; exit 3`.*failed"
    ) as error:
        bench.run("doing nothing", ["sh", "-c", "echo reason; exit 3"])
    assert "reason" in str(error.value)


def test_a_parameter_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text("model: {}\n", encoding="utf-8")
    with pytest.raises(demo_step.DemoError, match="does not hold the line"):
        demo_step.Demo(tmp_path, {}).change_parameter("C: 0.5", "C: 1.0")


def test_it_uses_the_python_that_is_there_when_that_is_offered() -> None:
    assert demo.python_version((3, 13)) == "3.13"
    assert demo.python_version((3, 99)) == "3.11"


# What a Python without the module venv, and one that is too old, answer to the questions of the Makefile.
PYTHONS = {
    "bare": 'case "$2" in *ensurepip*) exit 1;; esac',
    "old": 'exec python3 -c "import sys; sys.version_info = (3, 9); $2"',
}


@pytest.mark.parametrize(
    ("without", "python", "sentence"),
    [
        ("git", "python3", "git is missing; on Debian and Ubuntu: sudo apt-get install git"),
        (
            "",
            "python9",
            "python9 is missing; on Debian and Ubuntu: sudo apt-get install python3 python3-venv",
        ),
        (
            "",
            "bare",
            "Python's module venv is missing; on Debian and Ubuntu: sudo apt-get install python3-venv",
        ),
        ("", "old", "Python 3.11 or newer is needed: make PYTHON=python3.12"),
    ],
)
def test_what_the_machine_lacks_is_one_sentence(
    without: str, python: str, sentence: str, tmp_path: Path
) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in {"bash", "git", "make", "sh"} - {without}:
        (programs / name).symlink_to(shutil.which(name) or "")
    (programs / "python3").symlink_to(sys.executable)
    for name, answer in PYTHONS.items():
        (programs / name).write_text(f"#!/bin/bash\n{answer}\n", encoding="utf-8")
        (programs / name).chmod(0o755)
    for name in ("Makefile", "requirements-demo.txt"):
        shutil.copy2(ROOT / name, tmp_path)
    done = subprocess.run(
        ["make", "demo", f"PYTHON={python}"],
        cwd=tmp_path,
        env={"PATH": str(programs)},
        capture_output=True,
        text=True,
    )
    assert done.returncode != 0
    said = [line for line in (done.stdout + done.stderr).splitlines() if not line.startswith("make")]
    assert said == [f"error: {sentence}"]
    assert not (tmp_path / ".venv").exists()
