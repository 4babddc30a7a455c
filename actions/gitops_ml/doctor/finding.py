"""One thing that was looked at, and the page that all of them make."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from gitops_ml.escape import code, prose, visible

State = Literal["ok", "missing", "advice", "unknown", "plan"]
_HEADS: tuple[tuple[State, str], ...] = (
    ("missing", "Missing"),
    ("advice", "Advice"),
    ("plan", "What this plan can't enforce"),
    ("unknown", "Not known"),
    ("ok", "In order"),
)
_SIGNS: dict[State, str] = {
    "ok": "ok",
    "missing": "MISSING",
    "advice": "advice",
    "unknown": "?",
    "plan": "plan",
}
_ICONS: dict[State, str] = {"ok": "🟢", "missing": "🔴", "advice": "🟡", "unknown": "❔", "plan": "⚪"}
# Colours of a terminal by their numbers: green, red, yellow, and yellow again for what nobody looked at.
_COLOURS: dict[State, int] = {"ok": 32, "missing": 31, "advice": 33, "unknown": 33, "plan": 2}
_COMMAND = re.compile(r"(?:gitops-ml|gh|git|make|uv) ")
SEE = (
    "Look as an administrator on a laptop: `gh auth login`, then `make doctor` or `gitops-ml doctor`.\n"
    "Or give this run a token with `administration: read` and `secrets: read`, of a person or an app."
)


@dataclass(frozen=True)
class Finding:
    """`what` was found, `why` it matters, and the `fix`; in order, only the first of them is said."""

    state: State
    what: str
    why: str = ""
    fix: str = ""


def unseen(what: str, why: str = "") -> Finding:
    """What this token may not look at: that is neither in order nor missing."""
    return Finding("unknown", f"{what}: not visible to this token", why, SEE)


def failed(findings: Sequence[Finding]) -> bool:
    """Whether something important is missing."""
    return any(one.state == "missing" for one in findings)


def count(findings: Sequence[Finding], state: State) -> int:
    return sum(one.state == state for one in findings)


def page(findings: Sequence[Finding], coloured: bool = False) -> str:
    """One page for a person, what has to be done first; nothing in it acts in a terminal but its own colours."""
    lines: list[str] = []
    for state, head, shown in _sections(findings):
        lines += ["", head] if lines else [head]
        for one in shown:
            sign = f"{_SIGNS[state]:<8}"
            if coloured:
                sign = f"\x1b[{_COLOURS[state]}m{sign}\x1b[0m"
            lines.append(f"  {sign}{visible(one.what, 300)}")
            if state != "ok":
                lines += [f"          why: {visible(one.why, 300)}"] if one.why else []
                lines += [f"          fix: {visible(line, 300)}" for line in one.fix.splitlines()[:6]]
    return "\n".join([*lines, "", _said(findings)]) + "\n"


def summary(findings: Sequence[Finding]) -> str:
    """The same page as Markdown, for the summary of a run."""
    lines = [f"### Doctor: {_said(findings)}"]
    for state, head, shown in _sections(findings):
        lines += ["", f"#### {head}", ""]
        for one in shown:
            lines.append(f"- {_ICONS[state]} {_rich(one.what)}")
            if state != "ok":
                lines += [f"  <br>Why: {_rich(one.why)}"] if one.why else []
                lines += [f"  <br>Fix: {_rich(line)}" for line in one.fix.splitlines()[:6]]
    return "\n".join(lines)


def _rich(text: str) -> str:
    """`text` as Markdown: a command, and what stands between backticks, as code; nothing else of it acts."""
    if _COMMAND.match(text):
        return code(text, 300)
    parts = text.split("`")
    if len(parts) % 2 == 0:
        return prose(text, 300)
    return "".join(code(part, 300) if index % 2 else _spaced(part) for index, part in enumerate(parts))


def _spaced(text: str) -> str:
    """`text` as prose with the space at either end, which separates it from code."""
    before, after = (" " if text.startswith(" ") else ""), (" " if text.endswith(" ") else "")
    return before + prose(text.strip(), 300) + after if text.strip() else text and " "


def _sections(findings: Sequence[Finding]) -> Iterator[tuple[State, str, list[Finding]]]:
    for state, head in _HEADS:
        shown = [one for one in findings if one.state == state]
        if shown:
            yield state, head, shown


def _said(findings: Sequence[Finding]) -> str:
    said = [
        f"{count(findings, 'ok')} in order",
        f"{count(findings, 'missing')} missing",
        f"{count(findings, 'advice')} to consider",
    ]
    if unknown := count(findings, "unknown"):
        said.append(f"{unknown} not known")
    return ", ".join(said)
