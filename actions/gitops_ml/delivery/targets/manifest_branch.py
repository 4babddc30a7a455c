"""The branch from which Argo CD or Flux pulls: one folder of manifests per environment, and who wanted them."""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gitops_ml.delivery.contended import Prepared, push_on_top
from gitops_ml.delivery.git import Git
from gitops_ml.delivery.release import short
from gitops_ml.delivery.remote import fetch
from gitops_ml.delivery.state import IDENTITY
from gitops_ml.delivery.targets.base import late

_TRAILERS = ("Environment", "Release", "Digest", "Fence")
_LINE = re.compile(r"(Environment|Release|Digest|Fence): (\S+)")


@dataclass(frozen=True)
class Wanted:
    """What one environment should run, as the newest commit for it on the branch says. `commit` is that commit."""

    environment: str
    release: str | None = None
    digest: str | None = None
    fence: int = 0
    commit: str | None = None

    def message(self, why: str) -> str:
        told = {
            "Environment": self.environment,
            "Release": self.release,
            "Digest": self.digest,
            "Fence": self.fence,
        }
        lines = [f"{name}: {told[name]}" for name in _TRAILERS if told[name] is not None]
        return f"{why}\n\n" + "\n".join(lines) + "\n"


@dataclass(frozen=True)
class ManifestBranch:
    """`branch` on `remote`. `pause` takes seconds and is replaced in tests."""

    git: Git
    branch: str
    environment: str
    remote: str = "origin"
    pause: Callable[[float], None] = field(default=time.sleep, repr=False)

    def tip(self) -> str | None:
        return fetch(self.git, self.remote, f"refs/heads/{self.branch}")

    def wanted(self, tip: str | None) -> Wanted:
        """What the newest commit for this environment says; other environments may share the branch."""
        if tip is None:
            return Wanted(self.environment)
        # Line by line, not as trailers: a revert by hand has a message of its own below them.
        words = ("log", "--max-count=1", "--first-parent", f"--grep=^Environment: {self.environment}$")
        said = self.git.run(*words, "--format=%H%n%B", tip, "--").text
        commit, _, message = said.partition("\n")
        if not commit:
            return Wanted(self.environment)
        found = {match[1]: match[2] for line in message.splitlines() if (match := _LINE.fullmatch(line))}
        fence = found.get("Fence", "")
        return Wanted(
            self.environment,
            found.get("Release"),
            found.get("Digest"),
            int(fence) if fence.isdecimal() else 0,
            commit,
        )

    def files(self, commit: str | None) -> dict[str, bytes]:
        """The manifests of this environment at `commit`, by file name."""
        if commit is None:
            return {}
        entries = self.git.entries(commit, f"{self.environment}/")
        contents = self.git.blobs([entry.split()[1] for entry in entries.values()])
        names = (path.partition("/")[2] for path in entries)
        return {name: content or b"" for name, content in zip(names, contents, strict=True)}

    def write(self, wanted: Wanted, files: Mapping[str, bytes], only_after: str | None = None) -> Wanted:
        """One commit after which the environment's folder holds `files` and nothing else; returns what was before.

        Equal files under an equal fence make no commit; under a higher one, a commit without changes remembers it.
        Raises `FencedError` when the branch was asked for something newer, or, with `only_after`, when the newest
        commit for the environment is not that one; `UserError` when the remote takes none, as `push_on_top`.
        """

        def prepare(attempt: int) -> Prepared[Wanted]:
            tip = self.tip()
            before = self.wanted(tip)
            overtaken = only_after is not None and before.commit != only_after
            if before.fence > wanted.fence or overtaken:
                raise late(self.branch, before.fence, wanted.fence)
            same = self.files(tip) == dict(files) and before.release == wanted.release
            if same and before.fence == wanted.fence:
                return Prepared(None, before)
            return Prepared(self._commit(tip, files, wanted.message(self._why(wanted, before))), before)

        return push_on_top(self.git, self.remote, self.branch, prepare, self.pause, "took no manifests")

    def _why(self, wanted: Wanted, before: Wanted) -> str:
        if wanted.release == before.release:
            return f"{self.environment}: {short(wanted.release)}, asked for again"
        return f"{self.environment}: {short(before.release)} -> {short(wanted.release)}"

    def _commit(self, tip: str | None, files: Mapping[str, bytes], message: str) -> str:
        """A commit on `tip` that replaces this environment's folder, made through an index of its own."""
        with tempfile.TemporaryDirectory(prefix="gitops-ml-") as folder:
            environ = {"GIT_INDEX_FILE": str(Path(folder) / "index"), **IDENTITY}
            self.git.run("read-tree", *([tip] if tip else ["--empty"]), environ=environ)
            gone = self.git.entries(tip, f"{self.environment}/") if tip else {}
            lines = [f"0 {'0' * 40}\t{path}" for path in gone]
            for name, content in sorted(files.items()):
                identifier = self.git.run("hash-object", "-w", "--stdin", stdin=content).text
                lines.append(f"100644 {identifier}\t{self.environment}/{name}")
            text = "".join(f"{line}\n" for line in lines).encode()
            self.git.run("update-index", "--index-info", stdin=text, environ=environ)
            tree = self.git.run("write-tree", environ=environ).text
            parent = ["-p", tip] if tip else []
            return self.git.run("commit-tree", tree, *parent, "-m", message, environ=environ).text
