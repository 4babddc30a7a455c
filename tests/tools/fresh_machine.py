"""`python3 -m tests.tools.fresh_machine [IMAGE]`: what the README tells a newcomer, on a Debian that has nothing else.

IMAGE is a plain Debian, debian:13-slim if none is named. Its container has git, make and Python, a user who may call
sudo, and what the commands of the README bring. Each block of the README is pasted into a terminal of its own, as it
stands. Three things stand in for what is not there: the clone of this checkout for github.com, a relay to the engine of
DOCKER_HOST for the one that Debian's package would start, and the choice of Debian's Python for a download of another.
"""

from __future__ import annotations

import io
import json
import os
import re
import shlex
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ADDRESS = "https://github.com/cookiecutter-gitops-ml/cookiecutter-gitops-ml"
USER = "newcomer"
SOURCE = "/srv/source.git"
# How packages are reached from this network.
PROXIES = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
INDEXES = ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL", "PIP_TRUSTED_HOST", "PIP_DEFAULT_TIMEOUT")
CERTIFICATES = ("SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE")
BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
# Far above what a loaded machine needs; it only ends a command that hangs.
PATIENCE_S = 2400

MAKE_MACHINE = f"""
printf 'exit 101\\n' >/usr/sbin/policy-rc.d && chmod +x /usr/sbin/policy-rc.d
apt-get update --quiet=2
DEBIAN_FRONTEND=noninteractive apt-get install --quiet=2 --yes --no-install-recommends \
  ca-certificates git make python3 sudo >/dev/null
if [ -s /machine/certificates ]; then cat /machine/certificates >{BUNDLE}; fi
mv /machine/network.sh /etc/profile.d/
useradd --create-home --shell /bin/bash {USER}
printf '{USER} ALL=(ALL) NOPASSWD: ALL\\n' >/etc/sudoers.d/{USER}
# The lists of packages are what a new machine lacks, too.
rm -rf /var/lib/apt/lists/*
git init --quiet --initial-branch main /machine/source
cd /machine/source
git add --all
git -c user.name=A -c user.email=a@localhost commit --quiet --message Source
git clone --quiet --bare /machine/source {SOURCE}
git config --system safe.directory '*'
git config --system url.{SOURCE}.insteadOf {ADDRESS}
git config --system --add url.{SOURCE}.insteadOf {ADDRESS}.git
"""


class FreshMachineError(Exception):
    """A command did not do what the README says; the message holds all that it printed."""


@dataclass(frozen=True)
class Said:
    """How a block ended, and what it printed."""

    code: int
    printed: str


def fenced(page: str) -> list[str]:
    """The commands of a page, one text for each fenced block."""
    return re.findall(r"^```sh\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)


def blocks(section: str, page: str) -> list[str]:
    """The commands of one section of the README."""
    found = re.search(rf"^## {re.escape(section)}$(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
    if found is None:
        raise FreshMachineError(f"README.md has no section {section!r} any more.")
    return fenced(found[1])


def answers(python: str) -> str:
    """What a newcomer types at cookiecutter's questions: Enter, and the number of `python` where that is asked."""
    asked = json.loads((ROOT / "cookiecutter.json").read_text(encoding="utf-8"))
    lines = {name: "" for name in asked if not name.startswith("_")}
    lines["python_version"] = str(asked["python_version"].index(python) + 1)
    return "".join(f"{line}\n" for line in lines.values())


def next_steps(printed: str) -> list[str]:
    """The commands that end a generation, without their numbers; the last one is prose, and left out."""
    return re.findall(r"^  \d\. (.+)$", printed[printed.index("\nNext:\n") :], re.MULTILINE)[:-1]


@dataclass(frozen=True)
class Machine:
    """A container that is a machine to its user. `figures`: seconds of each step, in their order."""

    name: str
    environ: Mapping[str, str]
    figures: dict[str, float] = field(default_factory=dict)

    def root(self, script: str, stdin: bytes = b"") -> None:
        """What whoever made the machine did; raises FreshMachineError."""
        words = ["docker", "exec", "--interactive", self.name, "bash", "-euo", "pipefail", "-c", script]
        done = subprocess.run(
            words, env=dict(self.environ), input=stdin, capture_output=True, timeout=PATIENCE_S
        )
        if done.returncode != 0:
            raise FreshMachineError(f"The machine could not be made:\n{(done.stdout + done.stderr).decode()}")

    def type(self, title: str, block: str, stdin: str = "") -> Said:
        """Paste `block` into a new terminal of the user, and answer what it asks with `stdin`."""
        print(f"\n== {title}\n{block.rstrip()}\n--", flush=True)
        words = ["docker", "exec", "--interactive", self.name]
        words += ["su", "--login", USER, "--command", f"set -e\n{block}"]
        began, printed = time.monotonic(), []
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        with subprocess.Popen(words, env=dict(self.environ), text=True, **pipes) as running:
            assert running.stdin is not None
            assert running.stdout is not None
            ending = threading.Timer(PATIENCE_S, running.kill)
            ending.start()
            running.stdin.write(stdin)
            running.stdin.close()
            for line in running.stdout:
                print(line, end="", flush=True)
                printed.append(line)
            ending.cancel()
        self.figures[title] = time.monotonic() - began
        print(f"-- {self.figures[title]:.0f} s", flush=True)
        return Said(running.returncode, "".join(printed))

    def follow(self, title: str, block: str, stdin: str = "") -> str:
        """`type` what has to work, and return what it printed; raises FreshMachineError."""
        said = self.type(title, block, stdin)
        if said.code != 0:
            raise FreshMachineError(f"{title}, exit code {said.code}:\n{block}\n{said.printed}")
        return said.printed

    def start_engine(self) -> None:
        """What Debian's package of the engine does where something starts services."""
        self.root(
            "command -v dockerd >/dev/null && python3 /machine/relay.py /machine/engine.sock /run/docker.sock"
        )


def luggage(environ: Mapping[str, str]) -> bytes:
    """A tar of what is brought into the container: this checkout's files, the relay, how the network is reached."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    settings = {name: environ[name] for name in (*INDEXES, *PROXIES) if environ.get(name)}
    bundle = environ.get("SSL_CERT_FILE")
    if bundle:
        settings |= dict.fromkeys(CERTIFICATES, BUNDLE)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name in filter(None, listed.stdout.decode().split("\0")):
            if (ROOT / name).exists():
                tar.add(ROOT / name, f"source/{name}")
        tar.add(ROOT / "tests" / "tools" / "relay.py", "relay.py")
        if bundle:
            tar.add(Path(bundle).resolve(), "certificates")
        lines = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in settings.items())
        described = tarfile.TarInfo("network.sh")
        described.size = len(lines.encode())
        tar.addfile(described, io.BytesIO(lines.encode()))
    return buffer.getvalue()


@contextmanager
def fresh_machine(image: str, environ: Mapping[str, str]) -> Iterator[Machine]:
    """A machine with git, make and Python, removed afterwards. Its network is the host's, as the demo's is."""
    machine = Machine(f"gitops-ml-fresh-{os.getpid()}", environ)
    socket = environ.get("DOCKER_HOST", "unix:///var/run/docker.sock").removeprefix("unix://")
    words = ["docker", "run", "--detach", "--rm", "--init", "--name", machine.name, "--network", "host"]
    words += ["--volume", f"{socket}:/machine/engine.sock", image, "sleep", "infinity"]
    subprocess.run(words, env=dict(environ), check=True, stdout=subprocess.DEVNULL)
    try:
        began = time.monotonic()
        machine.root("tar --extract --no-same-owner --directory /machine", luggage(environ))
        machine.root(MAKE_MACHINE)
        machine.figures["the machine itself"] = time.monotonic() - began
        yield machine
    finally:
        subprocess.run(
            ["docker", "rm", "--force", "--volumes", machine.name],
            env=dict(environ),
            check=True,
            stdout=subprocess.DEVNULL,
        )


def try_it(machine: Machine, page: str) -> str:
    """The section "Try it", up to a model in production and back; returns what `make demo` printed."""
    packages, demo = blocks("Try it", page)
    machine.follow("packages of Debian", packages)
    machine.start_engine()
    return machine.follow("the demo", demo)


def make_your_own(machine: Machine, page: str, python: str) -> Path:
    """The section "Make a repository of your own", and the steps that it ends with; returns the project's folder."""
    uv, generate = blocks("Make a repository of your own", page)
    machine.follow("uv", uv)
    printed = machine.follow("a project", generate, answers(python))
    # One terminal, because the first of these steps goes into the new folder.
    machine.follow("the steps printed at its end", "\n".join(next_steps(printed)))
    return Path(f"/home/{USER}", "tumour-triage")


def main() -> int:
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    image = sys.argv[1] if len(sys.argv) > 1 else "debian:13-slim"
    try:
        with fresh_machine(image, os.environ) as machine:
            try_it(machine, page)
            make_your_own(machine, page, "3.13")
    except FreshMachineError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    for title, seconds in machine.figures.items():
        print(f"{seconds:6.0f} s  {title}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
