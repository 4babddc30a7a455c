"""Workflow runs of the forge: their jobs, their artifacts, and starting them."""

from __future__ import annotations

from tests.fakes.request import Request, Route
from tests.fakes.state import Run, State
from tests.fakes.troubles import NOT_FOUND, Answer


def routes(state: State, request: Request, storage: str) -> list[Route]:
    """What the forge answers about runs; `storage` is the address that artifacts are redirected to."""
    return [
        ("GET", r"/actions/runs", lambda: listed(state, request)),
        ("GET", r"/actions/runs/(\d+)/artifacts", lambda run: artifacts(state, request, int(run))),
        ("GET", r"/actions/artifacts/(\d+)/zip", lambda number: archive(state, int(number), storage)),
        ("GET", r"/actions/runs/(\d+)/attempts/\d+/jobs", lambda run: jobs(state, request, int(run))),
        (
            "POST",
            r"/actions/workflows/([^/]+)/dispatches",
            lambda workflow: dispatched(state, request, workflow),
        ),
    ]


def find(state: State, number: int) -> Run | None:
    return next((run for run in state.runs if run.id == number), None)


def listed(state: State, request: Request) -> Answer:
    def fits(run: Run) -> bool:
        return (
            request.wants("event", run.event)
            and request.wants("status", run.conclusion)
            and request.wants("head_sha", run.sha)
        )

    return request.page([run.shown(state.repository) for run in state.runs if fits(run)], "workflow_runs")


def artifacts(state: State, request: Request, run: int) -> Answer:
    found = [each for each in state.artifacts if each.run == run and request.wants("name", each.name)]
    return request.page([each.shown() for each in found], "artifacts")


def archive(state: State, number: int, storage: str) -> Answer:
    found = [each for each in state.artifacts if each.id == number]
    if not found:
        return Answer(404, dict(NOT_FOUND.body))
    if found[0].expired:
        return Answer(410, {"message": "Artifact has expired"})
    return Answer(302, headers={"Location": f"{storage}/blob/{number}?signature=x"})


def jobs(state: State, request: Request, run: int) -> Answer:
    found = find(state, run)
    if found is None:
        return Answer(404, dict(NOT_FOUND.body))
    shown = [
        {"id": number, "run_id": found.id, "name": name, "status": "completed", "conclusion": conclusion}
        for number, (name, conclusion) in enumerate(found.jobs, start=1)
    ]
    return request.page(shown, "jobs")


def dispatched(state: State, request: Request, workflow: str) -> Answer:
    """The one thing besides `repository_dispatch` that the token of a run starts workflows with."""
    branch = request.body["ref"].removeprefix("refs/heads/")
    sha = "" if state.git is None else state.git.heads().get(branch, "")
    state.trigger("workflow_dispatch", f"{workflow}@refs/heads/{branch}", sha, request.login)
    return Answer(204)
