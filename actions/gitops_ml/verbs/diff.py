"""`gitops-ml diff`: read both sides, decide, write `report.json`, `report.md` and `report.html`, set the outputs."""

from __future__ import annotations

import argparse
import datetime as dt
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from gitops_ml.comparing import Side, slice_columns
from gitops_ml.diff import (
    MAX_TEXT,
    Baseline,
    Inputs,
    Judges,
    build_report,
    failed_report,
    unchanged_report,
    worded,
)
from gitops_ml.errors import UserError
from gitops_ml.gates import GatesFile, check_metrics, load_gates
from gitops_ml.image_record import read_image
from gitops_ml.inputs import read_bytes
from gitops_ml.junit import read_suites
from gitops_ml.predictions import read_predictions
from gitops_ml.report import Report
from gitops_ml.reports import read_recorded, read_reports
from gitops_ml.runner import Level, Runner

Read = TypeVar("Read")
DEFAULT_GATES = "gates.yaml"
MAX_PLOTS = 20
PLOT_LIMIT_BYTES = 2 * 1024**2
PLOTS_LIMIT_BYTES = 8 * 1024**2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Compare the reports of a pull request's head with those of its merge base under gates.yaml."
    )
    add = parser.add_argument
    add("--head", default="reports", help="folder of head's reports (default: reports)")
    add("--head-commit", default="", help="commit of head; default: the commit in its run.json")
    add(
        "--base", default="", help="folder of the merge base's reports; empty or absent: there is no baseline"
    )
    add("--base-commit", default="", help="commit of the merge base")
    add("--base-time", default="", help="when that commit was made, in seconds since 1970; its age is shown")
    add("--base-reason", default="", help="why there is no baseline, in words, shown when --base is absent")
    add("--rescored", default="", help="folder with the base model's predictions on head's evaluation rows")
    add(
        "--production",
        default="",
        help="production's reports folder, or a JSON file with its recorded metrics",
    )
    add("--image", default="", help="folder that the image verb wrote for head; absent, the verdict is fail")
    add("--base-image-bytes", default="", help="size of the merge base's image, shown beside head's")
    add("--gates", default="", help="head's gates.yaml (default: gates.yaml, if there is one)")
    add(
        "--base-gates",
        default="",
        help="the merge base's gates.yaml, which judges; empty or absent: head's judge",
    )
    add("--tests", default="", help="folder of JUnit files (default: tests/ in head's folder)")
    add("--output", default="report", help="folder to write report.json, report.md and report.html to")
    add(
        "--unchanged",
        action="store_true",
        help="nothing that goes into the model changed: the base's numbers stand",
    )
    add("--failed", default="", metavar="REASON", help="training failed: write a report that says why")
    add("--note", default="", help="a sentence that the report shows among its notes")


def run(options: argparse.Namespace, runner: Runner) -> int:
    """Write the report; 0 when the verdict is pass or warn, 1 when it is fail."""
    _remove_old(Path(options.output) / "report.json")
    report = noted(decide(options, time.time()), _written(options.note))
    _write(report, options, runner)
    for problem in report.problems:
        runner.annotate("error", problem)
    for result in report.gates:
        if result.outcome in ("fail", "warn"):
            level: Level = "error" if result.outcome == "fail" else "warning"
            runner.annotate(level, f"{result.subject}, {result.rule}: {result.message}")
    return 1 if report.verdict == "fail" else 0


def _remove_old(path: Path) -> None:
    """Take away what lies where the report will be, so that it can't pass for one when this run ends before."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(f"{path.parent}: the report cannot be written ({error.strerror}).") from None


def noted(report: Report, note: str) -> Report:
    """`report` with one more note, first; cut like every other text in it."""
    return report.model_copy(update={"notes": (note[:MAX_TEXT], *report.notes)[:50]}) if note else report


class _Reader:
    """Runs readers one by one and keeps the complaints, so that one bad file does not hide the others."""

    def __init__(self) -> None:
        self.problems: list[str] = []
        self.notes: list[str] = []

    def attempt(
        self, read: Callable[[], Read], into: list[str] | None = None, prefix: str = ""
    ) -> Read | None:
        try:
            return read()
        except UserError as error:
            sink = self.problems if into is None else into
            sink.append(f"{prefix}{worded(error)}")
            return None


def decide(options: argparse.Namespace, now: float) -> Report:
    """Everything that is read, decided on; `now` is in seconds since 1970."""
    reader = _Reader()
    head_folder = Path(options.head)
    tests = Path(options.tests) if options.tests else head_folder / "tests"
    suites = reader.attempt(lambda: read_suites(tests)) or ()
    gates = _gates(options, reader)
    judges = Judges(gates.head.gates if gates.head else None, gates.base.gates if gates.base else None)
    commit = options.head_commit or None
    if options.failed:
        return failed_report([_written(options.failed), *reader.problems], judges, suites, commit)
    base = _baseline(options, reader, now)
    judged, base_metrics = gates.head, base.side.reports.metrics if base.side is not None else {}
    if options.unchanged:
        if judged is not None and base_metrics:
            reader.attempt(lambda: check_metrics(judged, base_metrics))
        return unchanged_report(base, judges, suites, commit, reader.problems)
    head = reader.attempt(lambda: _side(head_folder, reader, slice_columns(judges.effective())))
    if head is None:
        return failed_report(reader.problems, judges, suites, commit)
    if head.predictions is not None:
        judges = judges.with_slice_columns(head.predictions.slice_names)
    if judged is not None:
        reader.attempt(lambda: check_metrics(judged, {*head.reports.metrics, *base_metrics}))
    image = _image(options, reader)
    base_image = reader.attempt(lambda: _bytes(options.base_image_bytes), reader.notes)
    return build_report(
        Inputs(
            head=head,
            base=base,
            judges=judges,
            head_commit=commit,
            rescored=_rescored(options, reader),
            production=_production(options, reader),
            image_bytes=image,
            base_image_bytes=base_image,
            suites=suites,
            problems=tuple(reader.problems),
            notes=tuple(reader.notes),
            today=dt.datetime.fromtimestamp(now, dt.UTC).date(),
        )
    )


@dataclass(frozen=True)
class _Gates:
    head: GatesFile | None
    base: GatesFile | None


def _gates(options: argparse.Namespace, reader: _Reader) -> _Gates:
    """Both sides' gates.

    Gates of the base that cannot be read must not lock the repository: head's judge then, and a note says so.
    """
    path = Path(options.gates or DEFAULT_GATES)
    base_path = Path(options.base_gates) if options.base_gates else None
    base = None
    if base_path is not None and base_path.exists():
        there = base_path
        remark = "The merge base's gates cannot be used, so head's own gates judge: "
        base = reader.attempt(lambda: load_gates(there), reader.notes, remark)
    head = None
    # A gates.yaml that was asked for, or that the base has, must be there: deleting it is no way out.
    if options.gates or base is not None or path.exists():
        head = reader.attempt(lambda: load_gates(path))
    return _Gates(head, base)


def _side(
    folder: Path, reader: _Reader, columns: tuple[str, ...] | None = (), need_metrics: bool = True
) -> Side:
    """One side; predictions that cannot be read are a problem, but the metrics still stand."""
    reports = read_reports(folder, need_metrics)
    path = reports.predictions
    if path is None:
        return Side(reports)
    return Side(reports, reader.attempt(lambda: read_predictions(path, columns)))


def _baseline(options: argparse.Namespace, reader: _Reader, now: float) -> Baseline:
    commit = options.base_commit or None
    if not options.base or not Path(options.base).exists():
        reason = _written(options.base_reason) or "the merge base has no reports"
        return Baseline(reason=reason, commit=commit)
    side = reader.attempt(lambda: _side(Path(options.base), reader))
    if side is None:
        return Baseline(reason="the merge base's reports cannot be read", commit=commit)
    age = reader.attempt(lambda: _age(options.base_time, now), reader.notes)
    return Baseline(side, commit=commit, age_s=age)


def _written(text: str) -> str:
    """An argument as text that a file can hold: bytes that are not UTF-8 become question marks."""
    return text.encode("utf-8", "replace").decode()


def _age(text: str, now: float) -> float | None:
    if not text:
        return None
    if not text.isdecimal() or len(text) > 12:
        raise UserError(
            "--base-time must be seconds since 1970.", "Take it from: git show -s --format=%ct <commit>"
        )
    return max(now - int(text), 0.0)


def _rescored(options: argparse.Namespace, reader: _Reader) -> Side | None:
    """Re-scored predictions are a help: when they cannot be used, the diff stays `not comparable` and says so."""
    folder = Path(options.rescored)
    if not options.rescored or not folder.is_dir():
        return None
    found = _Reader()
    side = found.attempt(lambda: _side(folder, found, need_metrics=False))
    reader.notes += [f"The re-scored predictions cannot be used: {problem}" for problem in found.problems]
    return side


def _production(options: argparse.Namespace, reader: _Reader) -> Baseline | None:
    path = Path(options.production)
    if not options.production or not path.exists():
        return None
    reports = reader.attempt(lambda: read_recorded(path))
    if reports is None:
        return Baseline(reason="production's record cannot be read")
    predictions = reports.predictions
    if predictions is None:
        return Baseline(Side(reports))
    return Baseline(Side(reports, reader.attempt(lambda: read_predictions(predictions))))


def _image(options: argparse.Namespace, reader: _Reader) -> int | None:
    """Size of head's image; that it is not there, or failed its smoke test, is a problem where one was asked for."""
    record = reader.attempt(lambda: read_image(Path(options.image))) if options.image else None
    if record is None:
        return None
    if record.problem:
        reader.problems.append(record.problem)
    return record.size_bytes


def _bytes(text: str) -> int | None:
    if not text:
        return None
    if not text.isdecimal() or len(text) > 15:
        raise UserError("--base-image-bytes must be a number of bytes.")
    return int(text)


def _write(report: Report, options: argparse.Namespace, runner: Runner) -> None:
    """The three files, the outputs and the job summary."""
    from gitops_ml.html import render_html
    from gitops_ml.markdown import render_comment, render_summary

    folder = Path(options.output)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "report.json"
        path.write_text(
            report.model_dump_json(by_alias=True, exclude_defaults=False) + "\n", encoding="utf-8"
        )
        (folder / "report.md").write_text(render_comment(report), encoding="utf-8")
        (folder / "report.html").write_text(render_html(report, _plots(Path(options.head))), encoding="utf-8")
    except OSError as error:
        raise UserError(f"{folder}: the report cannot be written ({error.strerror}).") from None
    runner.output("verdict", report.verdict)
    runner.output("primary-delta", _primary_delta(report))
    runner.output("report-path", str(path))
    runner.summary(render_summary(report))


def _primary_delta(report: Report) -> str:
    """Head minus merge base of the primary metric, or nothing when they were not compared."""
    for comparison in report.comparisons:
        for metric in comparison.metrics:
            if (
                comparison.baseline == "merge base"
                and metric.name == report.primary
                and metric.delta is not None
            ):
                return repr(metric.delta)
    return ""


def _plots(head: Path) -> dict[str, bytes]:
    """The pictures of `plots/*.svg`, within caps; a picture that cannot be read is left out, it decides nothing."""
    plots: dict[str, bytes] = {}
    total = 0
    for path in sorted((head / "plots").glob("*.svg"))[:MAX_PLOTS]:
        try:
            content = read_bytes(path, PLOT_LIMIT_BYTES)
        except UserError:
            continue
        total += len(content)
        if path.name.isprintable() and total <= PLOTS_LIMIT_BYTES:
            plots[path.name] = content
    return plots
