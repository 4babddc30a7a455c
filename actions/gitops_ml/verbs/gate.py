"""`gitops-ml gate`: the one required check; red unless every needed job succeeded or was not needed."""

from __future__ import annotations

import argparse

from gitops_ml.needs import Finding, judge, parse_needs
from gitops_ml.runner import Runner

ENVIRONMENT = "GITOPS_ML_NEEDS"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = f"Reads the result of toJSON(needs) from the environment variable {ENVIRONMENT}."


def run(options: argparse.Namespace, runner: Runner) -> int:
    findings = judge(parse_needs(runner.environ.get(ENVIRONMENT, "")))
    failed = [finding for finding in findings if not finding.passed]
    runner.summary(table(findings))
    for finding in findings:
        print(f"{'ok    ' if finding.passed else 'FAILED'} {finding.job}: {finding.why or finding.result}")
    for finding in failed:
        runner.annotate("error", f"{finding.job}: {finding.why}")
    runner.output("passed", "false" if failed else "true")
    return 1 if failed else 0


def table(findings: list[Finding]) -> str:
    """The findings as Markdown. Names of jobs are GitHub's own identifiers: letters, digits, `-` and `_`."""
    rows = [f"| {item.job} | {item.result} | {item.why} |" for item in findings]
    return "\n".join(["### Gate", "", "| job | result | |", "| --- | --- | --- |", *rows])
