"""`kubectl`: the one way to a cluster, with the credentials that the run has for it."""

from __future__ import annotations

import datetime as dt
import json
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from gitops_ml.delivery.manifests import Object
from gitops_ml.errors import UserError

TIMEOUT_S = 120
# Who changed a field, as the cluster remembers it.
MANAGER = "gitops-ml"
_SERVING = re.compile(r"Starting to serve on 127\.0\.0\.1:(\d+)")


@dataclass(frozen=True)
class Said:
    """What a command said."""

    code: int
    output: str
    errors: str

    @property
    def problem(self) -> str:
        """The line that says what is wrong: what comes before it are warnings, what comes after is advice."""
        lines = [line.strip() for line in self.errors.splitlines() if line.strip()]
        found = [line for line in lines if not line.startswith("Warning:")] or [f"exit code {self.code}"]
        return found[0].removeprefix("error: ")[:500]


@dataclass(frozen=True)
class Kubectl:
    """Commands in one namespace of the cluster that `context` names, else of the current one."""

    namespace: str
    context: str | None
    environ: Mapping[str, str] = field(repr=False)

    def try_(self, *words: str, stdin: str | None = None, timeout: float = TIMEOUT_S) -> Said:
        """Run a command and return what it said; raises `UserError` when kubectl is missing or hangs."""
        try:
            done = subprocess.run(
                self._command(*words),
                env=dict(self.environ),
                input=stdin if stdin is not None else "",
                capture_output=True,
                text=True,
                errors="replace",
                timeout=timeout,
            )
        except subprocess.TimeoutExpired:
            raise UserError(f"kubectl {words[0]} did not end within {timeout:.0f} s.") from None
        return Said(done.returncode, done.stdout, done.stderr)

    def run(self, *words: str, stdin: str | None = None) -> str:
        """Run a command that has to succeed; raises `UserError` with what kubectl said."""
        said = self.try_(*words, stdin=stdin)
        if said.code != 0:
            raise self.refused(words[0], said)
        return said.output

    def refused(self, verb: str, said: Said) -> UserError:
        where = f"context {self.context}" if self.context else "the current context"
        fix = f"Look at it with the same access: kubectl --namespace {self.namespace} get deployments ({where})."
        if re.search(r"namespaces \S+ not found", said.errors):
            fix = f"Create it once: kubectl create namespace {self.namespace}"
        elif "forbidden" in said.errors.lower():
            fix = "docs/delivery.md of the template lists the rights that a deployment needs."
        return UserError(f"kubectl {verb} failed: {said.problem}", fix)

    def get(self, *words: str) -> list[Object]:
        """The objects that `kubectl get` finds for `words`; none of them is an empty list."""
        return _objects(self.run("get", *words, "--ignore-not-found", "--output=json"))

    def get_same(self, objects: Iterable[Object]) -> list[Object]:
        """Those of `objects` that the cluster has, as it has them."""
        words = ("get", "--filename=-", "--ignore-not-found", "--output=json")
        return _objects(self.run(*words, stdin=as_list(objects)))

    def rollout_status(self, deployment: str, patience: dt.timedelta) -> Said:
        """Wait until the pods of `deployment` are replaced, or `patience` is over; says which."""
        seconds = patience.total_seconds()
        words = ("rollout", "status", f"deployment/{deployment}", f"--timeout={seconds:.0f}s")
        # The command ends by itself; a minute more is for a server that is slow to say so.
        return self.try_(*words, timeout=seconds + 60)

    @contextmanager
    def proxy(self, paths: str) -> Iterator[str]:
        """An address on this machine from which the paths of the API server that match `paths` can be asked.

        It needs no port of a pod to be forwarded, and a stranger on this machine reaches those paths only.
        """
        words = ("proxy", "--port=0", f"--accept-paths={paths}")
        process = subprocess.Popen(
            self._command(*words),
            env=dict(self.environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            yield f"http://127.0.0.1:{_port(process.stdout or ())}"
        finally:
            process.terminate()
            process.wait()
            if process.stdout:
                process.stdout.close()

    def _command(self, *words: str) -> list[str]:
        program = shutil.which("kubectl", path=self.environ.get("PATH"))
        if program is None:
            raise UserError("kubectl is not on PATH.", "Install kubectl on this runner.")
        context = [f"--context={self.context}"] if self.context else []
        return [program, *context, f"--namespace={self.namespace}", *words]


def as_list(objects: Iterable[Object]) -> str:
    """`objects` as one JSON text that kubectl reads."""
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})


def _port(lines: Iterable[str]) -> str:
    """The port that the proxy names once it listens; raises `UserError` when it ends before."""
    last = "it said nothing"
    for line in lines:
        found = _SERVING.search(line)
        if found is not None:
            return found[1]
        last = line.strip() or last
    raise UserError(f"kubectl proxy did not start: {last[:300]}")


def _objects(text: str) -> list[Object]:
    if not text.strip():
        return []
    try:
        value: Any = json.loads(text)
    except (ValueError, RecursionError):
        raise UserError("kubectl answered with something that is not JSON.") from None
    items = value.get("items") if str(value.get("kind", "")).endswith("List") else [value]
    return [dict(one) for one in items or []]
