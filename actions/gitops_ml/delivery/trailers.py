"""The lines at the end of a commit's message that say by machine-readable names what it does."""

from __future__ import annotations

import re
from collections.abc import Mapping

from gitops_ml.escape import visible

LONGEST = 300
REQUESTED_BY = "Requested-By"
_REQUESTED = re.compile(rf"^{REQUESTED_BY}: @?([A-Za-z0-9][A-Za-z0-9-]{{0,38}})\s*$", re.MULTILINE)


def requested_by(text: str) -> str | None:
    """The person whom a commit's message, or the text of a pull request, names last; None when it names nobody."""
    found = _REQUESTED.findall(text)
    return str(found[-1]) if found else None


def with_trailers(subject: str, text: str, trailers: Mapping[str, str | None]) -> str:
    """A commit's message. Every value becomes one line, so none can add a trailer of its own; None is left out."""
    lines = [
        f"{name}: {visible(value, LONGEST) or '-'}" for name, value in trailers.items() if value is not None
    ]
    return "\n\n".join(part for part in (visible(subject, 200), text, "\n".join(lines)) if part) + "\n"
