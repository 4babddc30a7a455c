"""A GitHub for tests: the parts of its REST API that the actions use, on a port of the loopback interface.

With a `Contract` every request and every answer is held against GitHub's own description; what breaks it is kept in
`violations` and answered with 400. A second server on another address plays the storage that artifacts are
redirected to.

Requests whose token is `token_of` a person are that person's; any other token is `state.viewer`'s, by default that of
a run. What people do without the API are methods here: `open_pull`, `approve`, `merge`, `close`, `approve_runs`. The
routes of each noun stand in a module of its own.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.fakes import issues, pulls, refs, repository_settings, runs
from tests.fakes.contract import Contract, ContractError
from tests.fakes.request import BOT, Request
from tests.fakes.state import State
from tests.fakes.troubles import NOT_FOUND, READ_ONLY, Answer


@dataclass
class Seen:
    """One request as it arrived."""

    server: str  # "api" or "storage"
    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: Any


@dataclass
class _Plan:
    """Something to do when a request that fits comes by."""

    method: str
    path: re.Pattern[str]
    times: int
    answer: Answer | None = None
    action: Callable[[], None] | None = None
    after: bool = False  # carry the request out, then answer with the trouble


@dataclass
class Forge:
    """One repository on a forge; a context manager that serves it."""

    contract: Contract | None = None
    state: State = field(default_factory=State)
    prefix: str = ""  # "/api/v3" for an Enterprise Server, "/api/v1" for Forgejo
    ignores_filters: bool = False  # as Gitea 1.22 does with the head of pull requests
    seen: list[Seen] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    _plans: list[_Plan] = field(default_factory=list)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def __enter__(self) -> Forge:
        self._api = _serve(self._answer_api)
        self._storage = _serve(self._answer_storage)
        return self

    def __exit__(self, *error: object) -> None:
        for server in (self._api, self._storage):
            server.shutdown()
            server.server_close()

    @property
    def api_url(self) -> str:
        return f"http://127.0.0.1:{self._api.server_port}{self.prefix}"

    @property
    def storage_url(self) -> str:
        # Another name for the same machine: another host for a client that compares names.
        return f"http://localhost:{self._storage.server_port}"

    def trouble(self, method: str, path: str, answer: Answer, times: int = 1, after: bool = False) -> None:
        """Answer the next `times` requests whose path holds `path` (a pattern) with `answer`.

        With `after` the request is carried out all the same, as when a gateway gives up too early.
        """
        self._plans.append(_Plan(method, re.compile(path), times, answer, after=after))

    def meanwhile(self, method: str, path: str, action: Callable[[], None]) -> None:
        """Run `action` just before the next request that fits is carried out: somebody else was faster."""
        self._plans.append(_Plan(method, re.compile(path), 1, action=action))

    def requests(self, method: str, path: str = "") -> list[Seen]:
        """The API requests so far with this method, whose path holds `path` (a pattern)."""
        fits = re.compile(path)
        return [
            each
            for each in self.seen
            if (each.server, each.method) == ("api", method) and fits.search(each.path)
        ]

    def _answer_api(self, method: str, target: str, headers: dict[str, str], content: bytes) -> Answer:
        parts = urlsplit(target)
        body = json.loads(content) if content else None
        path = parts.path.removeprefix(self.prefix)
        with self._lock:
            self.seen.append(Seen("api", method, path, parts.query, headers, body))
            try:
                if not headers.get("authorization"):
                    raise ContractError(f"{method} {path} came without a token")
                if self.contract is not None:
                    self.contract.check_request(method, path, parts.query, body)
                answer = self._planned(method, path) or self._route(method, path, parts.query, headers, body)
                if self.contract is not None and answer.raw is None:
                    if answer.status < 300:
                        answer.body = self.contract.complete(method, path, answer.status, answer.body)
                    self.contract.check_response(method, path, answer.status, answer.headers, answer.body)
            except ContractError as error:
                self.violations.append(str(error))
                return Answer(400, {"message": f"violation: {error}"})
            for plan in [each for each in self._plans if each.after and self._fits(each, method, path)]:
                self._spend(plan)
                return plan.answer or answer
            return answer

    @staticmethod
    def _fits(plan: _Plan, method: str, path: str) -> bool:
        return plan.method == method and plan.path.search(path) is not None

    def _spend(self, plan: _Plan) -> None:
        plan.times -= 1
        if plan.times == 0:
            self._plans.remove(plan)

    def _planned(self, method: str, path: str) -> Answer | None:
        for plan in [each for each in self._plans if not each.after and self._fits(each, method, path)]:
            self._spend(plan)
            if plan.action is not None:
                plan.action()
            if plan.answer is not None:
                return plan.answer
        return None

    def _answer_storage(self, method: str, target: str, headers: dict[str, str], content: bytes) -> Answer:
        with self._lock:
            parts = urlsplit(target)
            self.seen.append(Seen("storage", method, parts.path, parts.query, headers, None))
            number = int(parts.path.rsplit("/", 1)[-1])
            found = next((each for each in self.state.artifacts if each.id == number), None)
            if headers.get("authorization"):
                # What the real storage says: its address is signed already.
                return Answer(400, raw=b"InvalidAuthenticationInfo")
            return Answer(200, raw=found.content) if found else Answer(404, raw=b"")

    def _route(self, method: str, path: str, query: str, headers: dict[str, str], body: Any) -> Answer:
        pulls.refresh(self.state)
        asked = {name: values[-1] for name, values in parse_qs(query).items()}
        token = headers.get("authorization", "").rpartition(" ")[2]
        login = self.state.tokens.get(token) or self.state.viewer
        request = Request(method, path, self.api_url, login or BOT, asked, body, self.ignores_filters)
        repo = re.escape("/repos/" + self.state.repository)
        routes = [
            ("GET", r"/user", lambda: self._viewer(login)),
            ("GET", r"/users/([^/]+)", self._user),
            *(
                (verb, repo + pattern, handler)
                for verb, pattern, handler in (
                    # First, because a branch's name, in the routes of references, may hold anything.
                    *repository_settings.routes(self.state.settings, self.state.labels, request),
                    *pulls.routes(self.state, request),
                    *issues.routes(self.state, request),
                    *refs.routes(self.state, request),
                    *runs.routes(self.state, request, self.storage_url),
                )
            ),
        ]
        for verb, pattern, handler in routes:
            found = re.fullmatch(pattern, path)
            if found and verb == method:
                return handler(*found.groups())
        return Answer(404, dict(NOT_FOUND.body))

    def _viewer(self, login: str | None) -> Answer:
        return (
            Answer(403, dict(READ_ONLY.body), dict(READ_ONLY.headers)) if login is None else self._user(login)
        )

    def _user(self, login: str) -> Answer:
        login = unquote(login)
        if login not in self.state.users:
            return Answer(404, dict(NOT_FOUND.body))
        return Answer(200, {"login": login, "id": self.state.users[login]})

    # What people do, in a browser rather than by the API.

    def token_of(self, login: str) -> str:
        """A token with which requests are made as the person `login`."""
        self.state.account(login)
        self.state.tokens[f"token-of-{login}"] = login
        return f"token-of-{login}"

    def open_pull(self, branch: str, title: str = "Change the model", body: str = "", by: str = "ada") -> int:
        """Open a pull request into main for `branch`; its number. Raises `AssertionError` when it is refused."""
        wanted = {"title": title, "body": body, "head": branch, "base": "main"}
        return int(self._by_hand(by, pulls.opened, wanted).body["number"])

    def approve(self, number: int, by: str = "bob") -> None:
        """Approve the present head of a pull request; raises `AssertionError` for one's own."""
        self._by_hand(by, pulls.reviewed, {"event": "APPROVE"}, number)

    def merge(self, number: int, by: str = "ann") -> str:
        """Press "Squash and merge"; the new commit of main. Raises `AssertionError` when it can't be merged."""
        return str(self._by_hand(by, pulls.merged, {"merge_method": "squash"}, number).body["sha"])

    def close(self, number: int, by: str = "ann") -> None:
        """Close a pull request or an issue without merging."""
        found = pulls.changed if self.state.pull(number) else issues.changed
        self._by_hand(by, found, {"state": "closed"}, number)

    def approve_runs(self, number: int, by: str = "ann") -> None:
        """Press "Approve workflows to run" of a pull request that the token of a run opened."""
        with self._lock:
            pull = self.state.pull(number)
            assert pull is not None, f"there is no pull request {number}"
            assert pull.waits, f"no run of pull request {number} waits"
            pull.waits = False
            self.state.trigger("pull_request", pull.ref, pull.sha, by, number)

    def _by_hand(self, login: str, action: Callable[..., Answer], body: Any, *numbers: int) -> Answer:
        with self._lock:
            pulls.refresh(self.state)
            self.state.account(login)
            answer = action(self.state, Request("", "", self.api_url, login, {}, body), *numbers)
            assert answer.status < 300, f"{answer.status}: {answer.body}"
            return answer


def _serve(answer: Callable[[str, str, dict[str, str], bytes], Answer]) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            headers = {name.lower(): value for name, value in self.headers.items()}
            result = answer(self.command, self.path, headers, self.rfile.read(length))
            content = result.content()
            self.send_response(result.status)
            for name, value in result.headers.items():
                self.send_header(name, value)
            if content:
                self.send_header("Content-Type", "application/json; charset=utf-8")
            if result.status != 204:
                self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = handle_any  # noqa: N815 - names that the base class wants

        def log_message(self, *arguments: object) -> None:
            """Keep the test's output clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    return server
