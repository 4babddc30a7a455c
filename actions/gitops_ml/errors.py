"""The one kind of error a user sees: what is wrong, where, and what to do."""

from __future__ import annotations


class UserError(Exception):
    """Something the user can mend.

    `message` is one sentence that names the file and the place; `fix` says what to do, and may hold lines to paste.
    """

    def __init__(self, message: str, fix: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix
