"""A shop: one repository with two environments, and what its people and workflows would do."""

from __future__ import annotations

import datetime as dt
import subprocess
from dataclasses import dataclass
from pathlib import Path

from gitops_ml import cli
from gitops_ml.delivery import journal
from gitops_ml.delivery.build import build_key
from gitops_ml.delivery.checkout import find_main, find_state, read_world
from gitops_ml.delivery.deployment import Intent, Live, Outcome
from gitops_ml.delivery.environment import render
from gitops_ml.delivery.evidence import Evidence
from gitops_ml.delivery.git import Git
from gitops_ml.delivery.plan import plan
from gitops_ml.delivery.records import Record, to_files
from gitops_ml.delivery.release import Manifest
from gitops_ml.delivery.state import StateBranch
from gitops_ml.delivery.typed import Run
from gitops_ml.delivery.world import World

from tests.delivery.repositories import commit, git, made, push
from tests.delivery.truth import WORKFLOW

PRODUCTION = "environments/production.yaml"


@dataclass
class Shop:
    """One repository with two environments, and what its workflows would do."""

    clone: Path
    number: int = 0

    @property
    def git(self) -> Git:
        return Git(self.clone)

    def world(self) -> World:
        git(self.clone, "fetch", "--quiet", "origin")
        return read_world(self.git, find_main(self.git), find_state(self.git), dt.datetime.now(dt.UTC))

    def record(self, *records: Record) -> None:
        StateBranch(self.git).append(lambda facts: to_files(*records), "facts")
        git(self.clone, "fetch", "--quiet", "origin")

    def release(self) -> Manifest:
        """Merge a change of the source and build it."""
        self.number += 1
        head = commit(self.clone, f"Change {self.number}", src__model_py=f"version = {self.number}\n")
        push(self.clone)
        manifest = made(head, build_key(self.git.entries(head)), self.number, self.count())
        self.record(manifest)
        return manifest

    def count(self) -> int:
        return int(git(self.clone, "rev-list", "--first-parent", "--count", "HEAD"))

    def deploy(self, name: str, healthy: bool = True) -> Outcome:
        """What a run does that finds something to deploy."""
        world = self.world()
        live = world.facts.live(name)
        decision = plan(world, name, live)
        assert decision.action == "deploy", decision
        assert decision.release is not None
        manifest = world.facts.releases[decision.release]
        now, author = (
            dt.datetime.now(dt.UTC),
            journal.Author(Run(workflow=WORKFLOW), by="ann", pull_request=7),
        )
        intent = journal.start(world.facts, world.desired[name], decision.release, "deploy", author, now)
        live = Live(decision.release, manifest.artifacts.digest, healthy, intent.fence)
        outcome = journal.finish(intent, live, "", now)
        self.record(intent, outcome, *([self.evidence(world, intent, manifest)] if healthy else []))
        return outcome

    def evidence(self, world: World, intent: Intent, manifest: Manifest) -> Evidence:
        return Evidence(
            environment=intent.environment,
            release=manifest.release,
            generation=intent.generation,
            attempt=intent.attempt,
            digest=manifest.artifacts.digest,
            checks={"version": True},
            policy=world.pipeline.policy(intent.environment),
            run=Run(workflow=WORKFLOW),
            at=intent.at,
        )

    def branch(self, manifest: Manifest, name: str = "promote") -> str:
        """A pull request that promotes `manifest`; returns its head and leaves the clone on main."""
        git(self.clone, "checkout", "--quiet", "-B", name, "main")
        content = render("production", manifest.artifacts)
        head = commit(self.clone, f"Promote {manifest.release}", environments__production_yaml=content)
        git(self.clone, "checkout", "--quiet", "main")
        return head

    def squash(self, head: str) -> None:
        """The merge button; raises `CalledProcessError` on a conflict, and then leaves main as it was."""
        try:
            git(self.clone, "merge", "--quiet", "--squash", head)
        except subprocess.CalledProcessError:
            git(self.clone, "reset", "--quiet", "--hard", "main")
            raise
        git(self.clone, "commit", "--quiet", "-m", "Squashed")
        push(self.clone)

    def ship(self) -> Manifest:
        """A release goes all the way."""
        manifest = self.release()
        self.deploy("staging")
        self.squash(self.branch(manifest))
        self.deploy("production")
        return manifest

    def content(self, commit_: str = "HEAD") -> str:
        return git(self.clone, "rev-parse", f"{commit_}:{PRODUCTION}")

    def check(self, head: str, base: str = "main") -> int:
        words = ["check", "--repository", str(self.clone), "--base", base, "--head", head]
        return cli.main(words)
