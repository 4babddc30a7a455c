"""Secrets that nothing may let out: made up for one scenario, and looked for in everything that it left behind."""

from __future__ import annotations

import base64
import io
import json
import secrets
import subprocess
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.fakes.forge import Forge

_SKIPPED_NAMES = {"authorization"}


@dataclass(frozen=True)
class Canary:
    """One secret by name, such as GITHUB_TOKEN."""

    name: str
    value: str = field(default_factory=lambda: f"canary-{secrets.token_hex(20)}")

    def forms(self) -> set[bytes]:
        """What the secret looks like as it is, backwards, in hexadecimal, and within any text in base64."""
        raw = self.value.encode()
        found = {raw, raw[::-1], raw.hex().encode()}
        for before in range(3):
            # The digits that hold bits of the neighbours are cut off.
            text = base64.b64encode(b"\0" * before + raw)
            whole = text[(before * 4 + 2) // 3 : (before + len(raw)) * 8 // 6]
            found |= {whole, whole.translate(bytes.maketrans(b"+/", b"-_"))}
        return found


def leaks(canaries: Iterable[Canary], places: Mapping[str, Iterable[tuple[str, bytes]]]) -> list[str]:
    """Where one of `canaries` stands, as `secret: place, name`; `places` holds named contents."""
    forms = {form: canary.name for canary in canaries for form in canary.forms()}
    found = set()
    for place, contents in places.items():
        looked = 0
        for name, content in contents:
            looked += 1
            found |= {f"{secret}: {place}, {name}" for form, secret in forms.items() if form in content}
        assert looked, f"nothing was looked at: {place}"
    return sorted(found)


def files(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Every file below `folder`, hidden ones too; one that is gone meanwhile left nothing."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            yield str(path.relative_to(folder)), path.read_bytes()


def objects(repository: Path) -> Iterator[tuple[str, bytes]]:
    """Everything that git keeps in `repository`, also what no branch names any more."""
    words = ["git", "-C", str(repository), "cat-file", "--batch-all-objects", "--batch"]
    yield "objects", subprocess.run(words, capture_output=True, check=True).stdout


def artifacts(forge: Forge) -> Iterator[tuple[str, bytes]]:
    """The files in every artifact that the forge holds."""
    for each in forge.state.artifacts:
        with zipfile.ZipFile(io.BytesIO(each.content)) as archive:
            for name in archive.namelist():
                yield f"{each.run}/{each.name}/{name}", archive.read(name)


def requests(forge: Forge) -> Iterator[tuple[str, bytes]]:
    """Every request, but for the one header that a secret belongs into, and there on the way to the API only."""
    for each in forge.seen:
        hidden = _SKIPPED_NAMES if each.server == "api" else set()
        headers = {name: value for name, value in each.headers.items() if name not in hidden}
        said = json.dumps([each.path, each.query, headers, each.body])
        yield f"{each.method} {each.server} {each.path}", said.encode()


def texts(forge: Forge) -> Iterator[tuple[str, bytes]]:
    """What people read on the forge: comments, issues, pull requests."""
    for comment in forge.state.comments:
        yield f"comment {comment.id}", comment.body.encode()
    for pull in forge.state.pulls:
        yield f"pull request {pull.number}", f"{pull.title}\n{pull.body}".encode()
    for issue in forge.state.issues:
        yield f"issue {issue.number}", f"{issue.title}\n{issue.body}".encode()
