"""`gitops-ml scope`: does this change have to be trained, and what is its merge base?"""

from __future__ import annotations

import argparse
from pathlib import Path

from gitops_ml.changes import HARMLESS, Scope, kept_by_dvc, read_scope, resolve
from gitops_ml.runner import Runner


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--repository", type=Path, default=Path(), help="the checkout (default: this folder)")
    parser.add_argument("--base", default="", help="commit of the branch that the change goes to")
    parser.add_argument("--head", default="HEAD", help="commit of the change (default: HEAD)")
    parser.add_argument(
        "--harmless",
        default="\n".join(HARMLESS),
        help="patterns of files that can't change the model, one per line",
    )
    parser.add_argument(
        "--more-harmless", default="", help="patterns beside those of --harmless, one per line"
    )
    parser.add_argument("--jobs", default="", help="jobs that are not needed when nothing has to be trained")
    parser.add_argument(
        "--data-jobs", default="", help="jobs that are not needed when DVC keeps no data either"
    )


def run(options: argparse.Namespace, runner: Runner) -> int:
    lines = [*options.harmless.splitlines(), *options.more_harmless.splitlines()]
    harmless = [line.strip() for line in lines if line.strip()]
    repository: Path = options.repository
    base = resolve(repository, options.base) if options.base else ""
    head = resolve(repository, options.head or "HEAD")
    found = read_scope(repository, base, head, harmless)
    kept = kept_by_dvc(repository, (head, found.merge_base))
    idle = [] if found.train else options.jobs.split()
    if not found.train or not kept:
        idle += options.data_jobs.split()
    report(found, kept, idle, runner)
    return 0


def report(found: Scope, kept: bool, idle: list[str], runner: Runner) -> None:
    runner.output("train", "true" if found.train else "false")
    runner.output("merge-base", found.merge_base or "")
    runner.output("reason", found.reason)
    runner.output("kept-by-dvc", "true" if kept else "false")
    runner.output("not-needed", " ".join(idle))
    said = "The model has to be trained" if found.train else "Nothing has to be trained"
    print(f"{said}: {found.reason}.")
