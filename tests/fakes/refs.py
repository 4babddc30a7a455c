"""Branches of the forge: those of the real repository behind it."""

from __future__ import annotations

from subprocess import CalledProcessError
from urllib.parse import unquote

from tests.fakes import pulls
from tests.fakes.request import Request, Route
from tests.fakes.state import SHA, State
from tests.fakes.troubles import NOT_FOUND, Answer, said


def routes(state: State, request: Request) -> list[Route]:
    """What the forge answers about references; a slash in their names may be written as %2F."""
    return [
        ("GET", r"/branches/(.+)", lambda name: branch(state, unquote(name))),
        ("GET", r"/git/ref/heads(?:/|%2F)(.+)", lambda name: ref(state, unquote(name))),
        ("GET", r"/git/commits/([0-9a-f]{40})", lambda sha: commit(state, sha)),
        ("DELETE", r"/git/refs/heads(?:/|%2F)(.+)", lambda name: deleted(state, unquote(name))),
    ]


def _tip(state: State, name: str) -> str | None:
    return None if state.git is None else state.git.heads().get(name)


def branch(state: State, name: str) -> Answer:
    tip = _tip(state, name)
    if state.git is None and name == "main":
        tip = SHA  # a repository without git behind it has its main all the same
    # Everybody may see whether there is classic protection, and only administrators of what kind.
    classic = name == "main" and state.settings.classic is not None
    found = {
        "name": name,
        "commit": {"sha": tip},
        "protected": name == "main",
        "protection": {"enabled": classic},
    }
    return Answer(404, dict(NOT_FOUND.body)) if tip is None else Answer(200, found)


def ref(state: State, name: str) -> Answer:
    tip = _tip(state, name)
    found = {"ref": f"refs/heads/{name}", "object": {"type": "commit", "sha": tip}}
    return Answer(404, dict(NOT_FOUND.body)) if tip is None else Answer(200, found)


def commit(state: State, sha: str) -> Answer:
    try:
        message = "" if state.git is None else state.git.git("log", "-1", "--format=%B", sha, "--")
    except CalledProcessError:
        message = ""
    return Answer(200, {"sha": sha, "message": message}) if message else Answer(404, dict(NOT_FOUND.body))


def deleted(state: State, name: str) -> Answer:
    """An open pull request of a branch that goes is closed."""
    if state.git is None or name not in state.git.heads():
        return said(422, "Reference does not exist")
    if name == "main":
        return said(422, "Cannot delete this protected branch")
    state.git.drop(name)
    pulls.refresh(state)
    return Answer(204)
