"""`make demo`, as a person runs it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tools import demo, demo_step
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
    assert "| roc_auc primary |" in printed.replace("**", "")
    assert "model.params.C | 0.5 | 100.0" in printed
    assert "Delivery was skipped: no Docker engine with Compose answers here" in printed
    last = printed.strip().splitlines()[-1]
    assert last.startswith("Open next: ")
    assert Path(last.removeprefix("Open next: ")).read_text(encoding="utf-8").startswith("<!")
    assert (tmp_path / demo.SLUG / "mlflow.db").is_file()


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


def test_the_makefile_calls_the_demo() -> None:
    assert "-m tools.demo demo" in (ROOT / "Makefile").read_text(encoding="utf-8")
