"""The build key: from equal keys the same release is made, so nothing is built or trained twice."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from gitops_ml.changes import HARMLESS, compile_pattern
from gitops_ml.delivery.git import Git
from gitops_ml.delivery.typed import fingerprint

# Everything else goes in: a list of what does would be forgotten when a folder is added, and an old release re-used.
NOT_BUILT = (*HARMLESS, "environments/**", ".github/**")
LOOK_BACK = 200


def build_key(entries: Mapping[str, str], not_built: Sequence[str] = NOT_BUILT) -> str:
    """The hash of a commit's files, path to `mode id`, that go into a build: 64 hexadecimal digits.

    `not_built` are patterns as in `changes.compile_pattern`. Paths are compared as git has them, byte for byte.
    """
    pattern = re.compile("|".join(f"(?:{compile_pattern(one).pattern})" for one in not_built), re.DOTALL)
    kept = [[path, entry] for path, entry in sorted(entries.items()) if not pattern.fullmatch(path)]
    return fingerprint({"schema": 1, "files": kept})


def keys_of(git: Git, commits: Iterable[str]) -> Iterator[str]:
    """The build keys of `commits`, computed one by one as they are asked for."""
    for commit in commits:
        yield build_key(git.entries(commit))
