"""Which files a change touches, and whether any of them can change the model."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from gitops_ml.errors import UserError

# What can never change a model. Everything else might, so it trains: a list of what does go in is forgotten when a
# folder is added, and then a change ships untested. Markdown below src/ or data/ may be a prompt or an example.
HARMLESS = (
    "/docs/**",
    "/*.md",
    "README.md",
    "/LICENSE*",
    "/CODEOWNERS",
    "/.github/CODEOWNERS",
    "/.github/ISSUE_TEMPLATE/**",
    "/.github/dependabot.yml",
    ".gitignore",
    ".editorconfig",
)
_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_SHOWN = 3


@dataclass(frozen=True)
class Scope:
    """Whether a change has to be trained, and why; `merge_base` is None when it is not known."""

    train: bool
    reason: str
    merge_base: str | None = None


def compile_pattern(pattern: str) -> re.Pattern[str]:
    """A pattern as in .gitignore: without a slash it is a file's name anywhere, with one it starts at the top.

    `*` and `?` stay within one folder, `**` crosses folders. Raises `UserError` for what git would read otherwise.
    """
    if pattern.strip("/") == "" or pattern.endswith("/") or pattern.startswith("!") or "\\" in pattern:
        raise UserError(
            f"{pattern!r} is not a pattern of paths.",
            "Write it as /docs/** for what is below a folder, or as *.md for names; it can't be negated.",
        )
    anchored = "/" in pattern
    pattern = pattern.removeprefix("/")
    parts = re.split(r"(\*\*/?|\*|\?)", pattern)
    known = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    body = "".join(known.get(part) or re.escape(part) for part in parts)
    return re.compile(body if anchored else f"(?:.*/)?{body}", re.DOTALL)


def decide(paths: Sequence[str], harmless: Iterable[str], merge_base: str) -> Scope:
    """Train when any of `paths` matches none of the patterns in `harmless`; no paths at all train nothing."""
    patterns = [compile_pattern(pattern) for pattern in harmless]
    telling = [path for path in paths if not any(pattern.fullmatch(path) for pattern in patterns)]
    if not telling:
        count = "no file" if not paths else "1 file" if len(paths) == 1 else f"{len(paths)} files"
        return Scope(False, f"{count} changed, none of which goes into the model", merge_base)
    shown = ", ".join(ascii(path) for path in telling[:_SHOWN])
    more = f" and {len(telling) - _SHOWN} more" if len(telling) > _SHOWN else ""
    return Scope(True, f"changed: {shown}{more}", merge_base)


def read_scope(repository: Path, base: str, head: str, harmless: Sequence[str]) -> Scope:
    """Compare `head` with its merge base with `base`, both commits; what git can't answer is a reason to train.

    A bad pattern is raised as `UserError` all the same: it is the caller's mistake, and a silent one if it trained.
    """
    for pattern in harmless:
        compile_pattern(pattern)
    for name, commit in (("base", base), ("head", head)):
        if not _COMMIT.fullmatch(commit):
            return Scope(True, f"the {name} commit is not known, so everything counts as changed")
    merge_base = _git(repository, "merge-base", "--", base, head)
    if merge_base is None or not _COMMIT.fullmatch(merge_base.strip()):
        return Scope(
            True,
            "head and base have no merge base in this checkout, so everything counts as changed (fetch-depth: 0?)",
        )
    found = merge_base.strip()
    # Without rename detection both names of a moved file are listed: moving a file out of the model changes it too.
    listed = _git(repository, "diff", "--name-only", "--no-renames", "--no-ext-diff", "-z", found, head, "--")
    if listed is None:
        return Scope(True, "git could not list the changed files, so everything counts as changed", found)
    return decide([path for path in listed.split("\0") if path], harmless, found)


def kept_by_dvc(repository: Path, commits: Iterable[str | None]) -> bool:
    """Whether any of the `commits` holds a file that `dvc add` wrote; None and unknown ones hold nothing."""
    for commit in commits:
        if commit is not None and _COMMIT.fullmatch(commit):
            listed = _git(repository, "ls-tree", "-r", "-z", "--name-only", "--full-tree", commit)
            if any(name.endswith(".dvc") for name in (listed or "").split("\0")):
                return True
    return False


def resolve(repository: Path, name: str) -> str:
    """The full hash of the commit `name`, or `name` itself when git does not know it."""
    found = _git(repository, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
    return found.strip() if found is not None else name


def _git(repository: Path, *words: str) -> str | None:
    # quotePath would show a name in octal; core.fsmonitor in a checkout's configuration would start a program.
    command = ["git", "-c", "core.quotePath=false", "-c", "core.fsmonitor=false", *words]
    try:
        done = subprocess.run(command, cwd=repository, capture_output=True, stdin=subprocess.DEVNULL)
    except OSError:
        return None
    return done.stdout.decode(errors="surrogateescape") if done.returncode == 0 else None
