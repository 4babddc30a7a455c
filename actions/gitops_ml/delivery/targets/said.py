"""What a running service says it is."""

from __future__ import annotations

import json
import re

from gitops_ml.delivery.targets.base import Request, Service

_RELEASE = re.compile(r"r-[0-9a-f]{64}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def said_version(service: Service) -> tuple[str | None, str | None]:
    """Release and image digest as `/version` of `service` names them; None for what is missing or no such name."""
    reply = service.ask(Request("/version"))
    try:
        value = json.loads(reply.body) if reply.status == 200 else None
    except (ValueError, RecursionError):
        value = None
    said = value if isinstance(value, dict) else {}
    release, digest = str(said.get("release")), str(said.get("image_digest"))
    return (
        release if _RELEASE.fullmatch(release) else None,
        digest if _DIGEST.fullmatch(digest) else None,
    )
