"""`reports/image/`: what building and trying an image left behind, as the comparison needs it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gitops_ml.errors import UserError
from gitops_ml.inputs import load_json

MAX_BYTES = 10**15


@dataclass(frozen=True)
class ImageRecord:
    """Size in bytes, unpacked and with its base; `problem` is the first check of the smoke test that failed."""

    size_bytes: int
    problem: str = ""


def read_image(folder: Path) -> ImageRecord:
    """What `folder` says of the image; raises `UserError` when it was not built, or was not tried."""
    if not folder.is_dir():
        raise UserError("There is no image of this model.", "The job `image` of this run says why.")
    built, tried = _object(folder / "image.json"), _object(folder / "smoke.json")
    size = built.get("size_bytes")
    if isinstance(size, bool) or not isinstance(size, int) or not 0 <= size <= MAX_BYTES:
        raise UserError(f"{folder / 'image.json'}, key 'size_bytes': must be a number of bytes.")
    if tried.get("ok") is True:
        return ImageRecord(size)
    return ImageRecord(size, f"The image failed its smoke test: {_first_failed(tried.get('checks'))}")


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
