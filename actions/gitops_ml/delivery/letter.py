"""The text of a pull request that moves an environment: what changes, what is known of it, what is still asked for.

It is read in a minute. Names of metrics, subjects of commits, reasons and addresses are somebody's text and become
inert here.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from gitops_ml.delivery.check import Finding, bound, check
from gitops_ml.delivery.evidence import Evidence
from gitops_ml.delivery.move import Move
from gitops_ml.delivery.pulls import marker
from gitops_ml.delivery.release import Manifest, short
from gitops_ml.delivery.story import Commit, Story
from gitops_ml.delivery.trailers import REQUESTED_BY
from gitops_ml.delivery.world import World
from gitops_ml.escape import code, link, prose
from gitops_ml.wording import aligned, count, signed

MOST_METRICS = 12
# GitHub's limit is 65,536; everything in here is capped, so this is never reached by what is meant.
LIMIT = 60_000
_ICONS = {"passed": "✅", "waiting": "⏳", "later": "👤", "failed": "❌"}


@dataclass(frozen=True)
class Letter:
    """What the text is made from. `page` is the address of the repository, empty when that is not known."""

    move: Move
    world: World
    story: Story = field(default_factory=Story)
    directions: Mapping[str, str] = field(default_factory=dict)
    page: str = ""
    requested_by: str | None = None
    by_run: bool = False
    reason: str = ""

    @property
    def here(self) -> str | None:
        return self.world.desired[self.move.environment].release

    @property
    def body(self) -> str:
        """The whole text as Markdown; its last line names the person who asked, if one did."""
        parts = [
            marker(self.move.kind, self.move.environment, self.move.asked) + "\n" + self._opening(),
            self._metrics(),
            self._commits(),
            self._proofs() if self.move.kind == "promote" else "",
            self._gates(),
            self._parts(),
            self._note(),
            f"{REQUESTED_BY}: {self.requested_by}" if self.requested_by else "",
        ]
        text = "\n\n".join(part for part in parts if part) + "\n"
        return text if len(text) <= LIMIT else "\n\n".join([parts[0], *parts[-2:]]).rstrip() + "\n"

    def _opening(self) -> str:
        name, here, there = self.move.environment, self.here, self.move.release
        came = f"from {self._release(here)} " if here else ""
        if self.world.step(name).follow:
            return (
                f"Merging this holds **{name}** at {self._release(there)}, which served it before. Nothing is built, "
                f"trained or waited for. To follow main again, revert the merge, or write `follow: main` in "
                f"`{self.move.path}`.\n\n**Reason:** {prose(self.reason, 500)}"
            )
        if self.move.kind == "rollback":
            served = self.world.facts.last_healthy(name)
            broken = " It could not become healthy there." if served and served.release != here else ""
            stays = (
                f" Automation does not propose {self._release(here)} again until somebody asks."
                if here
                else ""
            )
            return (
                f"Merging this brings **{name}** {came}back to {self._release(there)}, which served it before."
                f"{broken} Nothing is built, trained or waited for.{stays}\n\n**Reason:** {prose(self.reason, 500)}"
            )
        undo = f" Reverting it brings {self._release(here)} back." if here else ""
        proven = self.world.pipeline.earlier(name)[-1].name
        return (
            f"Merging this moves **{name}** {came}to {self._release(there)}: the same image, by digest, that "
            f"{proven} runs and has proven. Nothing is built or trained.{undo}"
        )

    def _release(self, release: str | None) -> str:
        return f"`{short(release)}`"  # a checked type: letters, digits and a dash

    def _metrics(self) -> str:
        """The metrics beside those of what is there now; a difference only where both saw the same rows."""
        there, here = self.world.manifest(self.move.release), self.world.manifest(self.here)
        if there is None or not there.metrics:
            return "The release has no metrics on record."
        same = here is not None and there.eval_hash is not None and here.eval_hash == there.eval_hash
        names = sorted(there.metrics, key=lambda name: (name != there.primary, name))
        rows = [self._metric(name, there, here, same) for name in names[:MOST_METRICS]]
        more = len(names) - len(rows)
        rows += [[f"… and {more:,} more", "", "", ""]] if more > 0 else []
        title = f"{self.move.environment} now"
        table = _table(["metric", f">{title}", ">this release", ">change"], rows)
        return f"{table}\n\n{self._comparison(here, there)}"

    def _metric(self, name: str, there: Manifest, here: Manifest | None, same: bool) -> list[str]:
        shown = f"**{code(name)}** (primary)" if name == there.primary else code(name)
        new, old = there.metrics[name], None if here is None else here.metrics.get(name)
        if old is None:
            return [shown, "-", aligned((new,))[0], "-"]
        change = new - old
        before, after = aligned((old, new), spread=abs(change) or None)
        if not same:
            return [shown, before, after, "not comparable"]
        decimals = len(after.partition(".")[2])
        better = {"higher": change > 0, "lower": change < 0}.get(self.directions.get(name, ""))
        word = "" if better is None else ", better" if better else ", worse"
        return [shown, before, after, f"{signed(change, decimals)}{word}" if change else "none"]

    def _comparison(self, here: Manifest | None, there: Manifest) -> str:
        if here is None:
            return (
                "Nothing runs there yet to compare with."
                if self.here is None
                else "What runs there has no manifest."
            )
        if there.eval_hash is None or here.eval_hash is None:
            return "Not comparable: it is not on record which rows both were evaluated on."
        if there.eval_hash != here.eval_hash:
            return "Not comparable: the two were evaluated on different rows."
        more = "; the pull requests below say which differences are beyond noise" if self._numbered() else ""
        return f"Both were evaluated on the same rows{more}."

    def _numbered(self) -> bool:
        return any(commit.number for commit in (*self.story.brings, *self.story.takes_back))

    def _commits(self) -> str:
        if not self.story.known:
            return ""
        parts = []
        for total, commits, said in (
            (self.story.brings_total, self.story.brings, "brings"),
            (self.story.takes_back_total, self.story.takes_back, "takes back"),
        ):
            if total:
                lines = [self._commit(commit) for commit in commits]
                lines += [f"- … and {total - len(commits):,} more"] if total > len(commits) else []
                parts.append(f"**What it {said}** ({count(total, 'commit')})\n\n" + "\n".join(lines))
        return "\n\n".join(parts)

    def _commit(self, commit: Commit) -> str:
        sha = commit.sha[:7]
        shown = link(f"`{sha}`", f"{self.page}/commit/{commit.sha}")
        number = f" (#{commit.number})" if commit.number else ""
        return f"- {shown} {prose(commit.subject, 120)}{number}"

    def _proofs(self) -> str:
        rows = []
        for step in self.world.pipeline.earlier(self.move.environment):
            records = bound(self.world, step.name, self.move.release)
            rows.append([step.name, *(self._proof(records[-1]) if records else ["none yet", "-", "-"])])
        return "**Proven**\n\n" + _table(["in", "checks", "when", "run"], rows)

    def _proof(self, evidence: Evidence) -> list[str]:
        checks = ", ".join(
            f"{'✅' if passed else '❌'} {name}" for name, passed in sorted(evidence.checks.items())
        )
        # The address is the record's own word: only a page of this repository is linked.
        url = evidence.run.url
        ours = self.page and url.startswith(f"{self.page}/actions/runs/")
        return [
            checks,
            f"{evidence.at.astimezone(dt.UTC):%Y-%m-%d %H:%M} UTC",
            link("run", url) if ours else "-",
        ]

    def _gates(self) -> str:
        """What still stands between this and the environment, and what does not any more."""
        findings = check(self.world, self.move.environment, self.move.release, "review")
        open_ = [finding for finding in findings if finding.outcome != "passed"]
        passed = [finding.rule for finding in findings if finding.outcome == "passed"]
        lines = [f"- {_ICONS[finding.outcome]} {self._said(finding)}" for finding in open_]
        every = "" if open_ else "every one has "
        lines += [f"- {_ICONS['passed']} {every}passed: {prose(', '.join(passed), 300)}"] if passed else []
        return "**Gates**\n\n" + "\n".join(lines)

    def _said(self, finding: Finding) -> str:
        asked = (
            f"; that of {self.requested_by}, who asked for this, does not count" if self.requested_by else ""
        )
        why = finding.why + (asked if finding.rule == "four eyes" else "")
        return f"{prose(finding.rule, 60)}: {prose(why, 300)}"

    def _parts(self) -> str:
        manifest = self.world.manifest(self.move.release)
        if manifest is None:
            return ""
        # Of checked types as well, and to be copied: nothing invisible may stand in them.
        parts = manifest.artifacts.model_dump(mode="json")
        rows = [
            ["release", f"`{manifest.release}`"],
            *([name, f"`{value}`"] for name, value in parts.items()),
        ]
        inside = _table(["part", "value"], rows)
        return f"<details><summary>What the release consists of</summary>\n\n{inside}\n\n</details>"

    def _note(self) -> str:
        if not self.by_run:
            return ""
        return (
            "> [!NOTE]\n> A workflow run opened this pull request with its own token. GitHub then waits with the "
            "checks: press **Approve workflows to run** below, or close and reopen it. Merge it yourself: a merge "
            "made with that token would start no deployment."
        )


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; a column whose title starts with `>` is set to the right."""
    titles = [column.lstrip(">") for column in columns]
    lines = [titles, ["--:" if column.startswith(">") else "---" for column in columns], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
