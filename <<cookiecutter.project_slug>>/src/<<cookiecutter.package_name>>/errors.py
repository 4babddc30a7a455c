"""The one kind of error a person sees, and the one door through which a command ends."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable


class UserError(Exception):
    """Something the user can mend; one line that names the file, the place and what to do."""


class DataWarning(UserWarning):
    """Something in the data that was worked around, told in one line."""


def warn(text: str) -> None:
    warnings.warn(text, DataWarning, stacklevel=2)


def run(stage: Callable[[], None]) -> None:
    """Run a stage as a command: a UserError ends it with exit code 1 and one line, without a traceback."""

    def show(message: Warning | str, category: type[Warning], *place: object) -> None:
        if issubclass(category, DataWarning):
            print(f"warning: {message}", file=sys.stderr)

    warnings.showwarning = show  # type: ignore[assignment]
    warnings.simplefilter("always", DataWarning)
    try:
        stage()
    except UserError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        raise SystemExit(1) from None
