"""What a pull request changes of the workflows and actions that judge it, as the API says: its own run could lie."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gitops_ml.errors import UserError
from gitops_ml.github import GitHub, repo_path

JUDGES = (".github/workflows/", ".github/actions/")
# https://docs.github.com/rest/pulls/pulls#list-pull-requests-files: GitHub names no more files than these.
_LIST_LIMIT = 3000


def judges_of_its_own(github: GitHub, repository: str, pull_request: int) -> tuple[str, ...] | None:
    """Paths of workflows and actions that the pull request changes, moves or removes; None when that is not known."""
    seen, found = 0, set[str]()
    try:
        for item in github.pages(f"{repo_path(repository)}/pulls/{pull_request}/files"):
            seen += 1
            found |= {name for name in _names(item) if name.startswith(JUDGES)}
    except UserError:
        return None
    # Whoever adds enough files that sort before these would hide them.
    return None if seen >= _LIST_LIMIT and not found else tuple(sorted(found))


def _names(item: Any) -> set[str]:
    """Both names of a file that was moved."""
    if not isinstance(item, Mapping):
        return set()
    return {str(item[key]) for key in ("filename", "previous_filename") if item.get(key)}
