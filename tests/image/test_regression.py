"""A model of numbers instead of classes, in an image of its own."""

from __future__ import annotations

import secrets
import subprocess
from collections.abc import Mapping
from pathlib import Path

from gitops_ml.engine import Docker

from tests.image.shop import NETWORK
from tests.template.workbench import set_up


def test_the_image_answers_as_the_evaluation_did(
    engine: Docker, base: str, template: Path, environ: Mapping[str, str], tmp_path: Path
) -> None:
    reached = {name: value for name, value in engine.environ.items() if name.startswith("DOCKER")}
    bench = set_up(template, tmp_path, {**environ, **reached, "DOCKER": engine.command}, "regression")
    bench.succeed("make", "train")
    tag = f"gitops-ml-test-{secrets.token_hex(4)}:numbers"
    try:
        bench.succeed("make", "image", f"IMAGE={tag}", f"IMAGE_FLAGS={NETWORK} --base={base}")
        said = bench.succeed("make", "smoke", f"IMAGE={tag}", f"SMOKE_FLAGS={NETWORK}").printed
    finally:
        subprocess.run([engine.command, "rmi", tag], env=dict(engine.environ), capture_output=True)
    found = bench.json("reports/image/smoke.json")
    assert found["ok"], said
    assert found["golden_rows"] > 100
    assert found["largest_difference"] <= 1e-9
