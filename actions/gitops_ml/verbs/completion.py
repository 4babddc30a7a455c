"""`gitops-ml completion`: the script that completes verbs and options in somebody's shell."""

from __future__ import annotations

import argparse

from gitops_ml import cli
from gitops_ml.completion import SHELLS, load, script
from gitops_ml.runner import Runner


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=sorted(SHELLS), help="whose script to print")


def run(options: argparse.Namespace, runner: Runner) -> int:
    parser = cli.build_parser()
    load(parser)
    print(script(options.shell, parser), end="")
    return 0
