"""Everything that is known to have happened: the content of `deploy-state` as typed values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from gitops_ml.delivery.deployment import Deployment, Live, Observation
from gitops_ml.delivery.evidence import Evidence
from gitops_ml.delivery.paths import evidence_folder, order_of
from gitops_ml.delivery.release import Manifest


@dataclass(frozen=True)
class Facts:
    """Sequences are in the order in which the branch took them, oldest first; no clock orders anything.

    `unreadable` holds the paths of files that are not what their place says; what they would have said is unknown.
    """

    releases: Mapping[str, Manifest] = field(default_factory=dict)
    deployments: Mapping[str, Sequence[Deployment]] = field(default_factory=dict)
    evidence: Mapping[tuple[str, str], Sequence[Evidence]] = field(default_factory=dict)
    observed: Mapping[str, Sequence[Observation]] = field(default_factory=dict)
    unreadable: frozenset[str] = frozenset()

    def history(self, environment: str) -> Sequence[Deployment]:
        """The deployments of `environment`, oldest first."""
        return self.deployments.get(environment, ())

    def served(self, environment: str, release: str) -> bool:
        """Whether `release` was ever healthy in `environment`."""
        return any(item.healthy and item.release == release for item in self.history(environment))

    def last_healthy(self, environment: str, other_than: Iterable[str] = ()) -> Deployment | None:
        """The newest deployment of `environment` that became healthy, of none of the releases `other_than`."""
        left_out = frozenset(other_than)
        for item in reversed(self.history(environment)):
            if item.healthy and item.release not in left_out:
                return item
        return None

    def unreadable_evidence(self, environment: str, release: str) -> list[tuple[int, int]]:
        """The places in the order of evidence files that are there but cannot be read."""
        folder = evidence_folder(environment, release)
        return [order_of(path) for path in self.unreadable if path.startswith(folder)]

    def of_build(self, build_key: str) -> Manifest | None:
        """The release that was built from `build_key`; the writer sees to it that there is one at most."""
        return next((item for item in self.releases.values() if item.artifacts.build_key == build_key), None)

    def live(self, environment: str) -> Live:
        """What `environment` last said of itself: by its last outcome, or by an observation after it."""
        last = next((item for item in reversed(self.history(environment)) if item.outcome), None)
        seen = self.observed.get(environment, ())
        if seen and (last is None or seen[-1].after >= last.order):
            fence = last.intent.fence if last else 0
            return Live(seen[-1].release, seen[-1].digest, seen[-1].healthy, fence)
        if last is None or last.outcome is None:
            return Live()
        return Live(last.release, last.outcome.digest, last.outcome.healthy, last.intent.fence)
