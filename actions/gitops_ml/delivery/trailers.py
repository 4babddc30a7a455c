"""The lines at the end of a commit's message that say by machine-readable names what it does."""

from __future__ import annotations

from collections.abc import Mapping

from gitops_ml.escape import visible

LONGEST = 300


def with_trailers(subject: str, text: str, trailers: Mapping[str, str | None]) -> str:
    """A commit's message. Every value becomes one line, so none can add a trailer of its own; None is left out."""
    lines = [
        f"{name}: {visible(value, LONGEST) or '-'}" for name, value in trailers.items() if value is not None
    ]
    return "\n\n".join(part for part in (visible(subject, 200), text, "\n".join(lines)) if part) + "\n"
