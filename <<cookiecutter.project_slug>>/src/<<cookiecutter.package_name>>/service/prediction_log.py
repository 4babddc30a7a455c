"""What was asked and answered, for monitoring: JSON lines, append-only, rotating; off until a file is named."""

from __future__ import annotations

import hashlib
import hmac
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic_core import to_json

from ..contract import Contract
from ..errors import UserError
from .model import Answer, Rows
from .settings import Settings


class PredictionLog:
    """Writes chosen columns; hashed ones as keyed SHA-256, so that equal values stay equal but cannot be guessed."""

    def __init__(
        self, path: Path, columns: list[str], hashed: set[str], key: bytes, most_bytes: int, most_files: int
    ) -> None:
        self._path = path
        self._columns = columns
        self._hashed = hashed
        self._key = key
        self._most_bytes = most_bytes
        self._most_files = most_files

    def write(self, rows: Rows, answer: Answer, contract: Contract, request_id: str, release: str) -> None:
        """Append one line per row.

        Raises:
            OSError: the disk is full or the file cannot be written; the caller counts it and answers all the same.
        """
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        said = answer.columns(contract)
        lines = []
        for row in range(len(answer.values)):
            features = {name: self._value(name, rows[name][row]) for name in self._columns}
            predicted = {name: values[row] if name == "y_pred" else float(values[row]) for name, values in said.items()}
            line = {"time": now, "request_id": request_id, "row": row, "release": release, "features": features}
            lines.append(to_json(line | {"prediction": predicted}, fallback=float))
        data = b"".join(line + b"\n" for line in lines)
        if self._path.exists() and self._path.stat().st_size + len(data) > self._most_bytes:
            self._rotate()
        # One write of an append-only file: lines of two processes do not mix.
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)
        try:
            os.write(descriptor, data)
        finally:
            os.close(descriptor)

    def _value(self, name: str, value: Any) -> Any:
        if name not in self._hashed or value is None:
            return value
        return hmac.new(self._key, to_json([name, value]), hashlib.sha256).hexdigest()

    def _rotate(self) -> None:
        """log -> log.1 -> log.2 ...; the oldest is deleted."""
        for number in range(self._most_files - 1, 0, -1):
            older = self._numbered(number)
            if older.exists():
                older.replace(self._numbered(number + 1))
        self._path.replace(self._numbered(1))
        self._numbered(self._most_files).unlink(missing_ok=True)

    def _numbered(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")


def of(settings: Settings, contract: Contract) -> PredictionLog | None:
    """The log that the settings ask for.

    Raises:
        UserError: a column is not one of the model's, or the folder cannot be written.
    """
    path = settings.prediction_log
    if path is None:
        return None
    known = [feature.name for feature in contract.features]
    columns = known if settings.prediction_log_columns == ["*"] else settings.prediction_log_columns
    for name in [*columns, *settings.prediction_log_hashed]:
        if name not in known:
            raise UserError(
                f"environment: SERVING_PREDICTION_LOG_COLUMNS: {contract.model_name} has no column {name!r}"
            )
    chosen = [name for name in known if name in {*columns, *settings.prediction_log_hashed}]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    except OSError as error:
        raise UserError(f"environment: SERVING_PREDICTION_LOG: {path} cannot be written ({error.strerror})") from None
    key = (settings.prediction_log_key or "").encode()
    hashed = set(settings.prediction_log_hashed)
    return PredictionLog(path, chosen, hashed, key, settings.prediction_log_max_bytes, settings.prediction_log_files)
