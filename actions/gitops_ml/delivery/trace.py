"""From a release, a commit, a model, an image or a run to everything that is known behind it."""

from __future__ import annotations

from dataclasses import dataclass

from gitops_ml.delivery.deployment import Deployment
from gitops_ml.delivery.evidence import Evidence
from gitops_ml.delivery.facts import Facts
from gitops_ml.delivery.release import Manifest

SHORTEST = 7


@dataclass(frozen=True)
class Trace:
    """One release with its evidence and its deployments, in the order in which they happened."""

    manifest: Manifest
    evidence: tuple[Evidence, ...]
    deployments: tuple[Deployment, ...]


def trace(facts: Facts, identifier: str) -> list[Trace]:
    """Every release that `identifier` names, oldest first: by id, commit, build key, model, data, image digest or run.

    Hashes may be cut to their first `SHORTEST` digits or more; a run has to be given in full.
    """
    wanted = identifier.strip().removeprefix("r-").removeprefix("sha256:").lower()
    if not wanted:
        return []
    found = [item for item in facts.releases.values() if _matches(item, wanted, identifier.strip())]
    return [_behind(facts, item) for item in sorted(found, key=lambda item: item.sequence)]


def _matches(manifest: Manifest, wanted: str, identifier: str) -> bool:
    parts = manifest.artifacts
    if identifier == parts.run:
        return True
    if len(wanted) < SHORTEST:
        return False
    names = (
        manifest.release.removeprefix("r-"),
        parts.commit,
        parts.build_key,
        parts.model,
        parts.data,
        parts.digest.removeprefix("sha256:"),
    )
    return any(name.startswith(wanted) for name in names)


def _behind(facts: Facts, manifest: Manifest) -> Trace:
    evidence = [
        item
        for (_, release), items in facts.evidence.items()
        if release == manifest.release
        for item in items
    ]
    deployments = [
        item for items in facts.deployments.values() for item in items if item.release == manifest.release
    ]
    return Trace(manifest, tuple(evidence), tuple(deployments))


def text(found: Trace) -> str:
    """The trace for a terminal."""
    parts = found.manifest.artifacts
    lines = [f"release   {found.manifest.release}"]
    lines += [f"{name:<9} {value}" for name, value in parts.model_dump(mode="json").items()]
    lines.append(f"trained   {found.manifest.trained}")
    if found.manifest.pull_request is not None:
        lines.append(f"request   #{found.manifest.pull_request}")
    lines += [f"metric    {name} {value:.6g}" for name, value in sorted(found.manifest.metrics.items())]
    for item in found.deployments:
        intent = item.intent
        end = (
            "no outcome"
            if item.outcome is None
            else "healthy"
            if item.healthy
            else f"unhealthy: {item.outcome.reason}"
        )
        by = f" by {intent.by}" if intent.by else ""
        request = f" #{intent.pull_request}" if intent.pull_request else ""
        approved = f" approved by {', '.join(intent.approvers)}" if intent.approvers else ""
        place = f"{intent.environment} {intent.generation}-{intent.attempt}"
        lines.append(
            f"deployed  {intent.at:%Y-%m-%d %H:%M} {place} {intent.kind}{request}{by}{approved}: {end}"
        )
    for proof in found.evidence:
        checks = ", ".join(
            f"{name} {'passed' if ok else 'FAILED'}" for name, ok in sorted(proof.checks.items())
        )
        lines.append(
            f"proven    {proof.at:%Y-%m-%d %H:%M} {proof.environment} {proof.generation}-{proof.attempt}: {checks}"
        )
    return "\n".join(lines) + "\n"
