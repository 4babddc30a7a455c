"""One run of the training command: what it cost, what it did, and that nothing it prints is obeyed."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from gitops_ml.errors import UserError
from gitops_ml.training import MemorySampler, Outcome, measure, run_command, tree_memory_kib, write_cost

from tests.actions.launching import files_of, launch

REPORT = "mkdir -p reports && echo '{\"roc_auc\": 0.9}' > reports/metrics.json"
# What DVC prints; the second is a stage taken from its cache of runs.
RAN = "echo \"Running stage 'train':\""
CACHED = "echo \"Stage 'train' is cached - skipping run, checking out outputs\""
UNCHANGED = "echo \"Stage 'prepare' didn't change, skipping\"; echo 'Data and pipelines are up to date.'"


def run(tmp_path: Path, command: str, **environ: str) -> tuple[Any, dict[str, str], str]:
    """Run the verb in `tmp_path`; returns the process, its outputs and its summary."""
    outputs, summary = tmp_path / "outputs", tmp_path / "summary"
    given = {"GITHUB_OUTPUT": str(outputs), "GITHUB_STEP_SUMMARY": str(summary), **environ}
    words = ("none", "train", f"--command={command}")
    done = launch(tmp_path, tmp_path / "runner", *words, environ=given)
    return (
        done,
        files_of(outputs) if outputs.exists() else {},
        summary.read_text() if summary.exists() else "",
    )


def cost(tmp_path: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((tmp_path / "reports" / "cost.json").read_text())
    return loaded


def test_a_training_is_measured(tmp_path: Path) -> None:
    done, outputs, summary = run(
        tmp_path, f"{REPORT}; mkdir model; head -c 1234 /dev/zero > model/model.skops"
    )
    assert done.returncode == 0, done.stderr
    found = cost(tmp_path)
    assert found["trained"] is True
    assert found["model_bytes"] == 1234
    assert found["duration_s"] >= 0
    assert found["peak_memory_mib"] > 0
    assert outputs["trained"] == "true"
    assert float(outputs["duration-s"]) == found["duration_s"]
    assert "Trained in" in summary


@pytest.mark.parametrize("said", [UNCHANGED, CACHED])
def test_nothing_to_do_is_said(tmp_path: Path, said: str) -> None:
    done, outputs, summary = run(tmp_path, f"{REPORT}; {said}")
    assert done.returncode == 0, done.stderr
    assert cost(tmp_path) == {
        "duration_s": None,
        "peak_memory_mib": None,
        "model_bytes": None,
        "trained": False,
    }
    assert outputs == {"trained": "false", "duration-s": "", "peak-memory-mib": ""}
    assert "Nothing had to be trained" in summary


def test_one_stage_that_ran_is_a_training(tmp_path: Path) -> None:
    run(tmp_path, f"{REPORT}; {CACHED}; {RAN}")
    assert cost(tmp_path)["trained"] is True


def test_a_command_that_says_nothing_is_a_training(tmp_path: Path) -> None:
    run(tmp_path, REPORT)
    assert cost(tmp_path)["trained"] is True


def test_a_failure_keeps_its_reason_and_writes_no_cost(tmp_path: Path) -> None:
    done, outputs, summary = run(tmp_path, f"{REPORT}; echo out of memory; exit 7")
    assert done.returncode == 2
    assert "out of memory" in done.stdout
    assert "exit code 7" in done.stderr
    assert "exit code 7" in summary
    assert outputs == {}
    assert not (tmp_path / "reports" / "cost.json").exists()


@pytest.mark.parametrize("command", ["false | true", "cat < missing; true", "echo $UNSET_NAME"])
def test_a_failure_in_the_middle_is_not_missed(tmp_path: Path, command: str) -> None:
    done, _, _ = run(tmp_path, f"{REPORT}; {command}")
    assert done.returncode == 2


def test_success_without_metrics_is_an_error(tmp_path: Path) -> None:
    done, outputs, _ = run(tmp_path, "true")
    assert done.returncode == 2
    assert "reports/metrics.json is not there" in done.stderr
    assert outputs == {}


def test_a_folder_that_is_missing_is_an_error(tmp_path: Path) -> None:
    words = ("none", "train", "--command=true", f"--working-directory={tmp_path / 'nowhere'}")
    done = launch(tmp_path, tmp_path / "runner", *words)
    assert done.returncode == 2
    assert "could not be started" in done.stderr


def test_other_folders(tmp_path: Path) -> None:
    (tmp_path / "project").mkdir()
    options = ("--working-directory=project", "--reports=out", "--model=files")
    command = "mkdir out files && echo '{}' > out/metrics.json && printf abc > files/a && printf de > files/b"
    done = launch(tmp_path, tmp_path / "runner", "none", "train", f"--command={command}", *options)
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "project" / "out" / "cost.json").read_text())["model_bytes"] == 5


def test_what_the_command_prints_is_not_obeyed(tmp_path: Path) -> None:
    """Between `stop-commands` and a token that can't be guessed the runner obeys nothing."""
    hostile = "echo '::set-output name=trained::false'; echo '::add-mask::a'; echo '::stop-commands::x'; echo '::x::'"
    done, _, _ = run(tmp_path, f"{hostile}; {REPORT}", GITHUB_ACTIONS="true")
    lines = done.stdout.splitlines()
    start = re.fullmatch(r"::stop-commands::([0-9a-f]{32})", lines[0])
    assert start
    end = lines.index(f"::{start[1]}::")
    assert [line for line in lines[1:end] if line.startswith("::")] == [
        "::set-output name=trained::false",
        "::add-mask::a",
        "::stop-commands::x",
        "::x::",
    ]
    assert not [line for line in lines[end + 1 :] if line.startswith("::")]


def test_the_runner_obeys_again_after_a_failure(tmp_path: Path) -> None:
    done, _, _ = run(tmp_path, "exit 3", GITHUB_ACTIONS="true")
    token = done.stdout.splitlines()[0].removeprefix("::stop-commands::")
    assert f"::{token}::" in done.stdout
    assert done.stdout.index(f"::{token}::") < done.stdout.index("::error::")


def test_output_in_a_wrong_encoding_is_passed_on(tmp_path: Path) -> None:
    done, _, _ = run(tmp_path, rf"printf '\xff\xfe caf\xe9\n'; {REPORT}")
    assert done.returncode == 0, done.stderr
    assert "caf" in done.stdout


def test_the_command_sees_the_callers_environment(tmp_path: Path) -> None:
    """The launcher cleans up for itself only: a training command may rely on PYTHONPATH or uv's variables."""
    command = f'{REPORT}; echo "seen: $PYTHONPATH $UV_PYTHON"'
    done, _, _ = run(tmp_path, command, PYTHONPATH="/some/where", UV_PYTHON="3.12")
    assert "seen: /some/where 3.12" in done.stdout


HOLD = "import sys; block = b'x' * (60 * 2**20); print('held', flush=True); sys.stdin.readline()"
PARENT = """
import subprocess, sys
command = [sys.executable, "hold.py"]
children = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(2)]
for child in children:
    child.stdout.readline()
sys.stdin.readline()
for child in children:
    child.communicate()
"""


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="this machine has no /proc to read memory from")
def test_memory_of_children_counts_together(tmp_path: Path) -> None:
    """Two children with 60 MiB each at the same time, neither of which alone explains the sum."""
    (tmp_path / "hold.py").write_text(HOLD, encoding="utf-8")
    (tmp_path / "parent.py").write_text(PARENT, encoding="utf-8")
    command = [sys.executable, "parent.py"]
    with subprocess.Popen(command, cwd=tmp_path, stdin=subprocess.PIPE, text=True) as parent:
        with MemorySampler(parent.pid) as sampler:
            deadline = time.monotonic() + 120
            while sampler.peak_kib < 120 * 1024 and time.monotonic() < deadline:
                time.sleep(0.01)
        parent.communicate("go\n")
    assert sampler.peak_kib >= 120 * 1024
    assert parent.returncode == 0


def test_the_largest_child_counts_although_it_is_gone(tmp_path: Path) -> None:
    """A child that comes and goes between two samples is known to the kernel."""
    code = "block = b'x' * (200 * 2**20)"
    outcome = run_command(f"'{sys.executable}' -c \"{code}\"", tmp_path, io.StringIO())
    assert outcome.peak_memory_mib >= 200


def test_a_process_tree_is_added_up(tmp_path: Path) -> None:
    """Against a made-up /proc: children of children count, strangers do not, and names may hold anything."""
    for pid, parent, name, kib in (
        (10, 1, "make", 100),
        (11, 10, "dvc) S 1 (", 2000),
        (12, 11, "python", 30000),
        (13, 1, "stranger", 400000),
    ):
        entry = tmp_path / str(pid)
        entry.mkdir()
        (entry / "stat").write_text(f"{pid} ({name}) S {parent} 0 0\n")
        (entry / "smaps_rollup").write_text(f"00400000-7ffd rollup\nRss: 999999 kB\nPss:    {kib} kB\n")
    (tmp_path / "14").mkdir()  # gone between listing and reading
    assert tree_memory_kib(10, tmp_path) == 32100
    (tmp_path / "12" / "smaps_rollup").unlink()
    (tmp_path / "12" / "status").write_text("Name:\tpython\nVmRSS:\t   5 kB\n")
    assert tree_memory_kib(10, tmp_path) == 2105


def test_a_failed_command_never_had_nothing_to_do() -> None:
    assert not Outcome(1, 1.0, 1.0, ran=False, skipped=True).nothing_to_do
    assert Outcome(0, 1.0, 1.0, ran=False, skipped=True).nothing_to_do
    assert measure(Outcome(0, 1.0, 1.0, ran=True, skipped=True), Path("nowhere")).trained


def test_cost_needs_metrics(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"metrics\.json is not there"):
        write_cost(measure(Outcome(0, 1.0, 1.0, True, False), tmp_path), tmp_path)
