"""The files and log commands through which a step talks to its runner; without a runner they do nothing or print."""

from __future__ import annotations

import os
import re
import secrets
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TextIO

from gitops_ml.errors import UserError

Level = Literal["error", "warning", "notice"]

# A step summary over this size is dropped whole by GitHub, without a word to the user.
SUMMARY_LIMIT_BYTES = 1024 * 1024
_OUTPUT_NAME = re.compile(r"[a-z][a-z0-9-]{0,63}")


def escape_data(text: str) -> str:
    """Escape the message of a log command, so that no line of it can be read as a command of its own."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


@dataclass(frozen=True)
class Runner:
    """One step's surroundings: environment and standard error."""

    environ: Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False)
    stderr: TextIO = field(default_factory=lambda: sys.stderr, repr=False)

    @property
    def on_actions(self) -> bool:
        return self.environ.get("GITHUB_ACTIONS") == "true"

    def output(self, name: str, value: str) -> None:
        """Set the step output `name`; the delimiter is random, and a value that holds it is refused."""
        if not _OUTPUT_NAME.fullmatch(name):
            raise ValueError(f"not an output name: {name!r}")
        self._append("GITHUB_OUTPUT", name, value)

    def export(self, name: str, value: str) -> None:
        """Set the variable `name` for the later steps of the job."""
        self._append("GITHUB_ENV", name, value)

    def mask(self, secret: str) -> None:
        """Tell the runner to show `secret` nowhere; elsewhere nothing is printed."""
        if self.on_actions:
            for line in filter(None, secret.splitlines()):
                sys.stdout.write(f"::add-mask::{escape_data(line)}\n")
            sys.stdout.flush()

    @contextmanager
    def shielded(self) -> Iterator[None]:
        """No line that what runs inside prints is obeyed by the runner as a command."""
        token = secrets.token_hex(16)
        if self.on_actions:
            print(f"::stop-commands::{token}", flush=True)
        try:
            yield
        finally:
            if self.on_actions:
                print(f"::{token}::", flush=True)

    def _append(self, file_of: str, name: str, value: str) -> None:
        path = self.environ.get(file_of)
        if not path:
            return
        delimiter = f"gitops-ml-{secrets.token_hex(16)}"
        if delimiter in value:
            raise UserError(f"{name} holds its own delimiter.", "Run the step again.")
        with Path(path).open("a", encoding="utf-8", newline="\n") as file:
            file.write(f"{name}<<{delimiter}\n{value}\n{delimiter}\n")

    def summary(self, markdown: str) -> None:
        """Append `markdown` to the job summary; the caller keeps it under `SUMMARY_LIMIT_BYTES`."""
        path = self.environ.get("GITHUB_STEP_SUMMARY")
        if not path:
            return
        if len(markdown.encode()) > SUMMARY_LIMIT_BYTES - 1024:
            markdown = "The summary was too long for GitHub and was left out.\n"
        with Path(path).open("a", encoding="utf-8", newline="\n") as file:
            file.write(markdown.rstrip("\n") + "\n\n")

    def annotate(self, level: Level, text: str) -> None:
        """Show `text` to the user: an annotation on a runner, a line on standard error elsewhere."""
        if self.on_actions:
            self.stderr.flush()
            sys.stdout.write(f"::{level}::{escape_data(text)}\n")
            sys.stdout.flush()
        else:
            self.stderr.write(f"{level}: {text}\n")

    def fail(self, error: UserError) -> None:
        """The one exit door for errors: annotation and job summary, cause first, then the fix."""
        self.annotate("error", f"{error.message}\n{error.fix}".strip())
        quoted = "\n".join("    " + line for line in f"{error.message}\n\n{error.fix}".strip().splitlines())
        # Indented by four spaces, the text is a code block: nothing in it can act as Markdown.
        self.summary(f"### This step failed\n\n{quoted}\n")
