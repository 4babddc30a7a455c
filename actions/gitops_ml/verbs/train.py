"""`gitops-ml train`: run the training command, write `reports/cost.json` and the job summary."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from gitops_ml.errors import UserError
from gitops_ml.runner import Runner
from gitops_ml.training import Cost, measure, run_command, write_cost

DEFAULT_COMMAND = "dvc repro"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--command", default=DEFAULT_COMMAND, help="what trains, as bash runs it")
    parser.add_argument("--working-directory", type=Path, default=Path(), help="where it runs")
    parser.add_argument("--reports", type=Path, default=Path("reports"), help="folder that it writes")
    parser.add_argument("--model", type=Path, default=Path("model/model.skops"), help="model file or folder")


def run(options: argparse.Namespace, runner: Runner) -> int:
    folder: Path = options.working_directory
    command = options.command.strip() or DEFAULT_COMMAND
    with runner.shielded():
        outcome = run_command(command, folder, sys.stdout)
    if outcome.returncode != 0:
        raise UserError(
            f"The training command ended with exit code {outcome.returncode}: {command}",
            "Its output is above; run the same command on your machine.",
        )
    cost = measure(outcome, folder / options.model)
    write_cost(cost, folder / options.reports)
    runner.output("trained", "true" if cost.trained else "false")
    runner.output("duration-s", "" if cost.duration_s is None else str(cost.duration_s))
    runner.output("peak-memory-mib", "" if cost.peak_memory_mib is None else str(cost.peak_memory_mib))
    said = sentence(cost)
    print(said)
    runner.summary(f"### Training\n\n{said}")
    return 0


def sentence(cost: Cost) -> str:
    """What training did, in one sentence."""
    size = "" if cost.model_bytes is None else f" The model is {cost.model_bytes:,} bytes."
    if not cost.trained:
        return "Nothing had to be trained: every stage of the pipeline is up to date." + size
    return f"Trained in {cost.duration_s:.1f} s with at most {cost.peak_memory_mib:.0f} MiB of memory." + size
