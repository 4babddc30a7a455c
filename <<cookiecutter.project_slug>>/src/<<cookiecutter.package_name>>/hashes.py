"""Identity: what a hash of a file, of parameters or of the evaluation rows covers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any


def of_bytes(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def of_file(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def of_value(value: Any) -> str:
    """SHA-256 of the canonical JSON (sorted keys, no spaces) of `value`."""
    return of_bytes(json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode())


def of_evaluation(ids: Iterable[str], truths: Iterable[object]) -> str:
    """Equal for equal sets of (id, truth), in whatever order the rows come."""
    pairs = sorted((identity, str(truth)) for identity, truth in zip(ids, truths, strict=True))
    return of_value(pairs)


def share(seed: int, identity: str) -> int:
    """A number that depends on seed and id alone, so that a row keeps its place when others come or go."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{identity}".encode()).digest()[:8], "big")
