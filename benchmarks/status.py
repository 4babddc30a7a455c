"""How long `gitops-ml status`, and `deploy` with nothing to do, take with many releases and deployments on record.

Makes a repository in a temporary folder (main with one commit per release, deploy-state with the records), clones it as
a runner would, and times each command as a process of its own. `status` reads what was fetched. `deploy` asks the
origin, which is a folder here, and a registry in this process, which has the tag that is wanted.
Run: python benchmarks/status.py
"""

from __future__ import annotations

import argparse
import datetime as dt
import hashlib
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "actions"))

from gitops_ml.delivery.build import build_key  # noqa: E402
from gitops_ml.delivery.deployment import Intent, Outcome  # noqa: E402
from gitops_ml.delivery.environment import render  # noqa: E402
from gitops_ml.delivery.evidence import Evidence  # noqa: E402
from gitops_ml.delivery.git import Git  # noqa: E402
from gitops_ml.delivery.pipeline import Pipeline, read_pipeline  # noqa: E402
from gitops_ml.delivery.records import to_files  # noqa: E402
from gitops_ml.delivery.release import Artifacts, Manifest, release_id  # noqa: E402
from gitops_ml.delivery.typed import Run  # noqa: E402
from gitops_ml.reading import read_document  # noqa: E402

START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
RUN = Run(workflow=".github/workflows/deliver.yml@refs/heads/main")
POLICY = "schema: 1\nimage: HOST/octo/churn\nenvironments:\n  - {name: staging, follow: true}\n  - {name: production}\n"
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


def image_of(number: int) -> bytes:
    """The manifest of the image of release `number`."""
    return f'{{"schemaVersion": 2, "number": {number}}}'.encode()


def serve(newest: int) -> ThreadingHTTPServer:
    """A registry in which every tag is the image of release `newest`."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = image_of(newest)
            self.send_response(200)
            self.send_header("Content-Type", "application/vnd.oci.image.manifest.v1+json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *words: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def manifests(git: Git, releases: int, host: str) -> list[Manifest]:
    """One release per commit of main."""
    commits = git.run("rev-list", "--reverse", "--first-parent", "main").text.split()[:releases]
    made = []
    for number, commit in enumerate(commits, start=1):
        artifacts = Artifacts(
            commit=commit,
            build_key=build_key(git.entries(commit)),
            image=f"{host}/octo/churn@sha256:{hashlib.sha256(image_of(number)).hexdigest()}",
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


def records(made: list[Manifest], deployments: int, pipeline: Pipeline) -> dict[str, bytes]:
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
        intent = Intent(**place, fence=manifest.sequence, by="ann", run=RUN)
        outcome = Outcome(**place, healthy=True, digest=manifest.artifacts.digest)
        proof = Evidence(
            **place,
            digest=manifest.artifacts.digest,
            checks={"version": True},
            policy=pipeline.policy(name),
            run=RUN,
        )
        files |= to_files(intent, outcome, proof)
    return files


def build(folder: Path, releases: int, deployments: int, host: str) -> Path:
    """The clone to measure in; `host` is where the images are."""
    policy = POLICY.replace("HOST", host)
    pipeline = read_pipeline(read_document(policy.encode(), "pipeline.yaml"))
    origin, clone = folder / "origin.git", folder / "clone"
    subprocess.run(["git", "init", "--quiet", "--bare", "--initial-branch=main", str(origin)], check=True)
    files = {"environments/pipeline.yaml": policy, "environments/staging.yaml": STAGING}
    first = {path: text.encode() for path, text in files.items()}
    first["environments/production.yaml"] = render("production", None)
    first |= {f"src/churn/module{number}.py": b"x = 1\n" for number in range(60)}
    commits = [first, *({"src/churn/model.py": f"version = {n}\n".encode()} for n in range(1, releases))]
    fast_import(origin, "main", commits)
    fast_import(
        origin, "deploy-state", [records(manifests(Git(origin), releases, host), deployments, pipeline)]
    )
    subprocess.run(["git", "clone", "--quiet", f"file://{origin}", str(clone)], check=True)
    return clone


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--releases", type=int, default=1000)
    parser.add_argument("--deployments", type=int, default=5000)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    server = serve(options.releases)
    with tempfile.TemporaryDirectory() as folder:
        clone = build(Path(folder), options.releases, options.deployments, f"127.0.0.1:{server.server_port}")
        print(f"{options.releases} releases, {options.deployments} deployments:")
        for words, wanted in (
            (["status", "--offline"], "production"),
            (["deploy", "--environment", "staging"], "staging: nothing: "),
        ):
            seconds = [timed([*words, "--repository", str(clone)], wanted) for _ in range(options.runs)]
            said = (
                f"median {statistics.median(seconds):.2f} s, fastest {min(seconds):.2f} s of {options.runs}"
            )
            print(f"{words[0]}: {said}")
    server.shutdown()


def timed(words: list[str], wanted: str) -> float:
    """Seconds that `gitops-ml` takes as a process of its own; ends the benchmark when it does not print `wanted`."""
    environ = {**os.environ, "PYTHONPATH": str(ROOT / "actions")}
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "gitops_ml", *words], env=environ, capture_output=True, text=True
    )
    seconds = time.perf_counter() - began
    if done.returncode not in (0, 1) or wanted not in done.stdout:
        raise SystemExit(done.stdout + done.stderr)
    return seconds


if __name__ == "__main__":
    main()
