"""What people said of a pull request: whose last word it is that counts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic import ValidationError

from gitops_ml.delivery.typed import Person
from gitops_ml.events import Loose


class User(Loose):
    """An account on the forge."""

    login: Person
    type: str = ""

    @property
    def is_bot(self) -> bool:
        return self.type == "Bot" or self.login.endswith("[bot]")


class Review(Loose):
    """One review; `commit_id` is the commit that it is about."""

    user: User
    state: str
    commit_id: str | None = None

    @property
    def approves(self) -> bool:
        return self.state == "APPROVED"


def last_words(items: Iterable[Any]) -> dict[str, Review]:
    """The last word of each account, by login, of `items` in the API's order; comments are no last word."""
    last: dict[str, Review] = {}
    for item in items:
        try:
            review = Review.model_validate(item)
        except ValidationError:
            continue  # of an account that is gone
        if review.state in ("APPROVED", "CHANGES_REQUESTED", "DISMISSED"):
            last[review.user.login] = review
    return last
