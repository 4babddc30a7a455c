"""An environment that is a tag in the registry of images: whoever runs `:production` runs what main says.

The release is started and proven on this machine first; the tag moves afterwards, and only by digest. A tag remembers
no fence, so the newest intent on deploy-state stands for it, read again right before the tag is moved.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gitops_ml import engine as engines
from gitops_ml.checks import Check
from gitops_ml.delivery.checkout import open_repository
from gitops_ml.delivery.deployment import Live
from gitops_ml.delivery.facts import Facts
from gitops_ml.delivery.oci import Repository
from gitops_ml.delivery.pipeline import Pipeline
from gitops_ml.delivery.proof import Proof, prove, ready_problem, wait_until
from gitops_ml.delivery.records import load_facts
from gitops_ml.delivery.state import StateBranch
from gitops_ml.delivery.targets.base import Order, refuse_late
from gitops_ml.delivery.targets.settings import RegistryTarget
from gitops_ml.delivery.typed import fingerprint
from gitops_ml.delivery.web import WebService
from gitops_ml.errors import UserError
from gitops_ml.trial import Trial, tried

READY_S = 120.0


@dataclass
class Registry:
    """The tag `environment` of `pipeline.image`."""

    settings: RegistryTarget
    environment: str
    pipeline: Pipeline
    repository: Path
    environ: Mapping[str, str] = field(repr=False)
    facts: Facts = field(repr=False)
    _proof: tuple[str, Proof] | None = None

    def live(self) -> Live:
        """Healthy when the tag means the image of a recorded release; nothing runs here that could be asked."""
        found = self._images.find(self.environment)
        fence = max((item.intent.fence for item in self.facts.history(self.environment)), default=0)
        if found is None:
            return Live(fence=fence)
        release = self._release_of(found.digest)
        return Live(release, found.digest, release is not None, fence)

    def apply(self, order: Order) -> str:
        """Run the release here, prove it, and move the tag to it; one that is not well leaves the tag where it is."""
        self._refuse_if_late(order)
        images, digest = self._images, order.release.artifacts.digest
        before = images.find(self.environment)
        if before is not None and before.digest == digest:
            return ""
        image = images.find(digest)
        if image is None:
            return f"{order.release.artifacts.image} is not in the registry any more"
        proof = self.prove(order)
        if not all(proof.values()):
            return f"{proof.why}; the tag {self.environment} stays where it is"
        self._refuse_if_late(order)
        images.tag(image, self.environment)
        return ""

    def prove(self, order: Order) -> Proof:
        """What the release showed on this machine; it is run again unless this run has run it already."""
        release = order.release.release
        if self._proof is None or self._proof[0] != release:
            self._proof = (release, self._try(order))
        return self._proof[1]

    @property
    def _images(self) -> Repository:
        if self.pipeline.image is None:
            raise UserError(
                f"{self.environment} is a tag in a registry, and environments/pipeline.yaml does not say in which.",
                "Add a line such as: image: ghcr.io/owner/model",
            )
        return Repository(self.pipeline.image, self.environ)

    def _release_of(self, digest: str) -> str | None:
        """The recorded release with this image; of several the one that came here last."""
        known = [one.release for one in self.facts.releases.values() if one.artifacts.digest == digest]
        came = [item.release for item in self.facts.history(self.environment) if item.release in known]
        return [*known, *came][-1] if known else None

    def _refuse_if_late(self, order: Order) -> None:
        git = open_repository(self.repository, self.environ)
        history = load_facts(git, StateBranch(git).fetch()).history(self.environment)
        refuse_late(max((item.intent.fence for item in history), default=0), order)

    def _try(self, order: Order) -> Proof:
        engine = engines.find(self.environ, builds=False)
        image = order.release.artifacts.image
        engine.pull(image)
        # One at a time for each environment, so what a killed run left running has this name.
        name = f"gitops-ml-trial-{self.environment}-{fingerprint(self.pipeline.image)[:12]}"
        with tried(engine, image, order.variables, self.settings.network, name=name) as trial:
            problem = _await_ready(trial)
            if problem:
                return Proof((Check("version", False, problem), Check("smoke", False, problem)))
            return prove(_service(trial), order)


def _service(trial: Trial) -> WebService:
    return WebService(f"http://127.0.0.1:{trial.port}")


def _await_ready(trial: Trial) -> str:
    """Why the container is not ready, or an empty text; one that has ended is not waited for."""
    gone: list[str] = []

    def problem() -> str:
        gone[:] = filter(None, [trial.ended])
        return "" if gone else ready_problem(_service(trial))

    last = wait_until(problem, READY_S)
    return gone[0] if gone else last
