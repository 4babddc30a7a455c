"""Reading `deploy-state` quickly: one listing, one batch of contents, one validation per record."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from pydantic import ValidationError

from gitops_ml.delivery.deployment import Deployment, Intent, Observation, Outcome
from gitops_ml.delivery.evidence import Evidence
from gitops_ml.delivery.facts import Facts
from gitops_ml.delivery.git import Git
from gitops_ml.delivery.paths import (
    evidence_path,
    intent_path,
    noun,
    observation_path,
    outcome_path,
    release_path,
)
from gitops_ml.delivery.release import Manifest
from gitops_ml.delivery.typed import to_file

Record = Manifest | Intent | Outcome | Evidence | Observation
MODELS: dict[str, type[Manifest | Evidence | Observation]] = {
    "releases": Manifest,
    "evidence": Evidence,
    "observed": Observation,
}


@dataclass
class _Found:
    """Records as they are read, in no order."""

    releases: dict[str, Manifest] = field(default_factory=dict)
    intents: dict[tuple[str, int, int], Intent] = field(default_factory=dict)
    outcomes: dict[tuple[str, int, int], Outcome] = field(default_factory=dict)
    evidence: dict[tuple[str, str], list[Evidence]] = field(default_factory=lambda: defaultdict(list))
    observed: dict[str, list[Observation]] = field(default_factory=lambda: defaultdict(list))
    unreadable: set[str] = field(default_factory=set)


def load_facts(git: Git, commit: str | None) -> Facts:
    """All records of `commit`, a commit of `deploy-state`; None has none. A record that is unreadable is named."""
    if commit is None:
        return Facts()
    entries = git.entries(commit)
    # An index for humans (README.md) may lie on the branch; only records are read, and only plain files.
    paths = [path for path, entry in entries.items() if noun(path) and entry.startswith("100644 ")]
    contents = git.blobs([entries[path].split()[1] for path in paths])
    return parse_records(zip(paths, contents, strict=True))


def parse_records(files: Iterable[tuple[str, bytes | None]]) -> Facts:
    """Facts from files as (path, content). What does not say the same as its path is unreadable."""
    found = _Found()
    for path, content in files:
        try:
            if content is None or _keep(found, path, content) != path:
                found.unreadable.add(path)
        except ValidationError:
            found.unreadable.add(path)
    return Facts(
        releases=found.releases,
        deployments=_deployments(found),
        evidence={key: sorted(items, key=_order) for key, items in found.evidence.items()},
        observed={key: sorted(items, key=lambda one: one.number) for key, items in found.observed.items()},
        unreadable=frozenset(found.unreadable),
    )


def _keep(found: _Found, path: str, content: bytes) -> str:
    """Put the record where it belongs, and return the path that it should have; raises `ValidationError`."""
    model: type[Record] = MODELS.get(noun(path) or "") or (
        Intent if path.endswith(".intent.json") else Outcome
    )
    record: Record = model.model_validate_json(content)
    should = path_of(record)
    if should == path:
        if isinstance(record, Manifest):
            found.releases[record.release] = record
        elif isinstance(record, Observation):
            found.observed[record.environment].append(record)
        elif isinstance(record, Evidence):
            found.evidence[record.environment, record.release].append(record)
        elif isinstance(record, Intent):
            found.intents[record.environment, record.generation, record.attempt] = record
        else:
            found.outcomes[record.environment, record.generation, record.attempt] = record
    return should


def path_of(record: Record) -> str:
    """Where `record` lies on the branch."""
    if isinstance(record, Manifest):
        return release_path(record.release)
    if isinstance(record, Observation):
        return observation_path(record.environment, record.number)
    if isinstance(record, Evidence):
        return evidence_path(record.environment, record.release, record.generation, record.attempt)
    place = intent_path if isinstance(record, Intent) else outcome_path
    return place(record.environment, record.generation, record.attempt)


def to_files(*records: Record) -> dict[str, bytes]:
    """`records` as files of the branch, path to content."""
    return {path_of(record): to_file(record) for record in records}


def _order(record: Evidence) -> tuple[int, int]:
    return (record.generation, record.attempt)


def _deployments(found: _Found) -> dict[str, list[Deployment]]:
    """Intents with their outcomes; an outcome without its intent, or of another release, is unreadable."""
    joined: dict[str, list[Deployment]] = defaultdict(list)
    for place in sorted(found.intents):
        intent, outcome = found.intents[place], found.outcomes.pop(place, None)
        if outcome is not None and outcome.release != intent.release:
            found.unreadable.add(outcome_path(*place))
            outcome = None
        joined[place[0]].append(Deployment(intent, outcome))
    found.unreadable.update(outcome_path(*place) for place in found.outcomes)
    return dict(joined)
