"""One issue per environment that somebody has to look after: opened once, kept true, closed when all is well again."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, Field, ValidationError

from gitops_ml.delivery.typed import ENVIRONMENT, fingerprint
from gitops_ml.escape import visible
from gitops_ml.github import GitHub, repo_path

LABEL = "deployment"
Outcome = Literal["opened", "updated", "unchanged", "closed", "none"]
_MARKER = re.compile(
    rf"<!-- gitops-ml deployment (?P<environment>{ENVIRONMENT}) (?P<state>[0-9a-f]{{16}}) -->"
)
_LONGEST_LINE = 300
_MOST_LINES = 40


@dataclass(frozen=True)
class Trouble:
    """What is wrong: `title` for the list of issues, `reason` as the tools said it, `serves` what runs instead."""

    environment: str
    title: str
    reason: str
    serves: str
    run: str = ""

    @property
    def state(self) -> str:
        """Equal while nothing has changed that a person would want to hear of."""
        return fingerprint([self.title, self.reason, self.serves])[:16]

    @property
    def text(self) -> str:
        """What happened, as Markdown. The reason holds lines of a container's log: as code, nothing in it can act."""
        lines = [visible(line, _LONGEST_LINE) for line in self.reason.splitlines()[:_MOST_LINES]]
        quoted = "\n".join("    " + line for line in lines)
        told = f"{quoted}\n\nNow in {self.environment}: {self.serves}."
        return told + (f"\n\nThe run: {self.run}" if self.run else "")

    @property
    def body(self) -> str:
        return (
            f"<!-- gitops-ml deployment {self.environment} {self.state} -->\n{self.text}\n\n"
            "What to do, one of these:\n\n"
            f'- go back: `make rollback ENV={self.environment} REASON="..."`, and merge the pull request;\n'
            "- mend it and merge: the new release is tried by itself;\n"
            f"- try the release again: start the workflow `deliver` by hand, with `again: {self.environment}`.\n\n"
            f"This issue is closed by the run that finds {self.environment} healthy again.\n"
        )


class _Label(BaseModel):
    name: str


class _Issue(BaseModel):
    number: Annotated[int, Field(gt=0)]
    state: str
    body: str | None = None
    labels: tuple[_Label, ...] = ()
    pull_request: dict[str, object] | None = None


@dataclass(frozen=True)
class Book:
    """The issues of one repository; every method raises `UserError` when the API refuses."""

    github: GitHub
    repository: str

    def tell(self, trouble: Trouble) -> Outcome:
        """Open the issue of the environment, or bring it up to date; it says what it said already in silence."""
        path = f"{repo_path(self.repository)}/issues"
        ours = next(self._ours(trouble.environment), None)
        if ours is None:
            body = {"title": trouble.title, "body": trouble.body, "labels": [LABEL]}
            self.github.send("POST", path, body)
            return "opened"
        number, state = ours
        if state == trouble.state:
            return "unchanged"
        # The comment first: a run that dies in between tells it twice, and not never.
        self.github.send(
            "POST", f"{path}/{number}/comments", {"body": f"{trouble.title}\n\n{trouble.text}\n"}
        )
        self.github.send("PATCH", f"{path}/{number}", {"title": trouble.title, "body": trouble.body})
        return "updated"

    def close(self, environment: str, why: str) -> Outcome:
        """Close what is open about the environment, saying `why`."""
        path = f"{repo_path(self.repository)}/issues"
        outcome: Outcome = "none"
        for number, _ in list(self._ours(environment)):
            self.github.send("POST", f"{path}/{number}/comments", {"body": f"{why}\n"})
            self.github.send("PATCH", f"{path}/{number}", {"state": "closed"})
            outcome = "closed"
        return outcome

    def _ours(self, environment: str) -> Iterator[tuple[int, str]]:
        """Number and state of the open issues of `environment`, oldest first.

        Ours has the label, which a stranger can't give, and begins with the marker. Pull requests are issues to the
        API, and some servers take no filters.
        """
        found = []
        for item in self.github.pages(f"{repo_path(self.repository)}/issues", state="open", labels=LABEL):
            try:
                issue = _Issue.model_validate(item)
            except ValidationError:
                continue
            marker = _MARKER.match(issue.body or "")
            labelled = any(label.name == LABEL for label in issue.labels)
            is_open = issue.state == "open" and issue.pull_request is None
            if is_open and labelled and marker and marker["environment"] == environment:
                found.append((issue.number, marker["state"]))
        yield from sorted(found)
