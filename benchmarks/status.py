"""How long `gitops-ml status` takes with many releases and deployments on record.

Makes a repository in a temporary folder (main with one commit per release, deploy-state with the records), clones it as
a runner would, and times the command as a process of its own, reading what was fetched.
Run: python benchmarks/status.py
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "actions"))

from gitops_ml.delivery.build import build_key  # noqa: E402
from gitops_ml.delivery.deployment import Intent, Outcome  # noqa: E402
from gitops_ml.delivery.environment import render  # noqa: E402
from gitops_ml.delivery.evidence import Evidence  # noqa: E402
from gitops_ml.delivery.git import Git  # noqa: E402
from gitops_ml.delivery.records import to_files  # noqa: E402
from gitops_ml.delivery.release import Artifacts, Manifest, release_id  # noqa: E402
from gitops_ml.delivery.typed import Run  # noqa: E402

START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
RUN = Run(workflow=".github/workflows/deliver.yml@refs/heads/main")
POLICY = "schema: 1\nenvironments:\n  - {name: staging, follow: true}\n  - {name: production}\n"
STAGING = "schema: 1\nenvironment: staging\nfollow: main\n"


def fast_import(folder: Path, branch: str, commits: list[dict[str, bytes]]) -> None:
    """Write `commits`, each the files that it changes, to `branch`."""
    out = [b"feature done\n"]
    for index, files in enumerate(commits):
        out.append(
            f"commit refs/heads/{branch}\ncommitter a <a@example.org> {1767225600 + index} +0000\n".encode()
        )
        out.append(b"data 1\nx\n")
        for path, content in files.items():
            out.append(f"M 100644 inline {path}\ndata {len(content)}\n".encode() + content + b"\n")
    subprocess.run(
        ["git", "fast-import", "--quiet"], cwd=folder, input=b"".join([*out, b"done\n"]), check=True
    )


def manifests(git: Git, releases: int) -> list[Manifest]:
    """One release per commit of main."""
    commits = git.run("rev-list", "--reverse", "--first-parent", "main").text.split()[:releases]
    made = []
    for number, commit in enumerate(commits, start=1):
        artifacts = Artifacts(
            commit=commit,
            build_key=build_key(git.entries(commit)),
            image=f"ghcr.io/octo/churn@sha256:{number:064x}",
            model=f"{number:064x}",
            data=f"{1:064x}",
            run=f"run-{number}",
            contract=f"{2:064x}",
        )
        metrics = {"roc_auc": 0.9, "log_loss": 0.1}
        made.append(
            Manifest(
                schema=1,
                release=release_id(artifacts),
                artifacts=artifacts,
                sequence=number,
                primary="roc_auc",
                metrics=metrics,
                run=RUN,
                at=START,
            )
        )
    return made


def records(made: list[Manifest], deployments: int) -> dict[str, bytes]:
    """Every manifest, and `deployments` deployments with outcome and evidence, four in five of them to staging."""
    files = to_files(*made)
    for number in range(deployments):
        name, manifest = (
            ("production" if number % 5 == 4 else "staging"),
            made[number * len(made) // deployments],
        )
        at = START + dt.timedelta(minutes=number)
        place = {
            "environment": name,
            "release": manifest.release,
            "generation": 1,
            "attempt": number + 1,
            "at": at,
        }
        intent = Intent(**place, fence=number + 1, by="ann", run=RUN)
        outcome = Outcome(**place, healthy=True, digest=manifest.artifacts.digest)
        proof = Evidence(
            **place, digest=manifest.artifacts.digest, checks={"version": True}, policy="0" * 64, run=RUN
        )
        files |= to_files(intent, outcome, proof)
    return files


def build(folder: Path, releases: int, deployments: int) -> Path:
    """The clone to measure in."""
    origin, clone = folder / "origin.git", folder / "clone"
    subprocess.run(["git", "init", "--quiet", "--bare", "--initial-branch=main", str(origin)], check=True)
    files = {"environments/pipeline.yaml": POLICY, "environments/staging.yaml": STAGING}
    first = {path: text.encode() for path, text in files.items()}
    first["environments/production.yaml"] = render("production", None)
    first |= {f"src/churn/module{number}.py": b"x = 1\n" for number in range(60)}
    commits = [first, *({"src/churn/model.py": f"version = {n}\n".encode()} for n in range(1, releases))]
    fast_import(origin, "main", commits)
    fast_import(origin, "deploy-state", [records(manifests(Git(origin), releases), deployments)])
    subprocess.run(["git", "clone", "--quiet", f"file://{origin}", str(clone)], check=True)
    return clone


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--releases", type=int, default=1000)
    parser.add_argument("--deployments", type=int, default=5000)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        clone = build(Path(folder), options.releases, options.deployments)
        command = [sys.executable, "-m", "gitops_ml", "status", "--offline", "--repository", str(clone)]
        environ = {**os.environ, "PYTHONPATH": str(ROOT / "actions")}
        seconds = []
        for _ in range(options.runs):
            began = time.perf_counter()
            done = subprocess.run(command, env=environ, capture_output=True, text=True)
            seconds.append(time.perf_counter() - began)
            if done.returncode not in (0, 1) or "production" not in done.stdout:
                raise SystemExit(done.stderr)
        print(done.stdout)
    said = f"{options.releases} releases, {options.deployments} deployments: "
    print(f"{said}median {statistics.median(seconds):.2f} s, fastest {min(seconds):.2f} s of {options.runs}")


if __name__ == "__main__":
    main()
