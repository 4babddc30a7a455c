"""`gitops-ml recorded`: the numbers of the release that an environment runs, as a baseline for `gitops-ml diff`."""

from __future__ import annotations

import argparse
import datetime as dt
import json
from pathlib import Path

from gitops_ml.delivery.build import build_key
from gitops_ml.delivery.checkout import (
    PIPELINE,
    find_main,
    find_state,
    open_repository,
    read_files,
    read_world,
)
from gitops_ml.delivery.git import Git
from gitops_ml.delivery.release import Manifest, short
from gitops_ml.delivery.world import World
from gitops_ml.runner import Runner


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--environment", default="", help="its name in environments/pipeline.yaml (default: the last one)"
    )
    parser.add_argument(
        "--base", default="", help="commit or branch whose merge base with HEAD gives the output image-bytes"
    )
    parser.add_argument("--output", type=Path, default=Path("production.json"), help="the file to write")
    parser.add_argument("--repository", type=Path, default=Path(), help="the clone (default: this folder)")
    parser.add_argument("--remote", default="origin", help="where deploy-state comes from (default: origin)")


def run(options: argparse.Namespace, runner: Runner) -> int:
    """Write the file, or say that nothing serves yet; raises `UserError` for an environment that does not exist."""
    git = open_repository(options.repository)
    main = find_main(git, options.remote)
    release, size = None, None
    if PIPELINE in read_files(git, main):
        world = read_world(git, main, find_state(git, options.remote), dt.datetime.now(dt.UTC))
        release = serving(world, options.environment or world.pipeline.names[-1])
        size = image_bytes(git, world, options.base) if options.base else None
    runner.output("image-bytes", "" if size is None else str(size))
    if release is None or not release.metrics:
        print("No release with numbers serves there yet.")
        runner.output("recorded", "")
        return 0
    options.output.write_text(json.dumps(baseline(release), indent=2) + "\n", encoding="utf-8")
    runner.output("recorded", str(options.output))
    print(f"{short(release.release)} serves; its numbers are in {options.output}.")
    return 0


def serving(world: World, environment: str) -> Manifest | None:
    """The release that `environment` last said it runs."""
    return world.manifest(world.facts.live(world.step(environment).name).release)


def image_bytes(git: Git, world: World, base: str) -> int | None:
    """Size of the image that was built from the files of the merge base of HEAD and `base`, where there is one."""
    found = git.try_("merge-base", "--", base, "HEAD")
    if found.code != 0:
        return None
    release = world.facts.of_build(build_key(git.entries(found.text)))
    return None if release is None else release.image_bytes


def baseline(release: Manifest) -> dict[str, object]:
    """Metrics and identity as `reports.read_recorded` reads them."""
    artifacts = release.artifacts
    found: dict[str, object] = {
        "metrics": dict(release.metrics),
        "commit": artifacts.commit,
        "model_hash": artifacts.model,
        "data_hash": artifacts.data,
    }
    return found | ({"eval_hash": release.eval_hash} if release.eval_hash else {})
