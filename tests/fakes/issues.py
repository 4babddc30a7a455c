"""Issues of the forge, and what they share with pull requests: comments and labels."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

from tests.fakes import pulls
from tests.fakes.request import Request, Route
from tests.fakes.state import Issue, Pull, State
from tests.fakes.troubles import NOT_FOUND, Answer, invalid, too_long

LONGEST_COMMENT = 65_536
COLOUR = "ededed"


def routes(state: State, request: Request) -> list[Route]:
    """What the forge answers about issues, comments and labels."""
    return [
        ("GET", r"/issues", lambda: listed(state, request)),
        ("POST", r"/issues", lambda: opened(state, request)),
        ("GET", r"/issues/(\d+)", lambda number: one(state, int(number))),
        ("PATCH", r"/issues/(\d+)", lambda number: changed(state, request, int(number))),
        ("GET", r"/issues/(\d+)/comments", lambda number: comments(state, request, int(number))),
        ("POST", r"/issues/(\d+)/comments", lambda number: commented(state, request, int(number))),
        ("PATCH", r"/issues/comments/(\d+)", lambda number: edited(state, request, int(number))),
        ("DELETE", r"/issues/comments/(\d+)", lambda number: deleted(state, int(number))),
        ("GET", r"/issues/(\d+)/labels", lambda number: labels(state, int(number))),
        ("POST", r"/issues/(\d+)/labels", lambda number: labelled(state, request, int(number))),
        (
            "DELETE",
            r"/issues/(\d+)/labels/([^/]+)",
            lambda number, name: unlabelled(state, int(number), name),
        ),
        ("POST", r"/labels", lambda: new_label(state, request)),
        ("GET", r"/labels/([^/]+)", lambda name: label(state, unquote(name))),
    ]


def find(state: State, number: int) -> Issue | Pull | None:
    """To GitHub a pull request is an issue too."""
    return state.issue(number) or state.pull(number)


def shown(state: State, found: Issue | Pull) -> dict[str, Any]:
    kind = "pull" if isinstance(found, Pull) else "issues"
    address = f"https://github.com/{state.repository}/{kind}/{found.number}"
    if isinstance(found, Issue):
        return {**found.shown(), "html_url": address}
    known = pulls.shown(state, found)
    kept = {name: known[name] for name in ("number", "title", "body", "state", "user", "labels")}
    return {**kept, "html_url": address, "pull_request": {"html_url": address}}


def one(state: State, number: int, status: int = 200) -> Answer:
    found = find(state, number)
    return Answer(404, dict(NOT_FOUND.body)) if found is None else Answer(status, shown(state, found))


def listed(state: State, request: Request) -> Answer:
    """Pull requests are among them, as on GitHub."""
    wanted = set(filter(None, request.asked.get("labels", "").split(",")))

    def fits(found: Issue | Pull) -> bool:
        in_state = request.asked.get("state", "open") == "all" or request.wants("state", found.state, "open")
        labelled_ = request.ignores_filters or wanted <= set(found.labels)
        return in_state and labelled_ and request.wants("creator", found.author)

    everything = sorted([*state.issues, *state.pulls], key=lambda found: -found.number)
    return request.page([shown(state, found) for found in everything if fits(found)])


def opened(state: State, request: Request) -> Answer:
    body = request.body
    if len(body.get("body") or "") > LONGEST_COMMENT:
        return too_long("Issue", "body")
    if not body["title"].strip():
        return invalid("Issue", "title", "title can't be blank", "missing_field")
    names = [each if isinstance(each, str) else each["name"] for each in body.get("labels", [])]
    made = Issue(state.new_number(), body["title"], body.get("body") or "", request.login, names)
    state.labels.update({name: state.labels.get(name, COLOUR) for name in names})
    state.issues.append(made)
    return one(state, made.number, 201)


def changed(state: State, request: Request, number: int) -> Answer:
    found, body = find(state, number), request.body
    if found is None:
        return Answer(404, dict(NOT_FOUND.body))
    if len(body.get("body") or "") > LONGEST_COMMENT:
        return too_long("Issue", "body")
    found.title, found.body = body.get("title", found.title), body.get("body", found.body) or ""
    if "labels" in body:
        found.labels = [each if isinstance(each, str) else each["name"] for each in body["labels"]]
    if isinstance(found, Issue) and "state" in body:
        found.state = body["state"]
        found.state_reason = body.get("state_reason") or (
            "completed" if found.state == "closed" else "reopened"
        )
    return one(state, number)


def comments(state: State, request: Request, number: int) -> Answer:
    return request.page([each.shown() for each in state.comments if each.pull == number])


def commented(state: State, request: Request, number: int) -> Answer:
    if find(state, number) is None:
        return Answer(404, dict(NOT_FOUND.body))
    if len(request.body["body"]) > LONGEST_COMMENT:
        return too_long()
    return Answer(201, state.comment(number, request.login, request.body["body"]).shown())


def edited(state: State, request: Request, number: int) -> Answer:
    found = [each for each in state.comments if each.id == number]
    if not found:
        return Answer(404, dict(NOT_FOUND.body))
    if len(request.body["body"]) > LONGEST_COMMENT:
        return too_long()
    found[0].body = request.body["body"]
    return Answer(200, found[0].shown())


def deleted(state: State, number: int) -> Answer:
    kept = [each for each in state.comments if each.id != number]
    gone = len(kept) < len(state.comments)
    state.comments[:] = kept
    return Answer(204) if gone else Answer(404, dict(NOT_FOUND.body))


def _coloured(state: State, names: list[str]) -> list[dict[str, Any]]:
    return [{"name": name, "color": state.labels.get(name, COLOUR)} for name in names]


def labels(state: State, number: int) -> Answer:
    found = find(state, number)
    return Answer(404, dict(NOT_FOUND.body)) if found is None else Answer(200, _coloured(state, found.labels))


def labelled(state: State, request: Request, number: int) -> Answer:
    """Labels that do not exist yet are made."""
    found = find(state, number)
    if found is None:
        return Answer(404, dict(NOT_FOUND.body))
    for name in request.body["labels"]:
        state.labels.setdefault(name, COLOUR)
        if name not in found.labels:
            found.labels.append(name)
    return labels(state, number)


def unlabelled(state: State, number: int, name: str) -> Answer:
    found = find(state, number)
    if found is None or unquote(name) not in found.labels:
        return Answer(
            404, {"message": "Label does not exist", "documentation_url": "https://docs.github.com/rest"}
        )
    found.labels.remove(unquote(name))
    return labels(state, number)


def label(state: State, name: str, status: int = 200) -> Answer:
    if name not in state.labels:
        return Answer(404, dict(NOT_FOUND.body))
    return Answer(status, {"name": name, "color": state.labels[name]})


def new_label(state: State, request: Request) -> Answer:
    name = request.body["name"]
    if name in state.labels:
        return invalid("Label", "name", "name already exists", "already_exists")
    state.labels[name] = request.body.get("color", COLOUR)
    state.settings.descriptions[name] = request.body.get("description", "")
    return label(state, name, 201)
