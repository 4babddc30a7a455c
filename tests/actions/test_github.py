"""The client waits where it should, explains refusals, and gives its token to nobody else."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from gitops_ml.errors import UserError
from gitops_ml.github import ATTEMPTS, GitHub, NoAnswerError, NotFoundError, TextTooLongError

from tests.fakes import troubles
from tests.fakes.contract import Contract, ContractError
from tests.fakes.forge import Forge
from tests.fakes.state import Pull, Run, State
from tests.fakes.troubles import Answer, said
from tests.tools.required import need

TOKEN = "ghs_secret"
REPO = "/repos/octo/model"


@dataclass
class Time:
    """A clock that only moves when somebody sleeps."""

    now: float = 1_000_000.0
    sleeps: list[float] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.now += seconds

    def clock(self) -> float:
        return self.now


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def github(forge: Forge, time: Time) -> GitHub:
    forge.state.pulls.append(Pull(1, "octo/model", "topic"))
    return client(forge, time)


def client(forge: Forge, time: Time, from_fork: bool = False) -> GitHub:
    return GitHub(forge.api_url, TOKEN, from_fork, time.sleep, time.clock)


def test_every_page_is_read(forge: Forge, github: GitHub) -> None:
    for number in range(95):
        forge.state.comment(1, "ada", str(number))
    bodies = [item["body"] for item in github.pages(f"{REPO}/issues/1/comments")]
    assert bodies == [str(number) for number in range(95)]
    assert len(forge.requests("GET", "comments")) == 4


def test_pages_on_another_host_are_refused(forge: Forge, github: GitHub) -> None:
    link = {"Link": '<http://localhost:1/comments?page=2>; rel="next"'}
    forge.trouble("GET", "comments", Answer(200, [], link))
    with pytest.raises(UserError, match="another host"):
        list(github.pages(f"{REPO}/issues/1/comments"))


def test_the_token_stays_at_the_api_when_a_download_is_redirected(forge: Forge, github: GitHub) -> None:
    run = Run(5, 1, "octo/model", "topic")
    artifact = forge.state.artifact(run, b"zip bytes")
    assert github.download(f"{REPO}/actions/artifacts/{artifact.id}/zip", 100) == b"zip bytes"
    (stored,) = [each for each in forge.seen if each.server == "storage"]
    assert "authorization" not in stored.headers
    assert forge.seen[0].headers["authorization"] == f"Bearer {TOKEN}"


def test_the_storage_of_the_fake_notices_a_token(forge: Forge) -> None:
    answer = forge._answer_storage("GET", "/blob/1", {"authorization": "x"}, b"")
    assert answer.status == 400


def test_a_download_is_capped(forge: Forge, github: GitHub) -> None:
    artifact = forge.state.artifact(Run(5, 1, "octo/model", "topic"), b"x" * 1000)
    with pytest.raises(UserError, match="more than 999 bytes"):
        github.download(f"{REPO}/actions/artifacts/{artifact.id}/zip", 999)


@pytest.mark.parametrize("target", ["ftp://localhost/x", "//", "javascript:alert(1)"])
def test_a_redirect_to_something_odd_is_refused(forge: Forge, github: GitHub, target: str) -> None:
    forge.trouble("GET", "zip", Answer(302, headers={"Location": target}))
    with pytest.raises(UserError):
        github.download(f"{REPO}/actions/artifacts/1/zip", 100)


def test_redirects_end(forge: Forge, github: GitHub) -> None:
    here = f"{forge.api_url}{REPO}/actions/artifacts/1/zip"
    forge.trouble("GET", "zip", Answer(302, headers={"Location": here}), times=20)
    with pytest.raises(UserError, match="more than 5 redirects"):
        github.download(f"{REPO}/actions/artifacts/1/zip", 100)


def test_a_moved_repository_is_not_written_to(forge: Forge, github: GitHub) -> None:
    forge.trouble(
        "POST", "comments", Answer(301, headers={"Location": f"{forge.api_url}/repositories/1"}, raw=b"{}")
    )
    with pytest.raises(UserError, match="elsewhere") as caught:
        github.send("POST", f"{REPO}/issues/1/comments", {"body": "x"})
    assert "renamed or moved" in caught.value.fix
    assert forge.state.comments == []


@pytest.mark.parametrize(
    ("answer", "from_fork", "reason", "fix"),
    [
        (troubles.READ_ONLY, False, "lacks a permission", "pull-requests: write"),
        (troubles.READ_ONLY, True, "from a fork, whose token is read-only", "workflow_run:"),
        (troubles.PERSONAL, False, "lacks a permission", "permissions:"),
        (troubles.POLICY, False, "a policy of the organisation", "GITHUB_TOKEN: ${{ github.token }}"),
        (troubles.IP_LIST, False, "a policy of the organisation", "IP allow list"),
        (troubles.SSO, False, "single sign-on", "Configure SSO"),
        (troubles.LOCKED, False, "conversation of the pull request is locked", "Unlock it"),
        (troubles.used_up(1_100_000), False, "used up its requests", "concurrency:"),
        (troubles.SECONDARY, False, "limit for requests at the same time", "cancel-in-progress: false"),
        (said(403, "Nothing we have heard of"), False, "no reason that is known", "permissions:"),
        (troubles.BAD_TOKEN, False, "does not know the token", "GITHUB_TOKEN: ${{ github.token }}"),
    ],
    ids=lambda value: value.body["message"][:40] if isinstance(value, Answer) else "",
)
def test_refusals_are_told_apart(
    forge: Forge, time: Time, answer: Answer, from_fork: bool, reason: str, fix: str
) -> None:
    forge.state.pulls.append(Pull(1, "octo/model", "topic"))
    forge.trouble("POST", "comments", answer, times=ATTEMPTS)
    with pytest.raises(UserError) as caught:
        client(forge, time, from_fork).send("POST", f"{REPO}/issues/1/comments", {"body": "x"})
    assert reason in caught.value.message
    assert fix in caught.value.fix
    assert TOKEN not in caught.value.message + caught.value.fix
    assert forge.state.comments == []


def test_the_permission_that_github_asks_for_is_passed_on(forge: Forge, github: GitHub) -> None:
    forge.trouble("GET", "pulls", troubles.READ_ONLY)
    with pytest.raises(UserError, match="It wants: pull_requests=write"):
        github.get(f"{REPO}/pulls/1")


@pytest.mark.parametrize(
    ("answer", "sleeps"),
    [
        (troubles.TOO_MANY, [3.0, 3.0]),
        (troubles.SECONDARY, [7.0, 7.0]),
        (troubles.SECONDARY_SILENT, [60.0, 120.0]),
        (troubles.used_up(1_000_029), [30.0, 1.0]),
        (troubles.SERVER_ERROR, [2.0, 4.0]),
    ],
)
def test_it_waits_as_github_asks_and_tries_again(
    forge: Forge, github: GitHub, time: Time, answer: Answer, sleeps: list[float]
) -> None:
    forge.trouble("GET", "pulls", answer, times=2)
    assert github.get(f"{REPO}/pulls/1")["number"] == 1
    assert time.sleeps == sleeps


def test_a_throttled_post_is_sent_again_because_it_was_not_carried_out(
    forge: Forge, github: GitHub, time: Time
) -> None:
    forge.trouble("POST", "comments", troubles.TOO_MANY)
    github.send("POST", f"{REPO}/issues/1/comments", {"body": "x"})
    assert len(forge.state.comments) == 1
    assert time.sleeps == [3.0]


def test_a_post_that_may_have_been_carried_out_is_not_sent_again(
    forge: Forge, github: GitHub, time: Time
) -> None:
    forge.trouble("POST", "comments", troubles.SERVER_ERROR, after=True)
    with pytest.raises(NoAnswerError):
        github.send("POST", f"{REPO}/issues/1/comments", {"body": "x"})
    assert len(forge.state.comments) == 1
    assert time.sleeps == []


@pytest.mark.parametrize("answer", [troubles.TOO_MANY, troubles.SERVER_ERROR])
def test_tries_are_bounded(forge: Forge, github: GitHub, answer: Answer) -> None:
    forge.trouble("GET", "pulls", answer, times=100)
    with pytest.raises(UserError):
        github.get(f"{REPO}/pulls/1")
    assert len(forge.requests("GET", "pulls")) == ATTEMPTS


def test_it_does_not_sleep_for_an_hour(forge: Forge, github: GitHub, time: Time) -> None:
    forge.trouble("GET", "pulls", troubles.used_up(1_003_600), times=9)
    with pytest.raises(UserError, match="used up"):
        github.get(f"{REPO}/pulls/1")
    assert time.sleeps == []


def test_too_long_is_its_own_error(github: GitHub) -> None:
    with pytest.raises(TextTooLongError):
        github.send("POST", f"{REPO}/issues/1/comments", {"body": "x" * 70_000})


def test_not_found_is_its_own_error(github: GitHub) -> None:
    with pytest.raises(NotFoundError):
        github.get(f"{REPO}/pulls/99")


@pytest.mark.parametrize("raw", [b"<html>", b"[" * 100_000, b"\xff"])
def test_an_answer_that_is_not_json_is_an_error(forge: Forge, github: GitHub, raw: bytes) -> None:
    forge.trouble("GET", "pulls", Answer(200, raw=raw))
    with pytest.raises(UserError, match="not JSON"):
        github.get(f"{REPO}/pulls/1")


def test_a_server_that_is_not_there_is_one_error(time: Time) -> None:
    with pytest.raises(NoAnswerError, match="cannot be reached"):
        GitHub("http://127.0.0.1:9", TOKEN, sleep=time.sleep, clock=time.clock).get("/user")
    assert len(time.sleeps) == ATTEMPTS - 1


@pytest.mark.parametrize(("url", "token"), [("file:///etc/passwd", "t"), ("nonsense", "t"), ("http://h:x", "t"),
                                            ("http://h", ""), ("http://h", "a\nb"), ("http://h", "é")])  # fmt: skip
def test_an_unusable_address_or_token_is_refused(url: str, token: str) -> None:
    with pytest.raises(UserError):
        GitHub(url, token)


def test_the_token_is_not_in_the_representation() -> None:
    assert TOKEN not in repr(GitHub("http://localhost", TOKEN))


@pytest.mark.parametrize("prefix", ["/api/v3", "/api/v1"])
def test_other_forges_differ_only_in_the_address(contract: Contract | None, time: Time, prefix: str) -> None:
    with Forge(contract, State(pulls=[Pull(1, "octo/model", "topic")]), prefix) as forge:
        for number in range(40):
            forge.state.comment(1, "ada", str(number))
        found = list(client(forge, time).pages(f"{REPO}/issues/1/comments"))
        assert len(found) == 40
        assert forge.violations == []


# The judge of the fake is itself able to say no.


@pytest.fixture(scope="module")
def description() -> Contract:
    return Contract.load(need("openapi"))


def _bad_requests() -> list[tuple[str, str, str, object]]:
    comments = f"{REPO}/issues/1/comments"
    return [
        ("GET", f"{REPO}/pulls", "stat=open", None),
        ("GET", f"{REPO}/pulls", "state=ajar", None),
        ("GET", f"{REPO}/pulls", "per_page=many", None),
        ("GET", "/repos/octo/model/no/such/thing/here", "", None),
        ("PUT", comments, "", {"body": "x"}),
        ("POST", comments, "", {"text": "x"}),
        ("POST", comments, "", {"body": 5}),
        ("POST", comments, "", {"body": "x", "extra": 1}),
        ("GET", f"{REPO}/pulls", "", {"body": "x"}),
    ]


@pytest.mark.parametrize("request_", _bad_requests(), ids=str)
def test_the_description_refuses_wrong_requests(
    description: Contract, request_: tuple[str, str, str, object]
) -> None:
    with pytest.raises(ContractError):
        description.check_request(*request_)


def _damage() -> list[Callable[[dict[str, object]], object]]:
    return [
        lambda item: item.pop("id"),
        lambda item: item.update(id="5"),
        lambda item: item.update(user={"id": 1}),
        lambda item: item.update(created_at=None),
    ]


@pytest.mark.parametrize("damage", _damage())
def test_the_description_refuses_wrong_answers(
    description: Contract, damage: Callable[[dict[str, object]], object]
) -> None:
    path = f"{REPO}/issues/1/comments"
    good = description.complete("GET", path, 200, [{"id": 5, "body": "x", "user": {"id": 7, "login": "ada"}}])
    description.check_response("GET", path, 200, {}, good)
    bad = copy.deepcopy(good)
    damage(bad[0])
    with pytest.raises(ContractError):
        description.check_response("GET", path, 200, {}, bad)


def test_the_description_refuses_statuses_that_never_come(description: Contract) -> None:
    with pytest.raises(ContractError, match="never answers 418"):
        description.check_response("GET", f"{REPO}/pulls", 418, {}, {"message": "x"})
    with pytest.raises(ContractError):
        description.check_response("GET", f"{REPO}/pulls", 403, {}, "forbidden")


def test_a_violation_reaches_the_test(description: Contract) -> None:
    with Forge(description) as forge:
        with pytest.raises(UserError):
            GitHub(forge.api_url, TOKEN, sleep=lambda _: None).get(f"{REPO}/pulls", stat="open")
        assert forge.violations
