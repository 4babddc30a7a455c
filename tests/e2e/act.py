"""The generated workflows under act (nektos/act): one run, what became of its jobs, and what it left behind."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.e2e import egress
from tests.tools.required import ROOT, need

STAND_INS = Path(__file__).parent / "stand_ins"
TIMEOUT_S = 900
TOKEN = "token-of-the-run"
_USES = re.compile(r"uses:\s*(?P<action>[\w-]+/[\w-]+)(?:/[\w/-]+)?@(?P<commit>[0-9a-f]{40})")
# What a machine says about how to reach the network and where things are kept; nothing else reaches a run.
_KEPT = re.compile(
    r"PATH|LANG|UV_(?:DEFAULT_INDEX|INDEX.*|EXTRA_INDEX_URL|FIND_LINKS|CACHE_DIR|HTTP_.*|NATIVE_TLS|SYSTEM_CERTS|OFFLINE)"
    r"|UV_PYTHON_(?:INSTALL_DIR|.*_MIRROR)|SSL_CERT_(?:FILE|DIR)|\w+_CA_BUNDLE|(?:https?|no|all)_proxy|(?:HTTPS?|NO|ALL)_PROXY"
)


@dataclass(frozen=True)
class ActRun:
    """One finished run: act's exit code, job results by id, everything it printed, and the folder of its artifacts."""

    code: int
    results: Mapping[str, str]
    log: str
    artifacts: Path

    def artifact(self, name: str) -> Path:
        """Folder of the artifact `name`; fails with the log when there is none."""
        path = self.artifacts / name
        assert path.is_dir(), f"no artifact {name}; results {self.results}\n{self.log[-6000:]}"
        return path

    def report(self) -> dict[str, Any]:
        loaded: dict[str, Any] = json.loads((self.artifact("gitops-ml-report") / "report.json").read_text())
        return loaded


@dataclass(frozen=True)
class Suite:
    """Repositories that act fetches actions from, below `server` as <owner>/<name>; their files are in `actions`."""

    server: Path
    actions: Path

    @property
    def address(self) -> str:
        return self.server.as_uri()


@dataclass(frozen=True)
class Act:
    """Runs workflows in a folder of its own; caches and artifacts are kept in `store`, as GitHub keeps them."""

    folder: Path
    store: Path
    origin: Path
    environment: Path  # of the project's packages, shared by all jobs
    engine: Mapping[str, str] = field(default_factory=dict)  # what says where the container engine is
    # Of the repository, as `vars` in a workflow. The tests' own engine has no network but the host's.
    variables: Mapping[str, str] = field(default_factory=lambda: {"GITOPS_ML_NETWORK": "host"})
    secrets: Mapping[str, str] = field(default_factory=lambda: {"GITHUB_TOKEN": TOKEN})
    alone: tuple[str, ...] = ()  # jobs that do not share it, because they install something else
    environ: Mapping[str, str] = field(default_factory=dict)  # of every job, beside what a runner gives it
    suite: Suite | None = None  # where the workflows take the actions from that are not in the checkout
    trace: Path | None = None  # where it is written to whom a run connects

    def run(
        self,
        checkout: Path,
        workflow: str,
        event: str,
        payload: Mapping[str, Any],
        run_number: int,
        environ: Mapping[str, str] | None = None,
        kill_when: Callable[[], bool] | None = None,
    ) -> ActRun:
        """Run `workflow` of `checkout` for one event; the run's id is its number. `kill_when` ends it by force."""
        act = need("act")
        self.folder.mkdir(parents=True, exist_ok=True)
        # A run's answer may be asked for twice.
        home = Path(tempfile.mkdtemp(prefix=f"run-{run_number}-{event}-", dir=self.folder))
        config = home / ".config" / "act"
        config.mkdir(parents=True)
        # Without a file of its own act asks a question.
        (config / "actrc").touch()
        event_file = home / "event.json"
        event_file.write_text(json.dumps(payload), encoding="utf-8")
        command = self._command(act, checkout, workflow, event, event_file, run_number, environ or {})
        environment = {
            **machine_environment(),
            **self.engine,
            "HOME": str(home),
            "XDG_CONFIG_HOME": str(home / ".config"),
            "GIT_CONFIG_NOSYSTEM": "1",
        }
        if self.trace is not None:
            command = [*egress.command(self.trace), *command]
        code, printed = _watched(command, environment, home / "printed.txt", kill_when)
        results, log = read_log(printed)
        (home / "log.txt").write_text(log, encoding="utf-8")
        return ActRun(code, results, log, self.store / "artifacts" / str(run_number))

    def _command(
        self,
        act: Path,
        checkout: Path,
        workflow: str,
        event: str,
        event_file: Path,
        run_number: int,
        environ: Mapping[str, str],
    ) -> list[str]:
        """act's command line; what act keeps for itself lies beside `event_file`."""
        given = {
            "GITHUB_RUN_ID": str(run_number),
            "GITHUB_RUN_NUMBER": str(run_number),
            "GITHUB_RUN_ATTEMPT": "1",
            "GITHUB_REPOSITORY": "octo/model",
            "STAND_IN_ORIGIN": str(self.origin),
            "STAND_IN_STORE": str(self.store),
            "STAND_IN_VENV": str(self.environment),
            "STAND_IN_ALONE": " ".join(self.alone),
            **self.environ,
            **environ,
        }
        if self.suite is not None:
            given["GITHUB_SERVER_URL"] = self.suite.address
        command = [
            *(str(act), event, "--json", "--directory", str(checkout)),
            *("--workflows", str(checkout / ".github" / "workflows" / workflow)),
            *("--eventpath", str(event_file), "--platform", "ubuntu-24.04=-self-hosted"),
            *("--no-skip-checkout", "--use-new-action-cache", "--no-cache-server", "--concurrent-jobs", "1"),
            # Not blanked out in the log, because there the tests look for them.
            *("--action-cache-path", str(event_file.parent / "actions"), "--insecure-secrets"),
            *("--env-file", os.devnull, "--secret-file", os.devnull, "--var-file", os.devnull),
        ]
        server = "" if self.suite is None else f"{self.suite.address}/"
        for name, folder in stand_ins(checkout, workflow, self.suite).items():
            command += ["--local-repository", f"{server}{name}={folder}"]
        for name, value in self.secrets.items():
            command += ["--secret", f"{name}={value}"]
        for name, value in self.variables.items():
            command += ["--var", f"{name}={value}"]
        for name, value in given.items():
            command += ["--env", f"{name}={value}"]
        return command


def _watched(
    command: list[str], environment: Mapping[str, str], output: Path, kill_when: Callable[[], bool] | None
) -> tuple[int, str]:
    """Run to the end, or until `kill_when`: then act and everything that it started is killed at once."""
    deadline = time.monotonic() + TIMEOUT_S
    with (
        output.open("wb") as file,
        subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT
        ) as running,
    ):
        while running.poll() is None:
            if time.monotonic() > deadline or (kill_when is not None and kill_when()):
                kill_tree(running.pid)
                running.wait()
            time.sleep(0.05)
    assert time.monotonic() <= deadline, f"act did not end within {TIMEOUT_S} s"
    return running.returncode, output.read_text(encoding="utf-8", errors="replace")


def kill_tree(pid: int) -> None:
    """SIGKILL to `pid` and all below it, as when a runner is lost; stopped first, so that it starts no more."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGSTOP)
        for child in Path(f"/proc/{pid}/task").glob("*/children"):
            for one in child.read_text().split():
                kill_tree(int(one))
        os.kill(pid, signal.SIGKILL)


def machine_environment() -> dict[str, str]:
    """The part of this process' environment that a runner would have."""
    kept = {name: value for name, value in os.environ.items() if _KEPT.fullmatch(name)}
    home = Path.home()
    kept.setdefault("UV_CACHE_DIR", str(home / ".cache" / "uv"))
    kept.setdefault("UV_PYTHON_INSTALL_DIR", str(home / ".local" / "share" / "uv" / "python"))
    # The project's own tools must come from its own environment, not from ours.
    ours = str(ROOT / ".venv" / "bin")
    path = [entry for entry in kept["PATH"].split(os.pathsep) if entry != ours]
    kept["PATH"] = os.pathsep.join([*path, ours])
    return kept


def stand_ins(checkout: Path, workflow: str, suite: Suite | None = None) -> dict[str, Path]:
    """`owner/name@commit` of every third-party action that `workflow` may use, with the folder that stands in for it.

    Fails for an action without one, so that no run reaches for the network.
    """
    own = checkout / ".github" / "workflows" / workflow
    # Workflows that others call begin with a line.
    actions = checkout / ".github" / "actions" if suite is None else suite.actions
    paths = [own, *own.parent.glob("_*.yml"), *actions.rglob("*.yml")]
    texts = [path.read_text(encoding="utf-8") for path in sorted(paths)]
    found = {}
    for text in texts:
        for match in _USES.finditer(text):
            folder = STAND_INS / match["action"].split("/")[1]
            assert folder.is_dir(), f"{match['action']} has no stand-in in {STAND_INS}"
            found[f"{match['action']}@{match['commit']}"] = folder
    return found


def read_log(text: str) -> tuple[dict[str, str], str]:
    """Results by job, and what was said, one line per line; act prints one JSON object per line."""
    results: dict[str, str] = {}
    said = []
    for line in text.splitlines():
        try:
            value = json.loads(line)
        except ValueError:
            said.append(line)
            continue
        # A job of a reusable workflow is shown as caller/workflow/job; its result is the caller's.
        names = value.get("job", "").strip().split("/")
        job = names[0] if len(names) == 3 else value.get("jobID", "")
        if "jobResult" in value:
            results[job] = value["jobResult"]
        said.append(f"[{job}] {value.get('msg', '').rstrip()}")
    return results, "\n".join(said)


def jobs_of(workflow: Path) -> list[str]:
    return list(yaml.safe_load(workflow.read_text(encoding="utf-8"))["jobs"])
