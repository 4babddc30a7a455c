"""`gitops-ml check`: may this change of environments/ be merged? Judged by main's policy, never by the change's own."""

from __future__ import annotations

import argparse
import datetime as dt
from collections.abc import Sequence
from pathlib import Path

from gitops_ml.delivery.change import Change, check_policy, classify
from gitops_ml.delivery.check import Finding, check, verdict
from gitops_ml.delivery.checkout import (
    find_ref,
    find_state,
    open_repository,
    read_files,
    read_policy,
    read_world,
)
from gitops_ml.delivery.environment import FOLDER
from gitops_ml.delivery.git import Git
from gitops_ml.delivery.world import World
from gitops_ml.runner import Runner


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--base", required=True, help="commit of main that the change goes to")
    parser.add_argument("--head", default="HEAD", help="commit of the change (default: HEAD)")
    parser.add_argument("--repository", type=Path, default=Path(), help="the clone (default: this folder)")
    parser.add_argument("--remote", default="origin", help="where deploy-state comes from (default: origin)")


def run(options: argparse.Namespace, runner: Runner) -> int:
    git = open_repository(options.repository)
    base = find_ref(
        git, (options.base,), "The base is not known", "Fetch it, with its history: fetch-depth: 0."
    )
    head = find_ref(
        git, (options.head,), "The head is not known", "Fetch it, with its history: fetch-depth: 0."
    )
    fork = git.run("merge-base", base, head).text
    paths = git.changed(fork, head)
    if not any(path.startswith(FOLDER) for path in paths):
        return report(Change("none", "no file of environments/ changes"), [], runner)
    after = read_files(git, head)
    if FOLDER + "pipeline.yaml" not in read_files(git, base):
        check_policy(read_policy(after)[0], after)
        return report(Change("policy", "brings the first order of environments"), [], runner)
    world = read_world(git, base, find_state(git, options.remote), dt.datetime.now(dt.UTC))
    return report(*judge(git, world, paths, base, fork, after), runner)


def judge(
    git: Git, world: World, paths: Sequence[str], base: str, fork: str, after: dict[str, bytes]
) -> tuple[Change, list[Finding]]:
    """Classify the change and apply the rules of its kind."""
    before = read_files(git, base)
    behind = set(git.changed(fork, base))
    late = [path for path in paths if path in behind and path.startswith(FOLDER)]
    if late:
        reason = f"{late[0]} changed on main since this branch left it"
        return Change("tampering", reason), [
            Finding("up to date", "failed", f"{reason}; make it anew from main")
        ]
    change = classify(world, paths, before, after)
    if change.kind == "tampering":
        return change, [Finding("one legal move", "failed", change.reason)]
    if change.kind == "policy":
        check_policy(read_policy(after)[0], after)
    if change.kind in ("none", "policy") or change.release is None or change.environment is None:
        return change, []
    return change, check(world, change.environment, change.release, "review")


def sentence(change: Change, findings: Sequence[Finding]) -> str:
    """The check in one line; empty when nothing of environments/ changes."""
    if change.kind == "none":
        return ""
    open_ = [finding for finding in findings if finding.outcome in ("failed", "waiting")]
    why = "; ".join(f"{finding.rule} {finding.outcome}: {finding.why}" for finding in open_)
    return f"Promotion check: {change.kind}, {change.reason}: {why or 'every rule is met'}."


def report(change: Change, findings: list[Finding], runner: Runner) -> int:
    """Print, annotate and set the outputs; the exit code is 1 unless every rule has passed."""
    outcome = verdict(findings) if findings else "passed"
    lines = [f"{change.kind}: {ascii(change.reason)[1:-1]}"]
    lines += [f"{finding.outcome:<8} {finding.rule}: {ascii(finding.why)[1:-1]}" for finding in findings]
    print("\n".join(lines))
    runner.summary("### Promotion check\n\n" + "\n".join("    " + line for line in lines))
    for finding in findings:
        if finding.outcome in ("failed", "waiting"):
            runner.annotate("error", f"{finding.rule}: {finding.why}")
    runner.output("kind", change.kind)
    runner.output("said", sentence(change, findings))
    runner.output("environment", change.environment or "")
    runner.output("release", change.release or "")
    return 0 if outcome == "passed" else 1
