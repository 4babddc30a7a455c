"""What protects a branch, whoever set it up: rulesets of the repository and its organisation, and classic rules."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from gitops_ml.doctor.finding import Finding, unseen

ALL_METHODS = frozenset({"merge", "rebase", "squash"})


@dataclass(frozen=True)
class Protection:
    """Of several that hold at once, the strictest counts."""

    pull_request: bool = False
    approvals: int = 0
    code_owners: bool = False
    dismiss_stale: bool = False
    last_push: bool = False
    checks: frozenset[str] = frozenset()
    methods: frozenset[str] = ALL_METHODS
    no_force_push: bool = False
    no_deletion: bool = False

    def with_(self, other: Protection) -> Protection:
        return Protection(
            self.pull_request or other.pull_request,
            max(self.approvals, other.approvals),
            self.code_owners or other.code_owners,
            self.dismiss_stale or other.dismiss_stale,
            self.last_push or other.last_push,
            self.checks | other.checks,
            self.methods & other.methods,
            self.no_force_push or other.no_force_push,
            self.no_deletion or other.no_deletion,
        )


def of_rules(rules: Iterable[Mapping[str, Any]]) -> Protection:
    """What rules of rulesets amount to, as the API lists them for a branch or a file of settings has them."""
    found = Protection()
    for rule in rules:
        said = rule.get("parameters") or {}
        match rule.get("type"):
            case "pull_request":
                one = Protection(
                    pull_request=True,
                    approvals=int(said.get("required_approving_review_count") or 0),
                    code_owners=bool(said.get("require_code_owner_review")),
                    dismiss_stale=bool(said.get("dismiss_stale_reviews_on_push")),
                    last_push=bool(said.get("require_last_push_approval")),
                    methods=frozenset(said.get("allowed_merge_methods") or ALL_METHODS),
                )
            case "required_status_checks":
                listed = said.get("required_status_checks") or []
                one = Protection(checks=frozenset(str(check.get("context")) for check in listed))
            case "non_fast_forward":
                one = Protection(no_force_push=True)
            case "deletion":
                one = Protection(no_deletion=True)
            case "required_linear_history":
                one = Protection(methods=frozenset({"rebase", "squash"}))
            case _:
                one = Protection()
        found = found.with_(one)
    return found


def of_classic(value: Mapping[str, Any]) -> Protection:
    """What classic branch protection amounts to. It may let administrators through, and then protects from nobody."""
    if not _enabled(value, "enforce_admins"):
        return Protection()
    reviews = value.get("required_pull_request_reviews")
    status = value.get("required_status_checks") or {}
    named = {str(check.get("context")) for check in status.get("checks") or []}
    return Protection(
        pull_request=reviews is not None,
        approvals=int((reviews or {}).get("required_approving_review_count") or 0),
        code_owners=bool((reviews or {}).get("require_code_owner_reviews")),
        dismiss_stale=bool((reviews or {}).get("dismiss_stale_reviews")),
        last_push=bool((reviews or {}).get("require_last_push_approval")),
        checks=frozenset(named | set(status.get("contexts") or [])),
        methods=frozenset({"rebase", "squash"})
        if _enabled(value, "required_linear_history")
        else ALL_METHODS,
        no_force_push=not _enabled(value, "allow_force_pushes"),
        no_deletion=not _enabled(value, "allow_deletions"),
    )


def _enabled(value: Mapping[str, Any], name: str) -> bool:
    return bool((value.get(name) or {}).get("enabled"))


@dataclass(frozen=True)
class _Part:
    """One way in which a branch is protected: what is said when it is, what when it is not, and why it matters."""

    name: str
    have: str
    lack: str
    why: str


_MAIN = (
    _Part(
        "pull_request",
        "takes changes by pull request only",
        "can be pushed to directly",
        "A push is a deployment that nobody saw.",
    ),
    _Part(
        "checks",
        "waits for the check `gate`",
        "does not wait for the check `gate`",
        "A model that got worse, or a promotion without proof, could be merged.",
    ),
    _Part(
        "approvals",
        "waits for an approval",
        "is merged into without an approval",
        "Whoever opens a promotion could ship it alone.",
    ),
    _Part(
        "code_owners",
        "waits for a code owner",
        "does not wait for a code owner",
        "CODEOWNERS only asks; this makes it count.",
    ),
    _Part(
        "dismiss_stale",
        "forgets approvals when something is pushed",
        "keeps approvals of what was pushed over",
        "A change after the approval would be merged unseen.",
    ),
    _Part(
        "last_push",
        "wants the last push approved by somebody else",
        "lets who pushed last approve",
        "A reviewer could push, then approve that.",
    ),
    _Part(
        "methods",
        "is merged into by squashing only",
        "takes merge commits or rebases",
        "One commit for one change is what a generation counts and a revert reverts.",
    ),
    _Part(
        "no_force_push",
        "can't be rewritten",
        "can be rewritten by a force-push",
        "The history of main is the record of what ran.",
    ),
    _Part(
        "no_deletion", "can't be deleted", "can be deleted", "The history of main is the record of what ran."
    ),
)
_STATE = (
    _Part(
        "no_force_push",
        "can't be rewritten",
        "can be rewritten by a force-push",
        "Records of deployments and their proofs could be changed.",
    ),
    _Part(
        "no_deletion",
        "can't be deleted",
        "can be deleted",
        "Records of deployments and their proofs would be lost.",
    ),
)
FIX = "make settings APPLY=1"


def judge_main(there: Protection, wanted: Protection, unseen_classic: bool = False) -> Iterator[Finding]:
    """`main` against the files of settings: what a team took out of them itself is advice.

    With `unseen_classic` there is classic protection that this token does not see, so what rulesets lack is not known.
    """
    for one in _judge("main", _MAIN, there, wanted):
        yield (
            unseen(f"{one.what}, by rulesets", one.why) if unseen_classic and one.state == "missing" else one
        )


def judge_state(there: Protection) -> Iterator[Finding]:
    yield from _judge("deploy-state", _STATE, there, Protection(no_force_push=True, no_deletion=True))
    if there.pull_request or there.checks:
        yield Finding(
            "missing",
            "deploy-state takes changes by pull request, or after checks, only",
            "Runs could not record what they deployed, and every deployment fails.",
            "Leave deploy-state out of the ruleset that asks for them.",
        )


def _judge(branch: str, parts: Iterable[_Part], there: Protection, wanted: Protection) -> Iterator[Finding]:
    for part in parts:
        if _has(there, part.name):
            yield Finding("ok", f"{branch} {part.have}")
        elif _has(wanted, part.name):
            yield Finding("missing", f"{branch} {part.lack}", part.why, FIX)
        else:
            yield Finding(
                "advice", f"{branch} {part.lack}, as .github/settings says", part.why, "Change it there."
            )


def _has(protection: Protection, name: str) -> bool:
    if name == "checks":
        return "gate" in protection.checks
    if name == "methods":
        return protection.methods == {"squash"}
    return bool(getattr(protection, name))
