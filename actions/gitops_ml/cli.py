"""The command `gitops-ml`: which verbs there are, and the one exit door."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from importlib import import_module

from gitops_ml.errors import UserError
from gitops_ml.runner import Runner

# One module per verb under `verbs/`, imported only when it is called, so that a light verb starts fast.
VERBS: dict[str, str] = {
    "check": "say whether a change of environments/ may be merged, by main's own policy",
    "comment": "post a run's report as the one sticky comment of its pull request",
    "completion": "print the script that completes this command line in bash, fish or zsh",
    "data": "fetch data from the remote of DVC that main names, or run a command with the right to it",
    "deploy": "bring one environment to where main is, and prove it",
    "dashboard": "write one page with every environment, release and deployment",
    "diff": "compare two reports folders under gates.yaml and write the report",
    "doctor": "say what is missing on this machine, in this clone and on the forge, with the fixes",
    "gate": "fail unless every needed job succeeded or was not needed",
    "image": "build the image of a model, smoke-test it, push it when asked",
    "login": "log in to the registry of images for the rest of a job",
    "release": "find, take over or record the release of main's files",
    "recorded": "write the numbers of the release that an environment runs, to compare with",
    "promote": "open the pull request that moves a proven release to the next environment",
    "rollback": "open the pull request that brings an earlier release back",
    "scope": "say which parts of the pipeline a change touches",
    "settings": "compare the repository's settings with .github/settings, and write them when asked",
    "sign": "sign the model, say who would, or check a signature",
    "status": "show what runs in which environment, and what could be promoted",
    "trace": "go from a request, release, commit or model to everything behind it",
    "train": "run the training command and record time, memory and what it did",
}


def build_parser(verb: str | None = None) -> argparse.ArgumentParser:
    """The command line; with `verb`, the options of that verb are loaded too."""
    parser = argparse.ArgumentParser(prog="gitops-ml", description="Pull requests as experiments.")
    commands = parser.add_subparsers(dest="verb", metavar="verb", required=True)
    for name, summary in VERBS.items():
        command = commands.add_parser(name, help=summary, description=summary)
        if name == verb:
            import_module(f"gitops_ml.verbs.{name}").add_arguments(command)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; the exit code is 0 when it succeeded, 1 when its verdict is a failure, 2 on a user's error."""
    import sys

    words = list(sys.argv[1:] if arguments is None else arguments)
    verb = words[0] if words and words[0] in VERBS else None
    options = build_parser(verb).parse_args(words)
    runner = Runner()
    try:
        return int(import_module(f"gitops_ml.verbs.{options.verb}").run(options, runner))
    except UserError as error:
        runner.fail(error)
        return 2
