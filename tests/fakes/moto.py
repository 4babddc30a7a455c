"""moto's server: AWS as far as it is played there, with S3, IAM, STS and ECR among it."""

from __future__ import annotations

import re
import subprocess
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

# Of moto, what S3 needs; far less than its `server` extra.
COMMAND = ("uvx", "--from", "moto[s3]==5.2.5", "--with", "flask>=3", "--with", "flask-cors>=6", "moto_server")


@contextmanager
def moto_server(environ: Mapping[str, str]) -> Iterator[str]:
    """Its address, on a port of the kernel's choice."""
    command = [*COMMAND, "--host", "127.0.0.1", "--port", "0"]
    server = subprocess.Popen(
        command, env=dict(environ), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert server.stdout is not None
    said = []
    try:
        for line in server.stdout:
            said.append(line)
            if found := re.search(r"http://127\.0\.0\.1:\d+", line):
                yield found[0]
                return
        raise AssertionError("moto did not start: " + "".join(said))
    finally:
        server.terminate()
        server.wait()
        server.stdout.close()


def make_bucket(address: str, name: str) -> None:
    """An empty bucket on the server at `address`."""
    request = urllib.request.Request(f"{address}/{name}", method="PUT")
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert answer.status == 200
