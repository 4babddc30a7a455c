"""A deploying process that is killed, as by `kill -9`, right after one of its commands. Told what to do on stdin."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from gitops_ml.delivery.release import Manifest
from gitops_ml.delivery.targets.docker_host import DockerHost

from tests.delivery.docker_machine import Machine, order


def main() -> None:
    told = json.load(sys.stdin)
    call = DockerHost.call

    def last(host: DockerHost, *words: str, **rest: Any) -> subprocess.CompletedProcess[str]:
        done = call(host, *words, **rest)
        if " ".join(words).endswith(told["after"]):
            os.kill(os.getpid(), signal.SIGKILL)
        return done

    DockerHost.call = last  # type: ignore[method-assign, assignment]
    machine = Machine(Path(told["repository"]), told["project"], told["environ"], told["docker"])
    manifest = Manifest.model_validate_json(told["manifest"])
    machine.target().apply(order(manifest, told["fence"]))


if __name__ == "__main__":
    main()
