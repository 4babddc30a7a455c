"""Pull requests of the forge: opened on real branches, reviewed, merged into the real main."""

from __future__ import annotations

from typing import Any

from tests.fakes.request import BOT, Request, Route
from tests.fakes.state import SHA, Pull, Review, State
from tests.fakes.troubles import NO_PULLS_BY_ACTIONS, NOT_FOUND, Answer, invalid, said, too_long

LONGEST_BODY, LONGEST_TITLE = 65_536, 256
_STATES = {"APPROVE": "APPROVED", "REQUEST_CHANGES": "CHANGES_REQUESTED", "COMMENT": "COMMENTED"}


def routes(state: State, request: Request) -> list[Route]:
    """What the forge answers about pull requests."""
    return [
        ("GET", r"/pulls", lambda: listed(state, request)),
        ("POST", r"/pulls", lambda: opened(state, request)),
        ("GET", r"/pulls/(\d+)", lambda number: whole(state, int(number))),
        ("PATCH", r"/pulls/(\d+)", lambda number: changed(state, request, int(number))),
        ("PUT", r"/pulls/(\d+)/merge", lambda number: merged(state, request, int(number))),
        ("GET", r"/pulls/(\d+)/files", lambda number: files(state, request, int(number))),
        ("GET", r"/pulls/(\d+)/reviews", lambda number: reviews(state, request, int(number))),
        ("POST", r"/pulls/(\d+)/reviews", lambda number: reviewed(state, request, int(number))),
        ("GET", r"/issues/(\d+)/events", lambda number: events(state, request, int(number))),
        ("GET", r"/commits/([0-9a-f]+)/pulls", lambda commit: of_commit(state, request, commit)),
    ]


def refresh(state: State) -> None:
    """See what was pushed: heads of open pull requests move with their branches and close when those are gone."""
    if state.git is None:
        return
    heads = state.git.heads()
    for pull in state.pulls:
        if pull.state != "open" or pull.head_repo != state.repository:
            continue
        tip = heads.get(pull.ref)
        if tip is None:
            pull.state = "closed"
        elif tip != pull.sha:
            state.git.keep(pull.number, tip)
            pull.sha, pull.gate, pull.waits = tip, None, pull.author == BOT
            if state.rules.dismiss_stale:
                for review in pull.reviews:
                    review.state = "DISMISSED" if review.state == "APPROVED" else review.state
            state.trigger("pull_request", pull.ref, tip, pull.author, pull.number)


def shown(state: State, pull: Pull) -> dict[str, Any]:
    return {**pull.shown(), **_address(state, pull)}


def whole(state: State, number: int, status: int = 200) -> Answer:
    pull = state.pull(number)
    if pull is None:
        return Answer(404, dict(NOT_FOUND.body))
    mergeable = None
    if state.git is not None and pull.state == "open":
        mergeable = state.git.tree_of_merge(state.git.heads()[pull.base], pull.sha) is not None
    return Answer(status, {**pull.shown_whole(mergeable), **_address(state, pull)})


def _address(state: State, pull: Pull) -> dict[str, Any]:
    base = {"ref": pull.base, "sha": SHA if state.git is None else state.git.heads().get(pull.base, SHA)}
    return {"html_url": f"https://github.com/{state.repository}/pull/{pull.number}", "base": base}


def listed(state: State, request: Request) -> Answer:
    def fits(pull: Pull) -> bool:
        in_state = request.asked.get("state", "open") == "all" or request.wants("state", pull.state, "open")
        named = request.wants("head", pull.shown()["head"]["label"])
        return in_state and named and request.wants("base", pull.base)

    return request.page([shown(state, pull) for pull in state.pulls if fits(pull)])


def opened(state: State, request: Request) -> Answer:
    if request.by_bot and not state.rules.actions_open_pulls:
        return NO_PULLS_BY_ACTIONS
    body = request.body
    owner, _, branch = body["head"].rpartition(":")
    refused = _refused(state, body) or _unfit(state, owner or state.owner, branch, body["base"])
    if refused is not None:
        return refused
    sha = {} if state.git is None else {"sha": state.git.heads()[branch]}
    pull = Pull(
        state.new_number(),
        state.repository,
        branch,
        title=body["title"],
        body=body.get("body") or "",
        author=request.login,
        base=body["base"],
        waits=request.by_bot,
        **sha,
    )
    state.pulls.append(pull)
    if state.git is not None:
        state.git.keep(pull.number, pull.sha)
    state.trigger("pull_request", pull.ref, pull.sha, request.login, pull.number)
    return whole(state, pull.number, 201)


def _refused(state: State, body: dict[str, Any]) -> Answer | None:
    if len(body.get("body") or "") > LONGEST_BODY:
        return too_long("PullRequest", "body")
    title = body.get("title")
    if title is not None and not 0 < len(title.strip()) <= LONGEST_TITLE:
        return invalid("PullRequest", "title", f"title is too long (maximum is {LONGEST_TITLE} characters)")
    return None


def _unfit(state: State, owner: str, branch: str, base: str) -> Answer | None:
    """Why no pull request may be opened for `branch`."""
    heads = {branch: "", base: "x"} if state.git is None else state.git.heads()
    for field, name in (("head", branch), ("base", base)):
        if name not in heads:
            return invalid("PullRequest", field, f"{field} is invalid", "invalid")
    if state.git is not None and not state.git.messages(heads[base], heads[branch]):
        return invalid("PullRequest", "head", f"No commits between {base} and {branch}")
    for pull in state.pulls:
        if pull.state == "open" and (pull.ref, pull.base, pull.head_repo) == (branch, base, state.repository):
            message = f"A pull request already exists for {owner}:{branch}."
            return invalid("PullRequest", "head", message)
    return None


def changed(state: State, request: Request, number: int) -> Answer:
    pull, body = state.pull(number), request.body
    if pull is None:
        return Answer(404, dict(NOT_FOUND.body))
    refused = _refused(state, body)
    if refused is not None:
        return refused
    if body.get("state") == "open" and pull.state == "closed":
        gone = state.git is not None and pull.ref not in state.git.heads()
        if pull.merged_by is not None or gone:
            return invalid("PullRequest", "state", f"state cannot be changed. The {pull.ref} branch is gone.")
    pull.title, pull.body = body.get("title", pull.title), body.get("body", pull.body) or ""
    pull.state = body.get("state", pull.state)
    return whole(state, number)


def merged(state: State, request: Request, number: int) -> Answer:
    """What the merge button does; without `state.git` nothing can be merged."""
    pull, body = state.pull(number), request.body or {}
    if pull is None:
        return Answer(404, dict(NOT_FOUND.body))
    if pull.state != "open" or state.git is None:
        return _not_now("Pull Request is not mergeable")
    if body.get("sha") not in (None, pull.sha):
        return said(409, "Head branch was modified. Review and try the merge again.")
    if len(pull.approvers) < state.rules.approvals:
        return _not_now(f"At least {state.rules.approvals} approving review is required by reviewers.")
    if state.rules.gate and not pull.gate:
        return _not_now('Required status check "gate" is expected.')
    title, message = _message(state, pull)
    title, message = body.get("commit_title") or title, body.get("commit_message", message)
    method = body.get("merge_method", "merge")
    commit = state.git.merged(pull.base, pull.sha, f"{title}\n\n{message}".strip() + "\n", method)
    if commit is None:
        return _not_now("Pull Request is not mergeable")
    pull.state, pull.merged_by, pull.merge_sha = "closed", request.login, commit
    state.trigger("push", f"refs/heads/{pull.base}", commit, request.login)
    return Answer(200, {"sha": commit, "merged": True, "message": "Pull Request successfully merged"})


def _not_now(message: str) -> Answer:
    return Answer(405, {"message": message, "documentation_url": "https://docs.github.com/rest"})


def _message(state: State, pull: Pull) -> tuple[str, str]:
    """Title and text of a squash: those of the only commit, else the title of the pull request and all commits."""
    assert state.git is not None
    said_ = state.git.messages(state.git.heads()[pull.base], pull.sha)
    if len(said_) == 1:
        subject, _, text = said_[0].partition("\n")
        return f"{subject} (#{pull.number})", text.strip()
    return f"{pull.title} (#{pull.number})", "\n\n".join(f"* {message}" for message in said_)


def files(state: State, request: Request, number: int) -> Answer:
    """What the pull request changes: by its branch where there is a repository, else what the test says."""
    pull = state.pull(number)
    if pull is None:
        return Answer(404, dict(NOT_FOUND.body))
    names = list(pull.files)
    if state.git is not None:
        names += state.git.git("diff", "--name-only", f"{pull.base}...{pull.sha}").splitlines()
    shown = [
        {"filename": new, "status": "renamed", "previous_filename": old} if old else {"filename": new}
        for new, _, old in (name.partition(" < ") for name in names)
    ]
    return request.page(shown)


def reviews(state: State, request: Request, number: int) -> Answer:
    pull = state.pull(number)
    if pull is None:
        return Answer(404, dict(NOT_FOUND.body))
    return request.page([review.shown() for review in pull.reviews])


def reviewed(state: State, request: Request, number: int) -> Answer:
    pull, body = state.pull(number), request.body or {}
    if pull is None:
        return Answer(404, dict(NOT_FOUND.body))
    event = body.get("event", "COMMENT")
    if event == "APPROVE" and request.by_bot and not state.rules.actions_open_pulls:
        return NO_PULLS_BY_ACTIONS
    if event == "APPROVE" and request.login == pull.author:
        refusal = {"message": "Unprocessable Entity", "errors": ["Can not approve your own pull request"]}
        return Answer(422, {**refusal, "documentation_url": "https://docs.github.com/rest"})
    review = Review(state.new_id(), request.login, pull.sha, _STATES[event], body.get("body", ""))
    pull.reviews.append(review)
    return Answer(200, review.shown())


def of_commit(state: State, request: Request, commit: str) -> Answer:
    """The pull requests that brought `commit`, or have it as their head."""
    found = [pull for pull in state.pulls if commit in (pull.merge_sha, pull.sha)]
    return request.page([shown(state, pull) for pull in found])


def events(state: State, request: Request, number: int) -> Answer:
    """What happened to a pull request."""
    pull = state.pull(number)
    if pull is None:
        return Answer(404, dict(NOT_FOUND.body))
    return request.page([{"id": index, "event": name} for index, name in enumerate(pull.events, start=1)])
