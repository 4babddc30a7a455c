"""A GitHub for tests: the parts of its REST API that the actions use, on a port of the loopback interface.

With a `Contract` every request and every answer is held against GitHub's own description; what breaks it is kept in
`violations` and answered with 400. A second server on another address plays the storage that artifacts are
redirected to.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlencode, urlsplit

from tests.fakes.contract import Contract, ContractError
from tests.fakes.state import Pull, State
from tests.fakes.troubles import NOT_FOUND, READ_ONLY, Answer, too_long

PAGE = 30
LONGEST_COMMENT = 65_536


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
                answer = self._planned(method, path) or self._route(method, path, parts.query, body)
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

    def _route(self, method: str, path: str, query: str, body: Any) -> Answer:
        asked = {name: values[-1] for name, values in parse_qs(query).items()}
        repo = "/repos/" + self.state.repository
        routes: list[tuple[str, str, Callable[..., Answer]]] = [
            ("GET", r"/user", self._viewer),
            ("GET", r"/users/([^/]+)", self._user),
            ("GET", rf"{repo}/pulls", lambda: self._pulls(asked, path)),
            ("GET", rf"{repo}/pulls/(\d+)", self._pull),
            (
                "GET",
                rf"{repo}/issues/(\d+)/comments",
                lambda number: self._comments(int(number), asked, path),
            ),
            ("POST", rf"{repo}/issues/(\d+)/comments", lambda number: self._create(int(number), body)),
            ("PATCH", rf"{repo}/issues/comments/(\d+)", lambda number: self._edit(int(number), body)),
            ("DELETE", rf"{repo}/issues/comments/(\d+)", self._delete),
            (
                "GET",
                rf"{repo}/actions/runs/(\d+)/artifacts",
                lambda run: self._artifacts(int(run), asked, path),
            ),
            ("GET", rf"{repo}/actions/artifacts/(\d+)/zip", self._zip),
            (
                "GET",
                rf"{repo}/actions/runs/(\d+)/attempts/(\d+)/jobs",
                lambda run, _: self._jobs(run, asked, path),
            ),
        ]
        for verb, pattern, handler in routes:
            found = re.fullmatch(pattern, path)
            if found and verb == method:
                return handler(*found.groups())
        return Answer(404, dict(NOT_FOUND.body))

    def _page(self, items: list[Any], asked: dict[str, str], path: str, key: str | None = None) -> Answer:
        """One page of at most 30 items, whatever was asked for, with the address of the next."""
        number = int(asked.get("page", "1"))
        length = min(int(asked.get("per_page", PAGE)), PAGE)
        shown = items[(number - 1) * length : number * length]
        headers = {}
        if number * length < len(items):
            following = f"{self.api_url}{path}?{urlencode({**asked, 'page': number + 1})}"
            first = f"{self.api_url}{path}?{urlencode({**asked, 'page': 1})}"
            headers["Link"] = f'<{first}>; rel="first", <{following}>; rel="next"'
        return Answer(200, shown if key is None else {"total_count": len(items), key: shown}, headers)

    def _viewer(self) -> Answer:
        if self.state.viewer is None:
            return Answer(403, dict(READ_ONLY.body), dict(READ_ONLY.headers))
        return self._user(self.state.viewer)

    def _user(self, login: str) -> Answer:
        login = unquote(login)
        if login not in self.state.users:
            return Answer(404, dict(NOT_FOUND.body))
        return Answer(200, {"login": login, "id": self.state.users[login]})

    def _pulls(self, asked: dict[str, str], path: str) -> Answer:
        def fits(pull: Pull) -> bool:
            label = pull.shown()["head"]["label"]
            named, wanted = asked.get("head") in (None, label), asked.get("state", "open")
            return self.ignores_filters or (named and wanted in ("all", pull.state))

        return self._page([pull.shown() for pull in self.state.pulls if fits(pull)], asked, path)

    def _pull(self, number: str) -> Answer:
        found = [pull.shown() for pull in self.state.pulls if pull.number == int(number)]
        return Answer(200, found[0]) if found else Answer(404, dict(NOT_FOUND.body))

    def _comments(self, number: int, asked: dict[str, str], path: str) -> Answer:
        return self._page([each.shown() for each in self.state.comments if each.pull == number], asked, path)

    def _create(self, number: int, body: Any) -> Answer:
        if number not in [pull.number for pull in self.state.pulls]:
            return Answer(404, dict(NOT_FOUND.body))
        if len(body["body"]) > LONGEST_COMMENT:
            return too_long()
        made = self.state.comment(number, self.state.viewer or "github-actions[bot]", body["body"])
        return Answer(201, made.shown())

    def _edit(self, number: int, body: Any) -> Answer:
        found = [each for each in self.state.comments if each.id == number]
        if not found:
            return Answer(404, dict(NOT_FOUND.body))
        if len(body["body"]) > LONGEST_COMMENT:
            return too_long()
        found[0].body = body["body"]
        return Answer(200, found[0].shown())

    def _delete(self, number: str) -> Answer:
        kept = [each for each in self.state.comments if each.id != int(number)]
        gone = len(kept) < len(self.state.comments)
        self.state.comments[:] = kept
        return Answer(204) if gone else Answer(404, dict(NOT_FOUND.body))

    def _artifacts(self, run: int, asked: dict[str, str], path: str) -> Answer:
        wanted = None if self.ignores_filters else asked.get("name")
        found = [each for each in self.state.artifacts if each.run == run and wanted in (None, each.name)]
        return self._page([each.shown() for each in found], asked, path, "artifacts")

    def _zip(self, number: str) -> Answer:
        found = [each for each in self.state.artifacts if each.id == int(number)]
        if not found:
            return Answer(404, dict(NOT_FOUND.body))
        if found[0].expired:
            return Answer(410, {"message": "Artifact has expired"})
        return Answer(302, headers={"Location": f"{self.storage_url}/blob/{number}?signature=x"})

    def _jobs(self, run: str, asked: dict[str, str], path: str) -> Answer:
        found = next((each for each in self.state.runs if each.id == int(run)), None)
        if found is None:
            return Answer(404, dict(NOT_FOUND.body))
        jobs = [
            {"id": number, "run_id": found.id, "name": name, "status": "completed", "conclusion": conclusion}
            for number, (name, conclusion) in enumerate(found.jobs, start=1)
        ]
        return self._page(jobs, asked, path, "jobs")


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
