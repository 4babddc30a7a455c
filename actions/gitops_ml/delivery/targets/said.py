"""What a running service says it is."""

from __future__ import annotations

import json

from gitops_ml.delivery.targets.base import Request, Service
from gitops_ml.delivery.typed import as_digest, as_release


def said_version(service: Service) -> tuple[str | None, str | None]:
    """Release and image digest as `/version` of `service` names them; None for what is missing or no such name."""
    reply = service.ask(Request("/version"))
    try:
        value = json.loads(reply.body) if reply.status == 200 else None
    except (ValueError, RecursionError):
        value = None
    said = value if isinstance(value, dict) else {}
    return as_release(said.get("release")), as_digest(said.get("image_digest"))
