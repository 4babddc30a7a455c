"""`gitops-ml image`: build the image of a model, try it as it would run, push it when asked."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Callable
from pathlib import Path

from gitops_ml import engine as engines
from gitops_ml import packing, provenance
from gitops_ml.engine import Engine
from gitops_ml.errors import UserError
from gitops_ml.runner import Runner

# A name that an engine takes, and that can't be read as an option of its command line.
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9._/:-]{0,254})(?:@sha256:[0-9a-f]{64})?")
_NETWORK = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}|")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    tasks = parser.add_subparsers(dest="task", metavar="task", required=True)
    build = tasks.add_parser("build", help="build it, and list the packages in it")
    smoke = tasks.add_parser("smoke", help="start it, replay the evaluation, stop it")
    push = tasks.add_parser("push", help="send it to a registry and say its digest")
    for task in (build, smoke, push):
        task.add_argument("--tag", required=True, help="name of the image on this machine, such as model:dev")
    for task in (build, smoke):
        task.add_argument(
            "--project", type=Path, default=Path(), help="folder with deploy/, model/ and uv.lock"
        )
        task.add_argument(
            "--output",
            type=Path,
            default=Path("reports/image"),
            help="folder for the results, in the project",
        )
        task.add_argument("--network", default="", help="network of build and container, such as host")
    build.add_argument(
        "--file", type=Path, default=Path("deploy/Dockerfile"), help="Dockerfile, in the project"
    )
    build.add_argument("--base", default="", help="base image; in CI with its digest")
    build.add_argument("--release", default="", help="version for the image's labels")
    build.add_argument(
        "--certificates", default="", help="CA certificates of this network, read by the build only"
    )
    smoke.add_argument("--rows", type=int, default=200, help="rows of the evaluation to replay")
    smoke.add_argument("--ready-seconds", type=float, default=120, help="time to become ready")
    smoke.add_argument("--grace-seconds", type=int, default=40, help="time to end after the stop signal")
    push.add_argument(
        "--to", required=True, help="repository and tag in a registry, such as ghcr.io/owner/model:sha"
    )


def run(options: argparse.Namespace, runner: Runner) -> int:
    names = [options.tag, *(getattr(options, name, "") for name in ("base", "to"))]
    for name in filter(None, names):
        if not _NAME.fullmatch(name):
            raise UserError(
                f"{name!r} is not the name of an image.",
                "Write it like registry/owner/name:tag, in lower case.",
            )
    if not _NETWORK.fullmatch(getattr(options, "network", "")):
        raise UserError(f"{options.network!r} is not the name of a network.")
    tasks: dict[str, Callable[[argparse.Namespace, Runner, Engine], int]] = {
        "build": run_build,
        "smoke": run_smoke,
        "push": run_push,
    }
    return tasks[options.task](options, runner, engines.find(os.environ))


def run_build(options: argparse.Namespace, runner: Runner, engine: Engine) -> int:
    project: Path = options.project
    certificates = options.certificates or runner.environ.get("SSL_CERT_FILE")
    made_from = provenance.of(project, runner.environ)
    order = packing.Order(
        project=project,
        dockerfile=project / options.file,
        tag=options.tag,
        base=options.base,
        release=options.release,
        network=options.network,
        certificates=Path(certificates) if certificates else None,
    )
    with runner.shielded():
        built = packing.build(engine, order, made_from, runner.environ)
    sbom = project / options.output / "sbom.cdx.json"
    packages = packing.write_sbom(project, sbom, runner.environ)
    (sbom.parent / "image.json").write_text(built.to_json(), encoding="utf-8")
    outputs = {
        "image": built.image,
        "image-id": built.id,
        "size-bytes": str(built.size_bytes),
        "sbom": str(sbom),
    }
    outputs |= {"revision": built.revision, "model-hash": built.model_hash}
    for name, value in outputs.items():
        runner.output(name, value)
    size = f"{built.size_bytes / 1e6:.0f} MB"
    said = f"Built {built.image}: {size}, {packages} locked packages, revision {built.revision}."
    print(said)
    runner.summary(f"### Image\n\n{said}")
    return 0


def run_smoke(options: argparse.Namespace, runner: Runner, engine: Engine) -> int:
    from gitops_ml import golden, smoke

    project: Path = options.project
    if options.rows < 1 or options.grace_seconds < 1 or options.ready_seconds <= 0:
        raise UserError("Rows and seconds must be positive.")
    made_from = provenance.of(project, runner.environ)
    contract = golden.read_contract(project / "model/contract.json")
    rows = golden.read_golden(
        project / "build/test.parquet", project / "reports/predictions.parquet", contract, options.rows
    )
    commit = "" if made_from.revision == provenance.UNKNOWN else made_from.revision
    expected = smoke.Expected(made_from.model_hash, made_from.data_hash, commit)
    plan = smoke.Plan(
        options.tag,
        expected,
        rows,
        options.network,
        ready_s=options.ready_seconds,
        grace_s=options.grace_seconds,
    )
    with runner.shielded():
        summary = smoke.smoke(engine, plan)
    target = project / options.output / "smoke.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(summary.to_json(), encoding="utf-8")
    runner.output("smoke", str(target))
    lines = "\n".join("    " + check.line for check in summary.checks)
    runner.summary(f"### Smoke test of the image\n\n{lines}")
    if not summary.ok:
        failed = [check for check in summary.checks if not check.ok]
        more = f" ({len(failed)} checks failed)" if len(failed) > 1 else ""
        runner.annotate(
            "error",
            f"The image {options.tag} failed its smoke test: {failed[0].name}: {failed[0].detail}{more}",
        )
        return 1
    return 0


def run_push(options: argparse.Namespace, runner: Runner, engine: Engine) -> int:
    engine.push(options.tag, options.to)
    repository = options.to if ":" not in options.to.rpartition("/")[2] else options.to.rpartition(":")[0]
    pushed = [one for one in engine.image(options.to).references if one.partition("@")[0] == repository]
    if len(pushed) != 1:
        raise UserError(f"The engine does not say which digest {options.to} got in {repository}.")
    runner.output("reference", pushed[0])
    runner.output("digest", pushed[0].partition("@")[2])
    print(f"Pushed {pushed[0]}")
    return 0
