"""`gitops-ml release`: what main needs, the model to take over for it, and the record of what was built from it."""

from __future__ import annotations

import argparse
import datetime as dt
from collections.abc import Callable
from pathlib import Path

from gitops_ml import provenance
from gitops_ml.delivery import model_registry
from gitops_ml.delivery.build import build_key
from gitops_ml.delivery.checkout import open_repository, read_files, read_policy
from gitops_ml.delivery.facts import Facts
from gitops_ml.delivery.git import Git
from gitops_ml.delivery.handover import take_over
from gitops_ml.delivery.journal import release_to_use
from gitops_ml.delivery.merged import pull_of
from gitops_ml.delivery.recording import Build, check_image, check_place, manifest
from gitops_ml.delivery.records import load_facts, to_files
from gitops_ml.delivery.release import Origin, short
from gitops_ml.delivery.remote import fetch_main
from gitops_ml.delivery.run import this_run
from gitops_ml.delivery.state import StateBranch
from gitops_ml.delivery.train_once import Search, TakeOver
from gitops_ml.errors import UserError
from gitops_ml.github import GitHub
from gitops_ml.runner import Runner

ORIGINS: dict[str, Origin] = {"pull-request": "pull request", "run-cache": "run cache", "main": "main"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    tasks = parser.add_subparsers(dest="task", metavar="task", required=True)
    find = tasks.add_parser(
        "find", help="say whether main's files have a release, and what to train otherwise"
    )
    adopt = tasks.add_parser("adopt", help="take over the model that the merged pull request trained")
    record = tasks.add_parser("record", help="write down what was built and pushed")
    for task in (find, adopt, record):
        task.add_argument(
            "--project", type=Path, default=Path(), help="a clone with its history (default: this folder)"
        )
        task.add_argument(
            "--remote", default="origin", help="where main and deploy-state are (default: origin)"
        )
    find.add_argument(
        "--take-over",
        choices=("true", "false"),
        default="true",
        help="whether a pull request's model may be taken over (default: true)",
    )
    adopt.add_argument("--run", required=True, help="the run that trained it, from find")
    adopt.add_argument("--build-key", required=True, help="the build key, from find")
    record.add_argument("--image", required=True, help="what was pushed, as registry/name@sha256:...")
    record.add_argument("--trained", choices=tuple(ORIGINS), default="main", help="where the model came from")


def run(options: argparse.Namespace, runner: Runner) -> int:
    tasks: dict[str, Callable[[argparse.Namespace, Runner], int]] = {
        "find": run_find,
        "adopt": run_adopt,
        "record": run_record,
    }
    return tasks[options.task](options, runner)


def run_find(options: argparse.Namespace, runner: Runner) -> int:
    """Never fails because of the API: without a model to take over, one is trained on main."""
    git = open_repository(options.project, runner.environ)
    commit = fetch_main(git, options.remote)
    key = build_key(git.entries(commit))
    release = load_facts(git, StateBranch(git, options.remote).fetch()).of_build(key)
    found: TakeOver | None = None
    if release is not None:
        reason = f"{short(release.release)} was built from the same files and is used again."
    elif options.take_over == "false":
        reason = "Taking models over from pull requests is switched off."
    else:
        try:
            found = search(options, runner, git).look(commit, key)
            reason = f"Pull request {found.pull_request} trained the model of these files in run {found.run}."
        except UserError as error:
            reason = error.message
    outputs = {
        "release": "" if release is None else release.release,
        "build-key": key,
        "commit": commit,
        "image": read_policy(read_files(git, commit))[0].image or "",
        "adopt-run": "" if found is None else str(found.run),
        "reason": reason,
    }
    for name, value in outputs.items():
        runner.output(name, value)
    if release is not None:
        what = "Nothing has to be built"
    else:
        what = "The model of the pull request is taken over" if found else "The model is trained on main"
    say(runner, f"{what}: {reason}")
    return 0


def run_adopt(options: argparse.Namespace, runner: Runner) -> int:
    """Ends with 0 also when nothing was taken over: the model is trained then."""
    try:
        found = adopt(options, runner)
        reason = (
            f"Pull request {found.pull_request} trained the model at {found.head[:7]}, in run {found.run}."
        )
        adopted = True
    except UserError as error:
        adopted, reason = False, error.message
        runner.annotate("warning", f"The model of the pull request is not taken over: {reason}")
    runner.output("adopted", "true" if adopted else "false")
    runner.output("reason", reason)
    say(runner, f"{'The model was taken over' if adopted else 'The model is trained on main'}: {reason}")
    return 0


def adopt(options: argparse.Namespace, runner: Runner) -> TakeOver:
    """Check everything again that `find` found, at the commit that is checked out; raises `UserError` in doubt."""
    git = open_repository(options.project, runner.environ)
    commit = git.run("rev-parse", "HEAD").text
    if build_key(git.entries(commit)) != options.build_key:
        raise UserError(f"The commit {commit[:7]} that is checked out has another build key than was found.")
    if not options.run.isascii() or not options.run.isdecimal():
        raise UserError("There is no run to take a model from.")
    where = search(options, runner, git)
    found = where.look(commit, options.build_key, int(options.run))
    take_over(where, found, options.project)
    return found


def run_record(options: argparse.Namespace, runner: Runner) -> int:
    """Append the release; of two builds of the same files the first to arrive counts, for both jobs."""
    git = open_repository(options.project, runner.environ)
    main = fetch_main(git, options.remote)
    pipeline, _ = read_policy(read_files(git, main))
    check_image(options.image, pipeline)
    made_from = provenance.of(options.project, runner.environ)
    commit = check_place(git, main, made_from)
    build = Build(
        commit=commit,
        build_key=build_key(git.entries(commit)),
        image=options.image,
        trained=ORIGINS[options.trained],
        pull_request=merged_as(options, runner, git, commit),
        run=this_run(runner.environ),
    )
    made = manifest(git, options.project, made_from, build, dt.datetime.now(dt.UTC))
    used = [made]

    def make(facts: Facts) -> dict[str, bytes]:
        used[0] = release_to_use(facts, made)
        return (
            to_files(made) if used[0].release == made.release and made.release not in facts.releases else {}
        )

    StateBranch(git, options.remote).append(make, f"Release {short(made.release)} of {commit[:7]}")
    runner.output("release", used[0].release)
    if used[0].release == made.release:
        source = {"pull request": "taken over from the pull request", "run cache": "from the run cache"}
        say(
            runner,
            f"{short(made.release)} is recorded; its model was {source.get(made.trained, 'trained on main')}.",
        )
    else:
        say(runner, f"{short(used[0].release)} counts: it was built from the same files and recorded first.")
    registered = model_registry.register(runner.environ, used[0])
    if model_registry.is_trouble(registered):
        runner.annotate("warning", registered)
    elif registered:
        print(registered)
    return 0


def merged_as(options: argparse.Namespace, runner: Runner, git: Git, commit: str) -> int | None:
    """The number of the pull request that was merged as `commit`; None when it is not known."""
    try:
        where = search(options, runner, git)
        pull = pull_of(where.github, where.repository, commit)
    except UserError as error:
        runner.annotate(
            "warning", f"Which pull request was merged as {commit[:7]} is not known. {error.message}"
        )
        return None
    return None if pull is None else pull.number


def search(options: argparse.Namespace, runner: Runner, git: Git) -> Search:
    """Where to look for a model; raises `UserError` without a repository or a token."""
    repository = runner.environ.get("GITHUB_REPOSITORY", "")
    if repository.count("/") != 1:
        raise UserError(
            "There is no GITHUB_REPOSITORY to ask for the pull request.", "Run this in a workflow."
        )
    return Search(GitHub.of_job(runner.environ), repository, git, options.remote)


def say(runner: Runner, sentence: str) -> None:
    """One sentence for the log and for the job summary, where nothing in it acts as Markdown."""
    line = " ".join(ascii(sentence)[1:-1].split())
    print(line)
    runner.summary(f"### Release\n\n    {line}")
