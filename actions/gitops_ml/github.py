"""A small client of the GitHub REST API; Enterprise Server, Gitea and Forgejo differ only in the address."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any, BinaryIO
from urllib.parse import quote, urlencode, urljoin, urlsplit

import urllib3

from gitops_ml.errors import UserError
from gitops_ml.refusal import Refusal

MAX_JSON_BYTES = 20 * 1024 * 1024
MAX_PAGES = 200
MAX_REDIRECTS = 5
ATTEMPTS = 5
# More waiting than this is not worth a runner's time; the error says when to come back.
MAX_WAIT_S = 180.0
_TIMEOUT = urllib3.Timeout(connect=10.0, read=30.0)
_NEXT = re.compile(r'<([^<>]{1,2000})>\s*;[^,]*\brel="?next"?')
_REDIRECTS = (301, 302, 303, 307, 308)


class TextTooLongError(UserError):
    """GitHub refused a text because of its length."""


class NotFoundError(UserError):
    """There is nothing at the address, or the token may not see it."""


class NoAnswerError(UserError):
    """The server failed or could not be reached; whether it did what was asked is not known."""


@dataclass(frozen=True)
class Answer:
    """One response: status, headers with names in lower case, body."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        try:
            return json.loads(self.body) if self.body else None
        except (ValueError, RecursionError):
            raise UserError(
                "The API answered with something that is not JSON.", "Check GITHUB_API_URL."
            ) from None


def origin(url: str) -> tuple[str, str, int | None]:
    """Scheme, host and port of `url`: what decides whether the token may be sent there."""
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        raise UserError(f"{url[:200]} is not a web address.", "Check GITHUB_API_URL.") from None
    return (
        parts.scheme.lower(),
        (parts.hostname or "").lower(),
        port or {"http": 80, "https": 443}.get(parts.scheme),
    )


@dataclass
class GitHub:
    """Requests to one API with one token; `sleep` and `clock` are arguments so that tests do not wait."""

    api_url: str
    token: str = field(repr=False)
    from_fork: bool = False  # only makes the explanation of a refusal more precise
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.time
    pool: urllib3.PoolManager = field(default_factory=urllib3.PoolManager, repr=False)

    def __post_init__(self) -> None:
        self.api_url = self.api_url.rstrip("/")
        scheme, host, _ = origin(self.api_url)
        if scheme not in ("http", "https") or not host:
            raise UserError(f"GITHUB_API_URL is {self.api_url[:200]!r}, which is not a web address.")
        if not self.token or not self.token.isascii() or not self.token.isprintable():
            raise UserError(
                "There is no usable GITHUB_TOKEN in the environment.",
                "Pass it to the step:\n\n    env:\n      GITHUB_TOKEN: ${{ github.token }}\n",
            )

    @classmethod
    def of_job(cls, environ: Mapping[str, str], from_fork: bool = False) -> GitHub:
        """The API of the forge whose runner runs this job, with the job's token."""
        api = environ.get("GITHUB_API_URL") or "https://api.github.com"
        return cls(api, environ.get("GITHUB_TOKEN", ""), from_fork)

    def get(self, path: str, **query: str | int) -> Any:
        """The JSON at `path`; raises `UserError` when refused."""
        return self._checked("GET", self._url(path, query)).json()

    def pages(self, path: str, key: str | None = None, **query: str | int) -> Iterator[Any]:
        """Every item of a list, over all its pages; with `key`, the list stands under it in each page."""
        url = self._url(path, {"per_page": 100, **query})
        for _ in range(MAX_PAGES):
            answer = self._checked("GET", url)
            page = answer.json()
            items = page.get(key) if key is not None and isinstance(page, dict) else page
            if not isinstance(items, list):
                raise UserError(f"The API answered {path} with something that is not a list.")
            yield from items
            following = _NEXT.search(answer.headers.get("link", ""))
            if following is None:
                return
            url = urljoin(url, following[1])
            if origin(url) != origin(self.api_url):
                raise UserError(f"The API sent page 2 of {path} to another host, which is not followed.")
        raise UserError(f"{path} has more than {MAX_PAGES} pages.")

    def send(self, method: str, path: str, body: Mapping[str, object] | None = None) -> Any:
        """Send `body` as JSON with `method`; raises `TextTooLongError` for a text over GitHub's limit.

        A POST is not sent again after a failure that leaves open whether it was carried out (`NoAnswerError`).
        """
        return self._checked(method, self._url(path, {}), body).json()

    def download(self, path: str, limit: int) -> bytes:
        """The bytes behind `path`, over redirects to other hosts, at most `limit` of them."""
        return self._checked("GET", self._url(path, {}), limit=limit).body

    def download_to(self, path: str, target: BinaryIO, limit: int) -> None:
        """Like `download`, into `target`, for what may be larger than memory. A retry begins anew in it."""
        self._checked("GET", self._url(path, {}), limit=limit, target=target)

    def _url(self, path: str, query: Mapping[str, str | int]) -> str:
        return f"{self.api_url}{path}" + (f"?{urlencode(query)}" if query else "")

    def _checked(
        self,
        method: str,
        url: str,
        body: Mapping[str, object] | None = None,
        limit: int = MAX_JSON_BYTES,
        target: BinaryIO | None = None,
    ) -> Answer:
        """One answer with a status of success, after the retries that its failures allow."""
        what = f"{method} {urlsplit(url).path}"
        waited = 0.0
        for attempt in range(1, ATTEMPTS + 1):
            try:
                answer = self._follow(method, url, body, limit, target)
            except urllib3.exceptions.HTTPError as error:
                trouble: UserError = NoAnswerError(
                    f"{what}: the API cannot be reached ({type(error).__name__}).",
                    "Check GITHUB_API_URL and the network.",
                )
                wait = 2.0**attempt
                again = method != "POST" or isinstance(error, urllib3.exceptions.NewConnectionError)
            else:
                if answer.status < 300:
                    return answer
                refusal = Refusal(answer.status, answer.headers, _message(answer))
                trouble = self._trouble(refusal, what)
                wait = refusal.wait(self.clock(), attempt) if refusal.throttled else 2.0**attempt
                again = refusal.throttled or (answer.status >= 500 and method != "POST")
            waited += wait
            if not again or attempt == ATTEMPTS or waited > MAX_WAIT_S:
                raise trouble
            self.sleep(wait)
        raise AssertionError("the loop returns or raises")

    def _trouble(self, refusal: Refusal, what: str) -> UserError:
        if refusal.status >= 500:
            return NoAnswerError(
                f"{what}: the API failed with status {refusal.status}.", "Run the job again later."
            )
        if refusal.status == 422 and "too long" in refusal.message.lower():
            return TextTooLongError(f"{what}: the text is too long for GitHub.", "Report less.")
        error = refusal.error(what, self.from_fork)
        return NotFoundError(error.message, error.fix) if refusal.status == 404 else error

    def _follow(
        self, method: str, url: str, body: Mapping[str, object] | None, limit: int, sink: BinaryIO | None
    ) -> Answer:
        for _ in range(MAX_REDIRECTS):
            answer = self._once(method, url, body, limit, sink)
            target = answer.headers.get("location", "")
            if answer.status not in _REDIRECTS or not target:
                return answer
            following = urljoin(url, target)
            scheme, host, _port = origin(following)
            if scheme not in ("https", origin(self.api_url)[0]) or not host:
                raise UserError("The API redirects to an address without encryption, which is not followed.")
            if method != "GET" and (
                answer.status not in (307, 308) or origin(following) != origin(self.api_url)
            ):
                raise UserError(
                    f"The API moved {method} {urlsplit(url).path} elsewhere (status {answer.status}).",
                    "The repository was renamed or moved: run the workflow again under its new name.",
                )
            url = following
        raise UserError(f"{method} {urlsplit(url).path}: more than {MAX_REDIRECTS} redirects.")

    def _once(
        self, method: str, url: str, body: Mapping[str, object] | None, limit: int, sink: BinaryIO | None
    ) -> Answer:
        headers = {"User-Agent": "gitops-ml", "Accept-Encoding": "identity"}
        if origin(url) == origin(self.api_url):
            # No other host gets the token, nor learns that this is an API call.
            headers |= {
                "Authorization": f"Bearer {self.token}",
                "Accept": "application/vnd.github+json",
                "X-GitHub-Api-Version": "2022-11-28",
            }
        data = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            data = json.dumps(body).encode()
        response = self.pool.request(
            method,
            url,
            body=data,
            headers=headers,
            timeout=_TIMEOUT,
            redirect=False,
            retries=False,
            preload_content=False,
            decode_content=False,
        )
        try:
            content = _read(response, limit, sink if response.status < 300 else None)
        finally:
            response.close()
        return Answer(
            response.status, {name.lower(): value for name, value in response.headers.items()}, content
        )


def _read(response: urllib3.BaseHTTPResponse, limit: int, sink: BinaryIO | None) -> bytes:
    """The body, or nothing when it went into `sink`."""
    content = BytesIO() if sink is None else sink
    content.seek(0)
    content.truncate()
    for chunk in response.stream(64 * 1024, decode_content=False):
        content.write(chunk)
        if content.tell() > limit:
            raise UserError(f"The API sent more than {limit:,} bytes where that many are allowed.")
    return content.getvalue() if isinstance(content, BytesIO) and sink is None else b""


def _message(answer: Answer) -> str:
    """GitHub's own words for a failure, with the messages of its parts."""
    try:
        value = json.loads(answer.body)
    except (ValueError, RecursionError):
        return ""
    if not isinstance(value, dict):
        return ""
    errors = value.get("errors")
    parts = [str(value.get("message", ""))]
    for each in errors if isinstance(errors, list) else []:
        parts.append(str(each.get("message", "")) if isinstance(each, dict) else str(each))
    return " ".join(part for part in parts if part)[:1000]


def segment(text: str | int) -> str:
    """`text` as one segment of a path."""
    return quote(str(text), safe="")


def repo_path(repository: str) -> str:
    """`/repos/<owner>/<name>`."""
    return "/repos/" + "/".join(segment(part) for part in repository.split("/"))
