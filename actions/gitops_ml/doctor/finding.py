"""One thing that was looked at, and the page that all of them make."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from gitops_ml.escape import visible

State = Literal["ok", "missing", "advice", "unknown", "plan"]
_SIGNS: dict[State, str] = {
    "ok": "ok",
    "missing": "MISSING",
    "advice": "advice",
    "unknown": "?",
    "plan": "plan",
}
_HEADS: tuple[tuple[State, str], ...] = (
    ("missing", "Missing"),
    ("advice", "Advice"),
    ("plan", "What this plan can't enforce"),
    ("unknown", "Not known"),
    ("ok", "In order"),
)


@dataclass(frozen=True)
class Finding:
    """`what` was found, `why` it matters, and the `fix`; in order, only the first of them is said."""

    state: State
    what: str
    why: str = ""
    fix: str = ""


def failed(findings: Sequence[Finding]) -> bool:
    """Whether something important is missing."""
    return any(one.state == "missing" for one in findings)


def page(findings: Sequence[Finding]) -> str:
    """One page for a person, what has to be done first; nothing in it acts in a terminal."""
    lines: list[str] = []
    for state, head in _HEADS:
        shown = [one for one in findings if one.state == state]
        if not shown:
            continue
        lines += ["", head] if lines else [head]
        for one in shown:
            lines.append(f"  {_SIGNS[state]:<8}{visible(one.what, 300)}")
            if state != "ok":
                lines += [f"          why: {visible(one.why, 300)}"] if one.why else []
                lines += [f"          fix: {visible(line, 300)}" for line in one.fix.splitlines()[:6]]
    counts = {state: sum(one.state == state for one in findings) for state, _ in _HEADS}
    said = f"{counts['ok']} in order, {counts['missing']} missing, {counts['advice']} to consider"
    return "\n".join([*lines, "", said]) + "\n"
