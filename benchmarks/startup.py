"""How long `gitops-ml comment` takes from the start of its process to its first request, beside Python itself.

The clock runs in this process: from just before the child is started until its request arrives at a server on the
loopback interface. Run: python benchmarks/startup.py
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ACTIONS = Path(__file__).resolve().parents[1] / "actions"
GOAL_S = 0.5
SHA = "a1" * 20
EVENT = {
    "workflow_run": {
        "id": 1,
        "run_number": 1,
        "event": "pull_request",
        "head_sha": SHA,
        "head_branch": "topic",
        "head_repository": {"full_name": "octo/model"},
    }
}


def first_request(
    words: list[str], environ: dict[str, str], arrived: list[float], ready: threading.Event
) -> float:
    """Seconds from the start of the process to its first request."""
    arrived.clear()
    ready.clear()
    start = time.perf_counter()
    process = subprocess.Popen(words, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        if not ready.wait(60):
            raise SystemExit("no request came within a minute")
        return arrived[0] - start
    finally:
        process.wait(60)


def serve(arrived: list[float], ready: threading.Event) -> ThreadingHTTPServer:
    """A server that notes when a request came, and answers that there is no pull request."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            arrived.append(time.perf_counter())
            ready.set()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(b"[]")

        def log_message(self, *arguments: object) -> None:
            """Keep the table clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def main() -> int:
    """Print medians and worst cases, in turns so that load meets all alike; 1 when the goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=15)
    runs = parser.parse_args().runs
    arrived: list[float] = []
    ready = threading.Event()
    server = serve(arrived, ready)
    url = f"http://127.0.0.1:{server.server_port}"
    with tempfile.TemporaryDirectory() as folder:
        event = Path(folder) / "event.json"
        event.write_text(json.dumps(EVENT), encoding="utf-8")
        environ = {
            "GITHUB_EVENT_NAME": "workflow_run",
            "GITHUB_EVENT_PATH": str(event),
            "GITHUB_REPOSITORY": "octo/model",
            "GITHUB_API_URL": url,
            "GITHUB_TOKEN": "token",
        }
        python = [sys.executable, "-I"]
        cases = {
            "Python with http.client": [
                *python,
                "-c",
                f"import http.client as h; c = h.HTTPConnection('127.0.0.1', {server.server_port}); "
                "c.request('GET', '/'); c.getresponse().read()",
            ],
            "Python with urllib3 and pydantic": [
                *python,
                "-c",
                f"import pydantic, urllib3; pydantic.BaseModel; urllib3.request('GET', '{url}')",
            ],
            "gitops-ml comment": [*python, str(ACTIONS), "comment"],
        }
        times: dict[str, list[float]] = {name: [] for name in cases}
        for _ in range(runs + 1):
            for name, words in cases.items():
                times[name].append(first_request(words, environ, arrived, ready))
    server.shutdown()
    print(f"Seconds from process start to first request, {runs} runs\n")
    print(f"| {'what':34} | median |  worst |\n| {'-' * 34} | -----: | -----: |")
    for name, found in times.items():
        warm = found[1:]  # the first run fills the disk cache and writes compiled files
        print(f"| {name:34} | {statistics.median(warm):6.3f} | {max(warm):6.3f} |")
    met = statistics.median(times["gitops-ml comment"][1:]) < GOAL_S
    print(f"\nGoal: gitops-ml comment under {GOAL_S} s: {'met' if met else 'missed'}")
    return 0 if met else 1


if __name__ == "__main__":
    raise SystemExit(main())
