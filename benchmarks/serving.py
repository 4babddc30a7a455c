"""`python -m benchmarks.serving`: single records per second, beside `mlflow models serve` with the same model.

Needs `wrk` (Debian has it). Both services run one after the other on this machine, each with one worker, in turns of
alternating order, under the same load: 8 connections, each of which asks for one record again and again. Medians of all
turns are shown. MLflow answers with the class, ours with the class, its probabilities and notes. With a Docker Engine
(DOCKER_HOST) the image is measured too, with the limits of deploy/compose.yaml; then name the network that its build
needs, if any, with --network.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "actions"))

from gitops_ml import engine as engines
from gitops_ml.errors import UserError

from benchmarks.generated import Generated, Mlflow, trained, with_mlflow

PATIENCE_S = 300
GOAL_REQUESTS, GOAL_P99, GOAL_START_S = 20, 0.1, 2.0
POST = """
wrk.method = "POST"
wrk.headers["content-type"] = "application/json"
local file = io.open(os.getenv("BODY"))
wrk.body = file:read("a")
file:close()
"""
UNITS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}


@dataclass(frozen=True)
class Subject:
    """One service: how it starts, how it is asked, and which files hold its body and its log."""

    name: str
    start: Callable[[int], subprocess.Popen[bytes]]
    ready: str
    path: str
    body: Path


@dataclass
class Found:
    """What was measured of a subject, one value per turn; times in milliseconds, cold starts in seconds."""

    rates: list[float] = field(default_factory=list)
    p50: list[float] = field(default_factory=list)
    p99: list[float] = field(default_factory=list)
    starts: list[float] = field(default_factory=list)

    def medians(self) -> tuple[float, float, float, float]:
        values = (self.rates, self.p50, self.p99, self.starts)
        rate, p50, p99, start = (statistics.median(one) for one in values)
        return rate, p50, p99, start


def free_port() -> int:
    import socket

    with socket.socket() as chosen:
        chosen.bind(("127.0.0.1", 0))
        return int(chosen.getsockname()[1])


@contextmanager
def running(subject: Subject) -> Iterator[tuple[str, float]]:
    """The service's address, and the seconds from the start of its process until it was ready."""
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    began = time.perf_counter()
    process = subject.start(port)
    try:
        while not answers(address + subject.ready):
            if process.poll() is not None or time.perf_counter() - began > PATIENCE_S:
                raise SystemExit(f"{subject.name} did not start")
            time.sleep(0.005)
        yield address, time.perf_counter() - began
    finally:
        process.terminate()
        process.wait(PATIENCE_S)


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=PATIENCE_S) as answered:
            return bool(answered.status == 200)
    except OSError:
        return False


def load(address: str, subject: Subject, seconds: int, script: Path) -> tuple[float, float, float]:
    """Requests per second, p50 and p99 in milliseconds."""
    words = ["wrk", "--threads=1", "--connections=8", f"--duration={seconds}s", "--timeout=60s", "--latency"]
    done = subprocess.run(
        [*words, f"--script={script}", address + subject.path],
        env={"BODY": str(subject.body), "PATH": "/usr/local/bin:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    if "Non-2xx" in done.stdout or "Socket errors" in done.stdout:
        raise SystemExit(f"{subject.name} did not answer every request:\n{done.stdout}")
    rate = re.search(r"Requests/sec:\s+([\d.]+)", done.stdout)
    times = re.findall(r"^\s+(50|99)%\s+([\d.]+)(us|ms|s|m)$", done.stdout, re.MULTILINE)
    if rate is None or len(times) != 2:
        raise SystemExit(f"wrk printed something else:\n{done.stdout}")
    p50, p99 = (float(value) * UNITS[unit] for _, value, unit in times)
    return float(rate[1]), p50, p99


def prediction(address: str, subject: Subject) -> object:
    headers = {"content-type": "application/json"}
    asked = urllib.request.Request(address + subject.path, subject.body.read_bytes(), headers)
    with urllib.request.urlopen(asked, timeout=PATIENCE_S) as answered:
        (one,) = json.load(answered)["predictions"]
    return one["prediction"] if isinstance(one, dict) else one


def measure(subjects: Sequence[Subject], rounds: int, seconds: int, script: Path) -> dict[str, Found]:
    found = {subject.name: Found() for subject in subjects}
    said = set()
    for number in range(rounds):
        for subject in subjects if number % 2 == 0 else reversed(subjects):
            with running(subject) as (address, start):
                said.add(str(prediction(address, subject)))
                load(address, subject, 3, script)
                rate, p50, p99 = load(address, subject, seconds, script)
            one = found[subject.name]
            one.rates.append(rate)
            one.p50.append(p50)
            one.p99.append(p99)
            one.starts.append(start)
            line = f"{subject.name}: {rate:.0f}/s, p99 {p99:.1f} ms, start {start:.2f} s"
            print(f"turn {number + 1}: {line}", file=sys.stderr, flush=True)
    if len(said) != 1:
        raise SystemExit(f"the services predict different things: {', '.join(sorted(said))}")
    return found


def process(words: Sequence[str], folder: Path, environ: Mapping[str, str]) -> subprocess.Popen[bytes]:
    with (folder / "log.txt").open("wb") as log:
        return subprocess.Popen(
            words, cwd=folder, env=dict(environ), stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )


def ours(generated: Generated, folder: Path, body: Path) -> Subject:
    environ = {**generated.environ, "PYTHONPATH": "src", "SERVING_DRAIN_SECONDS": "0"}
    words = [generated.python, "-m", f"{generated.package}.service", "serve", "--port"]

    def start(port: int) -> subprocess.Popen[bytes]:
        return process([*words, str(port)], generated.project, environ)

    return Subject("ours", start, "/v2/health/ready", "/predict", body)


def theirs(mlflow: Mlflow, folder: Path, body: Path) -> Subject:
    serve = ("models", "serve", "--model-uri", str(mlflow.model), "--env-manager", "local")

    def start(port: int) -> subprocess.Popen[bytes]:
        words = mlflow.command(*serve, "--host", "127.0.0.1", "--port", str(port))
        return process(words, folder, mlflow.environ)

    return Subject("mlflow models serve", start, "/ping", "/invocations", body)


def image(generated: Generated, network: str, base: str, folder: Path, body: Path) -> Subject | None:
    """The image of the same model; None without an engine."""
    from gitops_ml.smoke import HARDENED

    try:
        engine = engines.find(generated.environ)
    except UserError as error:
        print(f"no image is measured: {error.message}", file=sys.stderr)
        return None
    tag = "gitops-ml-benchmark:serving"
    flags = (f"--network={network}" if network else "") + (f" --base={base}" if base else "")
    generated.output("make", "image", f"IMAGE={tag}", f"IMAGE_FLAGS={flags}", f"DOCKER={engine.command}")

    def start(port: int) -> subprocess.Popen[bytes]:
        # Docker's client passes the signal on.
        words = [engine.command, "run", "--rm", "--network=host", f"--env=SERVING_PORT={port}"]
        words += [*HARDENED, "--env=SERVING_DRAIN_SECONDS=0", tag]
        return process(words, folder, generated.environ)

    return Subject("our image", start, "/v2/health/ready", "/predict", body)


def table(found: Mapping[str, Found], rival: str) -> tuple[str, bool]:
    """The table with ratios to `rival`, and whether `ours` meets its aims."""
    lines = ["| service | requests/s | p50 ms | p99 ms | cold start s | requests/s | p99 |"]
    lines.append("| --- | --: | --: | --: | --: | --: | --: |")
    rival_rate, _, rival_p99, _ = found[rival].medians()
    for name, one in found.items():
        rate, p50, p99, start = one.medians()
        ratios = "1 | 1" if name == rival else f"{rate / rival_rate:.1f} x | 1/{rival_p99 / p99:.0f}"
        lines.append(f"| {name} | {rate:,.0f} | {p50:.2f} | {p99:.2f} | {start:.2f} | {ratios} |")
    rate, _, p99, start = found["ours"].medians()
    met = {
        f"{GOAL_REQUESTS} times the requests": rate >= GOAL_REQUESTS * rival_rate,
        "p99 at most a tenth": p99 <= GOAL_P99 * rival_p99,
        f"cold start under {GOAL_START_S:g} s": start < GOAL_START_S,
    }
    lines += ["", *(f"{goal}: {'met' if good else 'missed'}" for goal, good in met.items())]
    return "\n".join(lines), all(met.values())


def main() -> int:
    """Print the table; 1 when an aim is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=10, help="of load in each turn, after 3 to warm up")
    parser.add_argument("--network", default="", help="of the image's build, such as host")
    parser.add_argument("--base", default="", help="base image of the image")
    options = parser.parse_args()
    if shutil.which("wrk") is None:
        raise SystemExit("wrk is not here; on Debian: apt-get install wrk")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        script = folder / "post.lua"
        script.write_text(POST, encoding="utf-8")
        generated = trained(folder)
        record = generated.record()
        bodies = {"ours.json": {"records": [record]}, "theirs.json": {"dataframe_records": [record]}}
        for file, body in bodies.items():
            (folder / file).write_text(json.dumps(body), encoding="utf-8")
        rival = theirs(with_mlflow(folder, generated), folder, folder / "theirs.json")
        built = image(generated, options.network, options.base, folder, folder / "ours.json")
        subjects = [ours(generated, folder, folder / "ours.json"), rival, *([built] if built else [])]
        text, met = table(measure(subjects, options.rounds, options.seconds, script), rival.name)
    print(text)
    return 0 if met else 1


if __name__ == "__main__":
    raise SystemExit(main())
