"""One comment: ours, the newest, and never anybody else's."""

from __future__ import annotations

import pytest
from gitops_ml.errors import UserError
from gitops_ml.github import GitHub
from gitops_ml.sticky import Marker, Posted, Sticky, author_id, read_marker

from tests.fakes import troubles
from tests.fakes.forge import Forge
from tests.fakes.state import Pull

BOT = "github-actions[bot]"
HEAD = "a1" * 20


def marker(run: int = 5, attempt: int = 1, sticky_id: str = "gitops-ml") -> Marker:
    return Marker(sticky_id, run, attempt, HEAD)


@pytest.fixture
def sticky(forge: Forge) -> Sticky:
    forge.state.pulls.append(Pull(1, "octo/model", "topic"))
    github = GitHub(forge.api_url, "token", sleep=lambda _: None)
    return Sticky(github, "octo/model", 1, author_id(github, BOT))


def publish(
    sticky: Sticky, run: int = 5, attempt: int = 1, text: str = "text", shorter: str = "short"
) -> Posted:
    return sticky.publish(marker(run, attempt), text, shorter)


def bodies(forge: Forge) -> list[str]:
    return [comment.body for comment in forge.state.comments]


def test_the_first_run_creates_and_the_second_updates_in_place(forge: Forge, sticky: Sticky) -> None:
    first, second = publish(sticky, 5), publish(sticky, 6, text="newer")
    assert (first.outcome, second.outcome) == ("created", "updated")
    assert first.number == second.number
    assert bodies(forge) == [f"{marker(6)}\nnewer"]


def test_the_same_run_twice_writes_once(forge: Forge, sticky: Sticky) -> None:
    publish(sticky)
    assert publish(sticky).outcome == "unchanged"
    assert len(forge.requests("POST")) == 1
    assert forge.requests("PATCH") == []


@pytest.mark.parametrize(("run", "attempt"), [(4, 1), (4, 9), (5, 1)])
def test_an_older_run_leaves_the_newer_comment_alone(
    forge: Forge, sticky: Sticky, run: int, attempt: int
) -> None:
    publish(sticky, 5, 2)
    assert publish(sticky, run, attempt, "older").outcome == "superseded"
    assert bodies(forge) == [f"{marker(5, 2)}\ntext"]


def test_our_comment_is_found_on_the_last_page(forge: Forge, sticky: Sticky) -> None:
    for number in range(70):
        forge.state.comment(1, "ada", f"chat {number}")
    made = publish(sticky)
    for number in range(40):
        forge.state.comment(1, "ada", f"more chat {number}")
    assert publish(sticky, 6).number == made.number
    assert len(forge.state.comments) == 111


@pytest.mark.parametrize(
    ("login", "body"),
    [
        ("ada", f"{marker()}\nI copied the whole comment"),
        ("ada", f"> {marker()}\n> look at this"),
        (BOT, f"> {marker()}\nquoted by another job of the same bot"),
        (BOT, f"\n{marker()}\nnot at the start"),
        (BOT, f"{marker()} trailing words"),
        (BOT, f"{marker(sticky_id='gitops-ml-other')}\nanother sticky comment"),
        (BOT, "<!-- gitops-ml id=gitops-ml run=x attempt=1 head=abc -->\nmalformed"),
        (BOT, "no marker at all"),
    ],
)
def test_a_comment_that_is_not_ours_is_left_alone(
    forge: Forge, sticky: Sticky, login: str, body: str
) -> None:
    forge.state.comment(1, login, body)
    assert publish(sticky).outcome == "created"
    assert bodies(forge) == [body, f"{marker()}\ntext"]


def test_an_account_of_the_same_name_but_another_id_is_not_us(forge: Forge, sticky: Sticky) -> None:
    forge.state.users["impostor"] = 99
    theirs = forge.state.comment(1, "impostor", f"{marker(9)}\nnewest of all")
    theirs.login = BOT
    assert publish(sticky).outcome == "created"
    assert theirs.body.endswith("newest of all")


def test_duplicates_become_one(forge: Forge, sticky: Sticky) -> None:
    first = forge.state.comment(1, BOT, f"{marker(2)}\na")
    forge.state.comment(1, BOT, f"{marker(3)}\nb")
    forge.state.comment(1, "ada", "chat")
    forge.state.comment(1, BOT, f"{marker(4)}\nc")
    assert publish(sticky) == Posted("updated", first.id)
    assert bodies(forge) == [f"{marker(5)}\ntext", "chat"]


def test_a_newer_run_that_posts_at_the_same_moment_wins(forge: Forge, sticky: Sticky) -> None:
    forge.meanwhile("POST", "comments", lambda: forge.state.comment(1, BOT, f"{marker(6)}\nnewer") and None)
    assert publish(sticky, 5).outcome == "superseded"
    assert publish(sticky, 6, text="newer").outcome == "updated"
    assert bodies(forge) == [f"{marker(6)}\nnewer"]


def test_an_older_run_that_posts_at_the_same_moment_is_cleaned_up(forge: Forge, sticky: Sticky) -> None:
    forge.meanwhile("POST", "comments", lambda: forge.state.comment(1, BOT, f"{marker(4)}\nolder") and None)
    publish(sticky, 5)
    assert bodies(forge) == [f"{marker(5)}\ntext"]


def test_an_older_text_that_lands_after_ours_is_written_over(forge: Forge, sticky: Sticky) -> None:
    made = publish(sticky, 4)
    comment = next(each for each in forge.state.comments if each.id == made.number)

    def late() -> None:
        comment.body = f"{marker(3)}\nlate"

    forge.meanwhile("PATCH", "comments", lambda: forge.meanwhile("GET", "comments", late))
    publish(sticky, 5)
    assert bodies(forge) == [f"{marker(5)}\ntext"]


def test_a_comment_deleted_under_our_hands_is_made_again(forge: Forge, sticky: Sticky) -> None:
    publish(sticky, 4)
    forge.meanwhile("PATCH", "comments", forge.state.comments.clear)
    assert publish(sticky, 5).outcome == "created"
    assert bodies(forge) == [f"{marker(5)}\ntext"]


def test_a_creation_whose_answer_was_lost_is_not_repeated(forge: Forge, sticky: Sticky) -> None:
    forge.trouble("POST", "comments", troubles.SERVER_ERROR, after=True)
    publish(sticky)
    assert bodies(forge) == [f"{marker()}\ntext"]
    assert len(forge.requests("POST")) == 1


def test_a_list_that_lags_behind_does_not_make_a_second_comment(forge: Forge, sticky: Sticky) -> None:
    stale = troubles.Answer(200, [])
    forge.trouble("GET", "comments", stale, times=2)
    assert publish(sticky).outcome == "created"
    assert len(forge.state.comments) == 1


def test_a_text_that_is_too_long_is_replaced_by_the_short_one(forge: Forge, sticky: Sticky) -> None:
    publish(sticky, text="x" * 70_000)
    assert bodies(forge) == [f"{marker()}\nshort"]
    publish(sticky, 6, text="y" * 70_000)
    assert bodies(forge) == [f"{marker(6)}\nshort"]
    with pytest.raises(UserError, match="too long"):
        publish(sticky, 7, text="y" * 70_000, shorter="z" * 70_000)


def test_two_jobs_that_fight_over_one_comment_are_told_so(forge: Forge, sticky: Sticky) -> None:
    publish(sticky, 4)

    def fight() -> None:
        forge.meanwhile("GET", "comments", spoil)

    def spoil() -> None:
        forge.state.comments[0].body = f"{marker(5)}\nsomebody else"
        fight()

    fight()
    with pytest.raises(UserError, match="another job writes the same comment"):
        publish(sticky, 5)


def test_the_account_is_the_viewer_when_the_token_has_one(forge: Forge) -> None:
    github = GitHub(forge.api_url, "token")
    assert author_id(github, BOT) == 41898282
    forge.state.viewer = "ada"
    assert author_id(github, BOT) == 7


def test_an_unknown_account_is_an_error(forge: Forge) -> None:
    with pytest.raises(UserError):
        author_id(GitHub(forge.api_url, "token"), "nobody")


@pytest.mark.parametrize("bad", ["", "A", "a b", "a--b", "-->", "é", "a" * 51, "a\n"])
def test_a_bad_id_is_refused(bad: str) -> None:
    with pytest.raises(UserError):
        Marker(bad, 1, 1, HEAD)


def test_a_marker_reads_as_it_was_written() -> None:
    assert read_marker(f"{marker(12, 3)}\r\ntext") == marker(12, 3)
