"""`reports/image/`: what building and trying an image left behind, as the comparison needs it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gitops_ml.errors import UserError
from gitops_ml.inputs import load_json

MAX_BYTES = 10**15
RECORD = "image.json"
SIGNATURE = "model.sig"


@dataclass(frozen=True)
class ImageRecord:
    """Size in bytes, unpacked and with its base; `problem` is the first check of the smoke test that failed."""

    size_bytes: int
    problem: str = ""


def read_image(folder: Path) -> ImageRecord:
    """What `folder` says of the image; raises `UserError` when it was not built, or was not tried."""
    if not folder.is_dir():
        raise UserError("There is no image of this model.", "The job `image` of this run says why.")
    built, tried = _object(folder / RECORD), _object(folder / "smoke.json")
    size = built.get("size_bytes")
    if isinstance(size, bool) or not isinstance(size, int) or not 0 <= size <= MAX_BYTES:
        raise UserError(f"{folder / RECORD}, key 'size_bytes': must be a number of bytes.")
    if tried.get("ok") is True:
        return ImageRecord(size)
    return ImageRecord(size, f"The image failed its smoke test: {_first_failed(tried.get('checks'))}")


def check_model(folder: Path, model_hash: str) -> None:
    """Raises `UserError` when the image that was built last holds another model than the one with this hash."""
    path = folder / RECORD
    if path.exists() and _object(path).get("model_hash") != model_hash:
        raise UserError(
            f"{path}, key 'model_hash': the image was built from another model.", "Build it again."
        )


def note_signature(folder: Path, by: Mapping[str, str]) -> None:
    """Write into the record of the image, if there is one, who signed its model, or why nobody did.

    A signature that is there when nobody signed is an older one, and is removed.
    """
    path, signature = folder / RECORD, folder / SIGNATURE
    said = dict(by)
    if by["by"] == "none":
        signature.unlink(missing_ok=True)
    else:
        said |= {"file": SIGNATURE, "sha256": hashlib.sha256(signature.read_bytes()).hexdigest()}
    if path.exists():
        content = json.dumps(_object(path) | {"signature": said}, indent=2)
        path.write_text(content + "\n", encoding="utf-8")


def _first_failed(checks: Any) -> str:
    for item in checks if isinstance(checks, list) else ():
        if isinstance(item, dict) and item.get("ok") is not True:
            return f"{item.get('name')}: {item.get('detail')}"
    return "it does not say that it passed"


def _object(path: Path) -> dict[str, Any]:
    value = load_json(path)
    if not isinstance(value, dict):
        raise UserError(f"{path}: must be an object.")
    return value
