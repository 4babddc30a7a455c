"""A trained project and its image, and what the tests of images ask of them."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from typing import Any

from gitops_ml.engine import Docker
from gitops_ml.golden import read_contract, read_golden
from gitops_ml.smoke import Expected, Plan, Summary
from gitops_ml.trial import HARDENED

from tests.template.workbench import PATIENCE_S, Workbench

# The tests' own engine has no bridge, and every other one has the host's network too.
NETWORK = "--network=host"


@dataclass(frozen=True)
class Shop:
    """A trained project and its image, built by the project's own `make image`."""

    bench: Workbench
    engine: Docker
    tag: str
    printed: str

    def docker(self, *words: str) -> str:
        """Run one docker command that must succeed."""
        done = subprocess.run(
            [self.engine.command, *words],
            env={**self.engine.environ, "DOCKER_BUILDKIT": "1"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
        )
        assert done.returncode == 0, f"docker {' '.join(words)} failed:\n{done.stdout}{done.stderr}"
        return done.stdout

    def python(self, code: str, *options: str) -> Any:
        """What `code` prints as JSON inside the image."""
        command = ["run", "--rm", NETWORK, *options, "--entrypoint=/venv/bin/python", self.tag, "-c", code]
        return json.loads(self.docker(*command))

    def health(self, container: str) -> int:
        """The exit code of the image's own health check, run as the engine runs it."""
        test = json.loads(
            self.docker("image", "inspect", "--format={{json .Config.Healthcheck.Test}}", self.tag)
        )
        assert test[0] == "CMD", "a check that needs a shell is CMD-SHELL"
        command = [self.engine.command, "exec", container, *test[1:]]
        return subprocess.run(command, env=dict(self.engine.environ), capture_output=True).returncode

    def layers(self, tag: str) -> list[str]:
        return list(json.loads(self.docker("image", "inspect", "--format={{json .RootFS.Layers}}", tag)))

    def plan(self, *options: str) -> Plan:
        """The smoke test of this image, with more options for its container."""
        project = self.bench.project
        contract = read_contract(project / "model/contract.json")
        golden = read_golden(
            project / "build/test.parquet", project / "reports/predictions.parquet", contract, 20
        )
        expected = Expected(
            contract.model_hash, contract.data_hash, self.bench.json("reports/image/image.json")["revision"]
        )
        return Plan(self.tag, expected, golden, "host", options=(*HARDENED, *options))

    def failed(self, summary: Summary) -> dict[str, str]:
        return {check.name: check.detail for check in summary.checks if not check.ok}
