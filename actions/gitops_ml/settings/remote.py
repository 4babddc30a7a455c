"""Reading and writing settings through the API of the forge."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gitops_ml.errors import UserError
from gitops_ml.github import GitHub, NotFoundError, repo_path, segment
from gitops_ml.settings.files import Setting

Value = Mapping[str, Any]


class PlanError(UserError):
    """The plan of the account does not have what was asked for."""


@dataclass(frozen=True)
class Found:
    """What is there; `value` None when nothing is. `number` is the forge's own, for what has one."""

    value: Value | None = None
    number: int | None = None


@dataclass
class Remote:
    """The settings of one repository."""

    github: GitHub
    repository: str
    _rulesets: dict[str, int] | None = field(default=None, repr=False)

    @property
    def path(self) -> str:
        return repo_path(self.repository)

    def read(self, setting: Setting) -> Found:
        """What the forge has under this name; raises `PlanError` where the plan has no such thing, else `UserError`."""
        try:
            return self._read(setting)
        except NotFoundError:
            return Found()
        except UserError as error:
            raise explained(error) from None

    def write(self, setting: Setting, found: Found) -> None:
        """Make it so; raises as `read` does."""
        try:
            self._write(setting, found)
        except UserError as error:
            raise explained(error) from None

    def _read(self, setting: Setting) -> Found:
        match setting.kind:
            case "repository":
                return Found(as_object(self.github.get(self.path)))
            case "actions":
                return Found(as_object(self.github.get(f"{self.path}/actions/permissions/workflow")))
            case "label":
                return Found(as_object(self.github.get(f"{self.path}/labels/{segment(setting.name)}")))
            case "environment":
                return self._environment(setting.name)
        if self._rulesets is None:
            listed = list(map(as_object, self.github.pages(f"{self.path}/rulesets")))
            # An organisation's stand in the list as well, and are not the repository's to change.
            own = [one for one in listed if one.get("source_type", "Repository") == "Repository"]
            self._rulesets = {str(one.get("name")): int(one["id"]) for one in own}
        number = self._rulesets.get(setting.name)
        if number is None:
            return Found()
        return Found(as_object(self.github.get(f"{self.path}/rulesets/{number}")), number)

    def _environment(self, name: str) -> Found:
        at = f"{self.path}/environments/{segment(name)}"
        value = dict(as_object(self.github.get(at)))
        policy = value.get("deployment_branch_policy")
        value["branches"] = []
        if isinstance(policy, dict) and policy.get("custom_branch_policies"):
            policies = self.github.pages(f"{at}/deployment-branch-policies", key="branch_policies")
            value["branches"] = [str(one.get("name")) for one in map(as_object, policies)]
        return Found(value)

    def _write(self, setting: Setting, found: Found) -> None:
        wanted = setting.wanted
        match setting.kind:
            case "repository":
                self.github.send("PATCH", self.path, wanted)
            case "actions":
                self.github.send("PUT", f"{self.path}/actions/permissions/workflow", wanted)
            case "label" if found.value is None:
                self.github.send("POST", f"{self.path}/labels", wanted)
            case "label":
                body = {name: value for name, value in wanted.items() if name != "name"}
                self.github.send("PATCH", f"{self.path}/labels/{segment(setting.name)}", body)
            case "ruleset" if found.number is None:
                self.github.send("POST", f"{self.path}/rulesets", wanted)
            case "ruleset":
                self.github.send("PUT", f"{self.path}/rulesets/{found.number}", wanted)
            case "environment":
                self._write_environment(setting, found)

    def _write_environment(self, setting: Setting, found: Found) -> None:
        at = f"{self.path}/environments/{segment(setting.name)}"
        kept = _protections(found.value or {})
        policy = setting.wanted.get("deployment_branch_policy")
        self.github.send("PUT", at, {**kept, "deployment_branch_policy": policy})
        if not (policy or {}).get("custom_branch_policies"):
            return
        listed = list(self.github.pages(f"{at}/deployment-branch-policies", key="branch_policies"))
        there = {str(one.get("name")): one.get("id") for one in map(as_object, listed)}
        for name in setting.wanted["branches"]:
            if name not in there:
                self.github.send("POST", f"{at}/deployment-branch-policies", {"name": name, "type": "branch"})
        for name, number in there.items():
            if name not in setting.wanted["branches"]:
                self.github.send("DELETE", f"{at}/deployment-branch-policies/{number}")


def _protections(value: Value) -> dict[str, Any]:
    """What else protects an environment: an update that leaves it out would take it away."""
    kept: dict[str, Any] = {}
    for rule in value.get("protection_rules") or []:
        if rule.get("type") == "wait_timer":
            kept["wait_timer"] = rule["wait_timer"]
        elif rule.get("type") == "required_reviewers":
            kept["prevent_self_review"] = bool(rule.get("prevent_self_review"))
            kept["reviewers"] = [
                {"type": one["type"], "id": one["reviewer"]["id"]} for one in rule.get("reviewers") or []
            ]
    return kept


def as_object(value: Any) -> dict[str, Any]:
    """`value`, which the API has to have answered with an object; raises `UserError`."""
    if not isinstance(value, dict):
        raise UserError("The API answered with something that is not an object.", "Check GITHUB_API_URL.")
    return value


def is_hidden(error: UserError) -> bool:
    """Whether the forge refused because of whose token it is; a limit of requests, for one, is something else."""
    return "(404)" in error.message or "the token lacks a permission" in error.message


def explained(error: UserError) -> UserError:
    """What GitHub's refusal means here: its fixes are written for the job that comments."""
    if "upgrade to" in error.message.lower():
        return PlanError(error.message, "A public repository has it, and so do paid plans.")
    if "(403)" in error.message or "(404)" in error.message:
        return UserError(
            error.message,
            "Settings are read and written with the token of an administrator: GITHUB_TOKEN=... or `gh auth login`.",
        )
    return error
