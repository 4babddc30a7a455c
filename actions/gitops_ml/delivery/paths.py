"""Where each record lies on `deploy-state`."""

from __future__ import annotations

import re

from gitops_ml.delivery.typed import ENVIRONMENT, RELEASE

_ORDER = r"[0-9]{1,9}-[0-9]{1,9}"
# Group 1 is the noun; anything else on the branch is somebody's mistake and is never written by this code.
RECORD = re.compile(
    rf"(releases)/{RELEASE}\.json"
    rf"|(evidence)/{ENVIRONMENT}/{RELEASE}/{_ORDER}\.json"
    rf"|(deployments)/{ENVIRONMENT}/{_ORDER}\.(?:intent|outcome)\.json"
    rf"|(observed)/{ENVIRONMENT}/[0-9]{{1,9}}\.json"
)


def release_path(release: str) -> str:
    return f"releases/{release}.json"


def evidence_folder(environment: str, release: str) -> str:
    return f"evidence/{environment}/{release}/"


def evidence_path(environment: str, release: str, generation: int, attempt: int) -> str:
    return f"{evidence_folder(environment, release)}{generation}-{attempt}.json"


def intent_path(environment: str, generation: int, attempt: int) -> str:
    return f"deployments/{environment}/{generation}-{attempt}.intent.json"


def outcome_path(environment: str, generation: int, attempt: int) -> str:
    return f"deployments/{environment}/{generation}-{attempt}.outcome.json"


def observation_path(environment: str, number: int) -> str:
    return f"observed/{environment}/{number}.json"


def noun(path: str) -> str | None:
    """What kind of record `path` holds, or None when it is no record."""
    match = RECORD.fullmatch(path)
    return None if match is None else next(group for group in match.groups() if group)


def order_of(path: str) -> tuple[int, int]:
    """Generation and attempt from the name of an evidence or deployment file; (0, 0) when it has none."""
    match = re.search(r"/([0-9]+)-([0-9]+)\.[a-z.]+$", path)
    return (int(match[1]), int(match[2])) if match else (0, 0)
