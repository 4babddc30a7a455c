"""CODEOWNERS: whether its lines can be read, and whether the files that decide what runs have an owner."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from gitops_ml.doctor.finding import Finding

PLACES = (".github/CODEOWNERS", "CODEOWNERS", "docs/CODEOWNERS")
# What decides about production, who may change that, and what says whether a model may be merged.
GUARDED = (
    "environments/production.yaml",
    "environments/pipeline.yaml",
    "environments/revoked.yaml",
    ".github/workflows/deliver.yml",
    ".github/workflows/pull-request.yml",
    ".github/settings/ruleset-main.json",
    "gates.yaml",
)
_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9_-]{0,99})"
_OWNER = re.compile(rf"@{_NAME}(?:/[A-Za-z0-9._-]{{1,100}})?|[^@\s]+@[^@\s]+\.[^@\s]+")


@dataclass(frozen=True)
class Line:
    number: int
    pattern: str
    owners: tuple[str, ...]

    def matches(self, path: str) -> bool:
        """As git's ignore files do it, without negation: the way that GitHub documents."""
        pattern = self.pattern
        anchored = "/" in pattern.rstrip("/")
        pattern = pattern.removeprefix("/")
        folder = pattern.endswith("/")
        parts = re.split(r"(\*\*/|\*\*|\*|\?)", pattern.rstrip("/"))
        known = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
        body = "".join(known.get(part) or re.escape(part) for part in parts)
        # A name means the folder's whole content; `docs/*` means what is directly in it.
        below = "/.*" if folder else "" if pattern.endswith("/*") else "(?:/.*)?"
        return re.fullmatch(("" if anchored else "(?:.*/)?") + body + below, path, re.DOTALL) is not None


def parse(text: str) -> list[Line]:
    lines = []
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.split("#")[0].split()
        if words:
            lines.append(Line(number, words[0], tuple(words[1:])))
    return lines


def judge(path: str | None, text: str) -> Iterator[Finding]:
    """What is wrong with the file at `path`, None when there is none."""
    if path is None:
        yield Finding(
            "missing",
            "there is no CODEOWNERS",
            "Nobody in particular is asked before what production runs is changed.",
            f"Add {PLACES[1]} with the line: /environments/ @your-team",
        )
        return
    lines = parse(text)
    wrong = [(line, owner) for line in lines for owner in line.owners if not _OWNER.fullmatch(owner)]
    for line, owner in wrong:
        yield Finding(
            "missing",
            f"{path}, line {line.number}: {owner!r} is no owner",
            "GitHub leaves out a line that it can't read.",
            "Write @user, @organisation/team or an e-mail address.",
        )
    open_ = [one for one in GUARDED if not _owners(lines, one)]
    if open_:
        yield Finding(
            "missing",
            f"{path} gives no owner to {', '.join(open_)}",
            "Whoever may merge could change what production runs, or the rules for it.",
            "\n".join(f"/{one}  @your-team" for one in open_),
        )
    if not wrong and not open_:
        yield Finding("ok", f"{path} gives what decides about production an owner")


def _owners(lines: list[Line], path: str) -> tuple[str, ...]:
    """The owners of `path`: those of the last line that matches it."""
    return next((line.owners for line in reversed(lines) if line.matches(path)), ())
