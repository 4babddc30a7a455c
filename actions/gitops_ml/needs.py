"""The results of the jobs that one job needs, as `toJSON(needs)` gives them, and whether they may be merged."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gitops_ml.errors import UserError

NOT_NEEDED = "not-needed"
RESULTS = ("success", "failure", "cancelled", "skipped")


@dataclass(frozen=True)
class Job:
    """One needed job; `excuses` are the jobs that it says are not needed."""

    name: str
    result: str
    excuses: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Finding:
    """What one job means for the gate."""

    job: str
    result: str
    passed: bool
    why: str = ""


def parse_needs(text: str) -> list[Job]:
    """Read `toJSON(needs)`; raises `UserError` for anything that is not the result of at least one job."""
    hint = "Give the action `needs: ${{ toJSON(needs) }}`, in a job whose `needs:` lists every other job."
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError("The jobs' results are not JSON.", hint) from error
    if not isinstance(value, dict) or not value:
        raise UserError("No job's result was given, so there is nothing to decide on.", hint)
    return [_parse_job(name, item, hint) for name, item in value.items()]


def _parse_job(name: str, item: Any, hint: str) -> Job:
    result = item.get("result") if isinstance(item, dict) else None
    if result not in RESULTS:
        raise UserError(f"Job {name!r} has no result that is known ({ascii(result)[:40]}).", hint)
    outputs = item.get("outputs")
    said = outputs.get(NOT_NEEDED) if isinstance(outputs, Mapping) else None
    return Job(name, str(result), frozenset(said.split()) if isinstance(said, str) else frozenset())


def judge(jobs: list[Job]) -> list[Finding]:
    """Every job has to be `success`. Only `skipped` can be excused, and only by a job that is `success` itself."""
    excused = {name: job.name for job in jobs if job.result == "success" for name in job.excuses}
    return [_judge_job(job, excused.get(job.name)) for job in jobs]


def _judge_job(job: Job, excuser: str | None) -> Finding:
    if job.result == "success":
        return Finding(job.name, job.result, True)
    if job.result == "skipped" and excuser:
        return Finding(job.name, job.result, True, f"not needed, says {excuser}")
    if job.result == "skipped":
        return Finding(job.name, job.result, False, "skipped, and no job says that it is not needed")
    return Finding(job.name, job.result, False, f"ended with {job.result}")
