"""`gitops-ml deploy`: bring one environment to where main is now, and prove it."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from gitops_ml.delivery.checkout import open_repository
from gitops_ml.delivery.deploying import Desk, Report, Situation, deploy, look
from gitops_ml.delivery.environment import file_of
from gitops_ml.delivery.git import Git
from gitops_ml.delivery.merged import Merged, find_merged
from gitops_ml.delivery.pipeline import NotNamedError
from gitops_ml.delivery.plan import has_failed
from gitops_ml.delivery.release import short
from gitops_ml.delivery.run import this_run
from gitops_ml.delivery.targets.base import Target
from gitops_ml.delivery.targets.choose import choose
from gitops_ml.delivery.trouble import Book, Trouble
from gitops_ml.delivery.worktree import files_of
from gitops_ml.delivery.world import World
from gitops_ml.errors import UserError
from gitops_ml.escape import visible
from gitops_ml.github import GitHub
from gitops_ml.runner import Runner


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--environment", required=True, help="its name in environments/pipeline.yaml, such as staging"
    )
    parser.add_argument(
        "--again",
        action="store_true",
        help="try a release again that failed here, because a person asks for it",
    )
    parser.add_argument("--dry-run", action="store_true", help="say what would be done, and change nothing")
    parser.add_argument("--repository", type=Path, default=Path(), help="the clone (default: this folder)")


def run(options: argparse.Namespace, runner: Runner) -> int:
    git = open_repository(options.repository, runner.environ)
    github, repository = _forge(runner)
    book = None if github is None else Book(github, repository)
    environment: str = options.environment
    warnings: list[str] = []

    def review(world: World, main: str) -> Merged | None:
        commit = _origin_of(git, world, main, environment)
        if github is None or commit is None:
            return None
        try:
            return find_merged(github, repository, commit)
        except UserError as error:
            # Only where four eyes are asked for is this an obstacle, and there it is one.
            warnings.append(f"Who approved {commit[:7]} is not known. {error.message}")
            return None

    with _targets(git, environment, runner) as target:
        desk = Desk(git, environment, target, review, this_run(runner.environ), say=_say)
        if options.dry_run:
            report = Report(look(desk, options.again))
            _say(f"{environment}: {report.last.decision.action}: {report.last.decision.reason}")
        else:
            report = _deployed(desk, options.again, book, runner)
    for warning in warnings:
        runner.annotate("warning", warning)
    _tell(report, environment, runner)
    if not options.dry_run:
        _follow(report, desk, runner)
        if not report.overtaken:
            _write(book, trouble_of(report, desk), report.is_healthy(environment), environment, runner)
    return 1 if report.is_red else 0


@contextmanager
def _targets(git: Git, environment: str, runner: Runner) -> Iterator[Callable[[World, str], Target]]:
    """What makes the target for a commit of main, with that commit's files where a target needs files."""
    with ExitStack() as stack:
        folders: dict[str, Path] = {}

        def target(world: World, main: str) -> Target:
            kind = world.pipeline.step(environment).target.kind
            if kind == "registry":
                folders[main] = git.folder
            elif main not in folders:
                folders[main] = stack.enter_context(files_of(git, main))
            return choose(environment, world.pipeline, folders[main], runner.environ, world.facts)

        yield target


def _forge(runner: Runner) -> tuple[GitHub | None, str]:
    """The API and the repository's full name; None without a token, which on a runner is said."""
    repository = runner.environ.get("GITHUB_REPOSITORY", "")
    if runner.environ.get("GITHUB_TOKEN") and repository:
        return GitHub.of_job(runner.environ), repository
    if runner.on_actions:
        runner.annotate(
            "warning", "There is no GITHUB_TOKEN, so nobody's approval is known and no issue is written."
        )
    return None, ""


def _origin_of(git: Git, world: World, main: str, environment: str) -> str | None:
    """The commit of main that asks for what is wanted: of the environment's file, or of the release it follows."""
    desired = world.desired[environment]
    if world.step(environment).follow and not desired.pinned:
        manifest = world.manifest(desired.release)
        return None if manifest is None else manifest.artifacts.commit
    found = git.commits(main, "--max-count=1", paths=[file_of(environment)])
    return found[0] if found else None


def _say(line: str) -> None:
    print(visible(line, 600), flush=True)


def _tell(report: Report, environment: str, runner: Runner) -> None:
    """Outputs, annotation and job summary."""
    last = report.last
    wanted = last.desired(environment).release
    healthy = report.is_healthy(environment)
    runner.output("action", "nothing" if report.overtaken else report.action.replace(" ", "-"))
    runner.output("release", last.live.release or "")
    runner.output("healthy", "true" if healthy else "false")
    why = visible(report.overtaken or last.decision.reason, 500)
    serves = f"{short(last.live.release)} serves" + (
        "" if last.live.healthy or not last.live.release else ", not well"
    )
    done = [
        f"{one.action} {short(one.intent.release)}: {'healthy' if one.outcome.healthy else 'not healthy'}"
        for one in report.attempts
    ]
    lines = [f"{serves}, main wants {short(wanted)}", *done, why]
    runner.summary(f"### Deployment of {environment}\n\n" + "\n".join("    " + line for line in lines))
    if report.is_red:
        runner.annotate("error", f"{environment}: {why}")
    elif last.decision.action == "wait":
        runner.annotate("notice", f"{environment} waits: {why}")


def _deployed(desk: Desk, asked: bool, book: Book | None, runner: Runner) -> Report:
    """What the loop did. When a tool or a server failed it ends with that error, and the issue says so."""
    try:
        with runner.shielded():
            return deploy(desk, asked)
    except NotNamedError:
        raise
    except UserError as error:
        title = f"{desk.environment} could not be brought to where main is"
        reason = f"{error.message}\n{error.fix}".strip()
        trouble = Trouble(
            desk.environment, title, reason, "what it was before, as far as is known", desk.run.url
        )
        _write(book, trouble, False, desk.environment, runner)
        raise


def _write(
    book: Book | None, trouble: Trouble | None, is_healthy: bool, environment: str, runner: Runner
) -> None:
    """Keep the issue about the environment true. That it can't be written neither stops nor undoes a deployment."""
    if book is None:
        return
    try:
        if trouble is not None:
            book.tell(trouble)
        elif is_healthy:
            book.close(environment, f"{environment} runs what main wants, and is healthy.")
    except UserError as error:
        runner.annotate("warning", f"The issue about {environment} could not be written. {error.message}")


def _follow(report: Report, desk: Desk, runner: Runner) -> None:
    """Let MLflow's alias of the environment name what serves there; also after a run that found nothing to do."""
    world, live = report.last.world, report.last.live
    manifest = world.manifest(live.release)
    if report.overtaken or not live.healthy or manifest is None:
        return
    from gitops_ml.delivery import model_registry

    said = model_registry.follow(runner.environ, world.pipeline, desk.environment, manifest)
    if model_registry.is_trouble(said):
        runner.annotate("warning", said)
    elif said:
        _say(f"{desk.environment}: {said}")


def trouble_of(report: Report, desk: Desk) -> Trouble | None:
    """What somebody has to look after, or None when nobody has."""
    if not report.is_red:
        return None
    last, name = report.last, desk.environment
    desired = last.desired(name)
    if has_failed(last.world, desired):
        title = f"{name} could not run {short(desired.release)}"
    else:
        title = f"{name}: somebody has to look after {short(desired.release)}"
    reasons = [last.decision.reason, *_said(last, name)]
    live = last.live
    serves = "nothing serves" if live.release is None else f"{short(live.release)} serves"
    serves += "" if live.healthy or live.release is None else " and is not well"
    return Trouble(name, title, "\n".join(reasons), serves, desk.run.url)


def _said(last: Situation, environment: str) -> list[str]:
    """What was said of the attempts of the wanted release that failed, the newest one only."""
    desired = last.desired(environment)
    failed = [
        item.outcome.reason
        for item in last.world.facts.history(environment)
        if item.failed and item.outcome and item.release == desired.release
    ]
    return failed[-1:]
