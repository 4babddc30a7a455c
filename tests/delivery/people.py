"""What people do: they merge, promote, roll back, pin and revoke."""

from __future__ import annotations

from gitops_ml.delivery import check, journal, propose, world
from gitops_ml.delivery.revoked import Revocation, Revoked

from tests.delivery.truth import MARGIN, PullRequest, Truth, covered, manifest_of


class People(Truth):
    """Every method is one thing that somebody does, with what has to be true of it."""

    def merge(self, kind: str) -> None:
        """Merge code, documentation, or the revert of the last code."""
        trees = {"code": max(self.trees) + 1, "docs": self.trees[-1]}
        self.commit(trees.get(kind, self.trees[-2] if len(self.trees) > 1 else self.trees[-1]))
        covered[f"merge {kind}"] += 1

    def build(self, twins: int) -> None:
        """`twins` runs build main's tree at once; each writes on the newest facts."""
        tree, sequence = self.trees[-1], len(self.trees)
        for _ in range(twins):
            if self.facts.of_build(f"{tree:064x}") is None or twins > 1:
                self.builds[tree] += 1
                built = manifest_of(tree, self.builds[tree], sequence)
                used = journal.release_to_use(self.facts, built)
                self.facts.releases[used.release] = used  # type: ignore[index]
                covered["release built" if used is built else "release of another run re-used"] += 1
            else:
                covered["release re-used"] += 1
        keys = [item.artifacts.build_key for item in self.facts.releases.values()]
        assert len(keys) == len(set(keys)), "I1: one source was released twice"

    def move(self, name: str, release: str | None, review: world.Review, title: str) -> None:
        """Merge a change of one environment's file."""
        before, releases = self.files[name], len(self.facts.releases)
        self.commit(self.trees[-1])
        self.torn.pop(name, None)
        self.files[name] = release
        self.history[name].append(release)
        self.reviews[name] = review
        if before is not None and name in self.promoted:
            if self.sequence(release) < self.sequence(before):
                self.left[name].add(before)
            else:
                self.left[name].discard(before)
        if release is not None:
            self.left[name].discard(release)
        self.build(1)
        assert len(self.facts.releases) == releases or self.builds[self.trees[-1]] == 1, (
            "I16: a move built something"
        )
        covered[title] += 1

    def propose(self, name: str, asked: str | None, approver: str, by_hand: str | None = None) -> None:
        """A promotion is proposed, by automation or because a person asked, and checked on its pull request.

        Where none is, somebody may edit the file to `by_hand` instead.
        """
        view = self.world()
        found = propose.propose(view, name, asked)
        if found.release is None:
            covered["no proposal"] += 1
            if by_hand not in (None, self.files[name]):
                self.write_by_hand(view, name, by_hand, approver)
            return
        here, before = self.files[name], self.before(name)
        if asked is None:
            assert found.release not in self.left[name], "I18: a release that was left is proposed again"
            assert self.sequence(found.release) > self.sequence(here), "I18: an older release is proposed"
            assert found.release == self.wanted(before[-1].name), "I18: what main took back is proposed"
        assert found.release not in self.revoked_at, "I8: a revoked release is proposed"
        for step in before:
            assert self.proven(step.name, found.release, name, self.now, MARGIN), "I6: proposed without proof"
        again = propose.propose(view, name, asked)
        assert again == found, "I14: the same world is proposed differently"
        covered["proposed" if asked is None else "asked for"] += 1
        if check.verdict(check.check(view, name, found.release, "review")) == "passed":
            self.open.append(PullRequest(name, here, found.release, approver))
        else:
            covered["promotion check is red"] += 1

    def write_by_hand(self, view: world.World, name: str, release: str, approver: str) -> None:
        """Whoever gets no proposal can still edit the file; the check on the pull request is all there is then."""
        if check.verdict(check.check(view, name, release, "review")) == "passed":
            self.open.append(PullRequest(name, self.files[name], release, approver))
            covered["written by hand"] += 1
        else:
            covered["check of what was written by hand is red"] += 1

    def merge_promotion(self, index: int) -> None:
        request = self.open.pop(index % len(self.open))
        if self.files[request.environment] != request.base:
            covered["promotion conflicts"] += 1
            return
        review = world.Review("ann", frozenset({request.approver}))
        self.move(request.environment, request.release, review, "promotion merged")

    def roll_back(self, name: str, depth: int) -> None:
        """Merge the way back to a release that was healthy here; no gate but revocation may stand in it."""
        here = self.files[name]
        older = [one for one in dict.fromkeys(self.healthy[name]) if self.sequence(one) < self.sequence(here)]
        if not older:
            return
        release = older[-1 - depth % len(older)]
        findings = check.check(self.world(), name, release, "review")
        passed = check.verdict(findings) == "passed"
        newest = self.sequence(self.healthy[name][-1])
        if self.sequence(release) <= newest:
            assert passed == (release not in self.revoked_at), (
                "I19: the way back is blocked, or leads to a revoked one"
            )
        if passed:
            self.move(name, release, world.Review("ann"), "rolled back")
        else:
            covered["rollback check is red"] += 1

    def pin(self, name: str, release: str | None) -> None:
        if name not in self.promoted and self.files[name] != release:
            self.move(name, release, world.Review("ann"), "pinned" if release else "follows again")

    def revoke(self, release: str) -> None:
        if release in self.revoked_at:
            return
        self.commit(self.trees[-1])
        self.revoked = Revoked(
            schema=1, revoked=(*self.revoked.revoked, Revocation(release=release, reason="leaks"))
        )
        self.revoked_at[release] = len(self.trees)
        covered["revoked"] += 1
