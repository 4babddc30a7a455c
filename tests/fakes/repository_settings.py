"""Settings of the forge's repository: rulesets, environments, labels, rights of workflows, secrets by name."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from tests.fakes.request import Request, Route
from tests.fakes.troubles import NOT_FOUND, READ_ONLY, Answer, said


@dataclass
class RepositorySettings:
    """A new repository, as GitHub makes it. `paid` false: a private one without a plan, which has no rulesets."""

    repository: dict[str, Any] = field(
        default_factory=lambda: {
            "allow_squash_merge": True,
            "allow_merge_commit": True,
            "allow_rebase_merge": True,
            "delete_branch_on_merge": False,
        }
    )
    rulesets: dict[int, dict[str, Any]] = field(default_factory=dict)
    environments: dict[str, dict[str, Any]] = field(default_factory=dict)
    branches: dict[str, dict[int, str]] = field(default_factory=dict)
    descriptions: dict[str, str] = field(default_factory=dict)  # of labels
    actions: dict[str, Any] = field(
        default_factory=lambda: {
            "default_workflow_permissions": "read",
            "can_approve_pull_request_reviews": False,
        }
    )
    classic: dict[str, Any] | None = None
    secrets: list[str] = field(default_factory=list)
    variables: list[str] = field(default_factory=list)
    shared: dict[str, list[str]] | None = None  # by its organisation: variables and secrets, by kind
    owner_errors: list[dict[str, Any]] = field(default_factory=list)
    workflows: dict[str, str] = field(default_factory=dict)  # their state by file name
    paid: bool = True
    numbers: int = 10

    def number(self) -> int:
        self.numbers += 1
        return self.numbers


def routes(settings: RepositorySettings, labels: dict[str, str], request: Request) -> list[Route]:
    """What the forge answers about settings; `labels` are its labels' colours by name.

    The token of a run is no administrator's: GitHub refuses it some of that, and leaves out parts of the rest.
    """
    found = _all_routes(settings, labels, request)
    if not request.by_bot:
        return found
    refused: list[Route] = [("GET", path, lambda: READ_ONLY) for path in _OF_ADMINISTRATORS]
    return [
        ("GET", "", lambda: Answer(200, _without(settings.repository, set(RepositorySettings().repository)))),
        (
            "GET",
            r"/rulesets/(\d+)",
            lambda number: _ruleset(settings, int(number), frozenset({"bypass_actors"})),
        ),
        *refused,
        *found,
    ]


_OF_ADMINISTRATORS = (
    r"/branches/main/protection",
    r"/actions/permissions/workflow",
    r"/actions/secrets",
    r"/actions/variables",
)


def _without(value: dict[str, Any], names: Iterable[str]) -> dict[str, Any]:
    return {name: each for name, each in value.items() if name not in frozenset(names)}


def _all_routes(settings: RepositorySettings, labels: dict[str, str], request: Request) -> list[Route]:
    return [
        ("GET", "", lambda: Answer(200, dict(settings.repository))),
        ("PATCH", "", lambda: _repository(settings, request)),
        ("GET", r"/rulesets", lambda: _rulesets(settings, request)),
        ("POST", r"/rulesets", lambda: _written(settings, request, None)),
        ("GET", r"/rulesets/(\d+)", lambda number: _ruleset(settings, int(number))),
        ("PUT", r"/rulesets/(\d+)", lambda number: _written(settings, request, int(number))),
        ("GET", r"/rules/branches/(.+)", lambda name: _rules(settings, request, unquote(name))),
        ("GET", r"/branches/main/protection", lambda: _classic(settings)),
        ("GET", r"/environments/([^/]+)", lambda name: _environment(settings, name)),
        ("PUT", r"/environments/([^/]+)", lambda name: _made(settings, request, name)),
        (
            "GET",
            r"/environments/([^/]+)/deployment-branch-policies",
            lambda name: _policies(settings, request, name),
        ),
        (
            "POST",
            r"/environments/([^/]+)/deployment-branch-policies",
            lambda name: _allowed(settings, request, name),
        ),
        (
            "DELETE",
            r"/environments/([^/]+)/deployment-branch-policies/(\d+)",
            lambda name, number: _disallowed(settings, name, int(number)),
        ),
        ("GET", r"/actions/permissions/workflow", lambda: Answer(200, dict(settings.actions))),
        ("PUT", r"/actions/permissions/workflow", lambda: _actions(settings, request)),
        (
            "GET",
            r"/actions/secrets",
            lambda: request.page([{"name": one} for one in settings.secrets], "secrets"),
        ),
        ("GET", r"/actions/variables", lambda: request.page(_variables(settings.variables), "variables")),
        ("GET", r"/actions/organization-(variables|secrets)", lambda kind: _shared(settings, request, kind)),
        ("GET", r"/actions/workflows", lambda: request.page(_workflows(settings), "workflows")),
        ("GET", r"/codeowners/errors", lambda: Answer(200, {"errors": settings.owner_errors})),
        ("GET", r"/labels/([^/]+)", lambda name: _label(settings, labels, unquote(name))),
        ("PATCH", r"/labels/([^/]+)", lambda name: _labelled(settings, labels, request, unquote(name))),
    ]


def _variables(names: list[str]) -> list[dict[str, Any]]:
    moment = "2026-01-01T00:00:00Z"
    return [{"name": one, "value": "x", "created_at": moment, "updated_at": moment} for one in names]


def _shared(settings: RepositorySettings, request: Request, kind: str) -> Answer:
    if settings.shared is None:
        return _absent()
    names = settings.shared.get(kind, [])
    return request.page(_variables(names) if kind == "variables" else [{"name": one} for one in names], kind)


def _absent() -> Answer:
    return Answer(404, dict(NOT_FOUND.body))


def _unpaid() -> Answer:
    return said(403, "Upgrade to GitHub Pro or make this repository public to enable this feature.")


def _repository(settings: RepositorySettings, request: Request) -> Answer:
    settings.repository |= request.body
    return Answer(200, dict(settings.repository))


def _rulesets(settings: RepositorySettings, request: Request) -> Answer:
    if not settings.paid:
        return _unpaid()
    # In lists they stand without their rules.
    keys = ("id", "name", "enforcement", "target")
    return request.page([{key: one[key] for key in keys} for one in settings.rulesets.values()])


def _ruleset(settings: RepositorySettings, number: int, left_out: frozenset[str] = frozenset()) -> Answer:
    if number not in settings.rulesets:
        return _absent()
    return Answer(200, _without(settings.rulesets[number], left_out))


def _written(settings: RepositorySettings, request: Request, number: int | None) -> Answer:
    if not settings.paid:
        return _unpaid()
    if number is not None and number not in settings.rulesets:
        return _absent()
    made = number or settings.number()
    settings.rulesets[made] = {**request.body, "id": made}
    return Answer(201 if number is None else 200, settings.rulesets[made])


def _rules(settings: RepositorySettings, request: Request, branch: str) -> Answer:
    if not settings.paid:
        return _unpaid()
    found = []
    for one in settings.rulesets.values():
        included = one["conditions"]["ref_name"]["include"]
        fits = any(fnmatch.fnmatch(f"refs/heads/{branch}", each) for each in included)
        if one["enforcement"] == "active" and (fits or (branch == "main" and "~DEFAULT_BRANCH" in included)):
            found += one["rules"]
    return request.page(found)


def _classic(settings: RepositorySettings) -> Answer:
    return said(404, "Branch not protected") if settings.classic is None else Answer(200, settings.classic)


def _workflows(settings: RepositorySettings) -> list[dict[str, Any]]:
    return [
        {"id": number, "name": name, "path": f".github/workflows/{name}", "state": state}
        for number, (name, state) in enumerate(settings.workflows.items(), start=1)
    ]


def _environment(settings: RepositorySettings, name: str) -> Answer:
    return (
        Answer(200, {"name": name, **settings.environments[name]})
        if name in settings.environments
        else _absent()
    )


def _made(settings: RepositorySettings, request: Request, name: str) -> Answer:
    body = request.body or {}
    rules: list[dict[str, Any]] = []
    if body.get("wait_timer"):
        rules.append({"id": 1, "node_id": "x", "type": "wait_timer", "wait_timer": body["wait_timer"]})
    if body.get("reviewers"):
        people = [
            {"type": one["type"], "reviewer": {"id": one["id"], "login": "ann"}} for one in body["reviewers"]
        ]
        rules.append({"id": 2, "node_id": "y", "type": "required_reviewers", "reviewers": people})
    settings.environments[name] = {
        "protection_rules": rules,
        "deployment_branch_policy": body.get("deployment_branch_policy"),
    }
    settings.branches.setdefault(name, {})
    return _environment(settings, name)


def _policies(settings: RepositorySettings, request: Request, name: str) -> Answer:
    found = [{"id": number, "name": branch} for number, branch in settings.branches.get(name, {}).items()]
    return request.page(found, "branch_policies")


def _allowed(settings: RepositorySettings, request: Request, name: str) -> Answer:
    number = settings.number()
    settings.branches[name][number] = request.body["name"]
    return Answer(200, {"id": number, "name": request.body["name"]})


def _disallowed(settings: RepositorySettings, name: str, number: int) -> Answer:
    del settings.branches[name][number]
    return Answer(204)


def _actions(settings: RepositorySettings, request: Request) -> Answer:
    settings.actions |= request.body
    return Answer(204)


def _label(settings: RepositorySettings, labels: dict[str, str], name: str) -> Answer:
    if name not in labels:
        return _absent()
    return Answer(200, {"name": name, "color": labels[name], "description": settings.descriptions.get(name)})


def _labelled(settings: RepositorySettings, labels: dict[str, str], request: Request, name: str) -> Answer:
    if name not in labels:
        return _absent()
    labels[name] = request.body.get("color", labels[name])
    settings.descriptions[name] = request.body.get("description", settings.descriptions.get(name, ""))
    return _label(settings, labels, name)
