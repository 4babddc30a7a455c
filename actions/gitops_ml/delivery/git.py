"""Git by argument lists: reading objects of one repository without a work tree."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gitops_ml.errors import UserError

TIMEOUT_S = 300
# A checkout's configuration may name programs; none of these reads should start one.
_SETTINGS = ("core.quotePath=false", "core.fsmonitor=false", "core.hooksPath=/dev/null", "gc.auto=0")
_SAFE = tuple(word for setting in _SETTINGS for word in ("-c", setting))


@dataclass(frozen=True)
class Answer:
    """What a git command said."""

    code: int
    output: bytes
    problem: str

    @property
    def text(self) -> str:
        return self.output.decode(errors="surrogateescape").strip()


@dataclass(frozen=True)
class Git:
    """One repository, bare or not; `environ` is given to every command, such as credentials."""

    folder: Path
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)

    def try_(self, *words: str, stdin: bytes = b"", environ: Mapping[str, str] | None = None) -> Answer:
        """Run a command and return what it said, whatever it said; raises `UserError` when git itself is missing."""
        # Messages are matched to decide whether a push may be tried again, so they have to be in English.
        surroundings = {
            **os.environ,
            "LC_ALL": "C",
            "GIT_TERMINAL_PROMPT": "0",
            **self.environ,
            **(environ or {}),
        }
        try:
            done = subprocess.run(
                ["git", *_SAFE, *words],
                cwd=self.folder,
                input=stdin,
                capture_output=True,
                env=surroundings,
                timeout=TIMEOUT_S,
            )
        except subprocess.TimeoutExpired:
            raise UserError(
                f"git {words[0]} took longer than {TIMEOUT_S} s.", "Run the step again."
            ) from None
        except OSError as error:
            raise UserError(f"git can't be started: {error.strerror}.", "Install git.") from None
        return Answer(done.returncode, done.stdout, done.stderr.decode(errors="replace").strip())

    def run(self, *words: str, stdin: bytes = b"", environ: Mapping[str, str] | None = None) -> Answer:
        """Run a command that has to succeed; raises `UserError` with what git said."""
        answer = self.try_(*words, stdin=stdin, environ=environ)
        if answer.code != 0:
            raise UserError(f"git {words[0]} failed: {answer.problem or f'exit code {answer.code}'}.")
        return answer

    def resolve(self, name: str) -> str | None:
        """The full hash of the commit `name`, or None when there is none."""
        answer = self.try_("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
        return answer.text if answer.code == 0 else None

    def entries(self, commit: str, folder: str = "") -> dict[str, str]:
        """The files of `commit` under `folder` as path to `mode id`."""
        words = ["ls-tree", "-r", "-z", "--full-tree", commit]
        listed = self.run(*words, "--", folder) if folder else self.run(*words)
        found: dict[str, str] = {}
        for line in listed.output.split(b"\0"):
            if line:
                meta, _, path = line.partition(b"\t")
                mode, _, identifier = meta.decode("ascii").split(" ")
                found[path.decode(errors="surrogateescape")] = f"{mode} {identifier}"
        return found

    def blobs(self, names: Sequence[str]) -> list[bytes | None]:
        """The contents of the objects `names` (ids, or `commit:path`), None for one that does not exist."""
        if not names:
            return []
        wanted = "".join(f"{name}\n" for name in names).encode(errors="surrogateescape")
        output = self.run("cat-file", "--batch", stdin=wanted).output
        found: list[bytes | None] = []
        position = 0
        for _ in names:
            end = output.index(b"\n", position)
            head = output[position:end].rsplit(b" ", 2)
            position = end + 1
            if head[-1] == b"missing" or head[-2] != b"blob":
                skipped = 0 if head[-1] == b"missing" else int(head[-1]) + 1
                found.append(None)
                position += skipped
                continue
            size = int(head[-1])
            found.append(output[position : position + size])
            position += size + 1
        return found

    def commits(self, ref: str, *words: str, paths: Iterable[str] = ()) -> list[str]:
        """Commits of the first-parent history of `ref`, newest first, limited by options in `words` and by `paths`."""
        listed = self.run("rev-list", "--first-parent", *words, ref, "--", *paths)
        return listed.text.split()

    def changed(self, old: str, new: str) -> list[str]:
        """The files that differ between two commits; both names of a moved one."""
        words = ("diff", "--name-only", "--no-renames", "--no-ext-diff", "-z", old, new, "--")
        return [
            path.decode(errors="surrogateescape") for path in self.run(*words).output.split(b"\0") if path
        ]

    def files(self, commit: str, folder: str = "") -> dict[str, bytes]:
        """The regular files of `commit` under `folder` by path; raises `UserError` for a link or a submodule there."""
        entries = self.entries(commit, folder)
        for path, entry in entries.items():
            if not entry.startswith(("100644 ", "100755 ")):
                raise UserError(
                    f"{path} is not a regular file.", "Write the file itself; links are not followed."
                )
        contents = self.blobs([entry.split()[1] for entry in entries.values()])
        return {path: content or b"" for path, content in zip(entries, contents, strict=True)}
