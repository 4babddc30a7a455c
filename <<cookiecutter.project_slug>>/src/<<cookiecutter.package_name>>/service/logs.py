"""One JSON line per request on standard output, as Elasticsearch or Loki take it."""

from __future__ import annotations

import logging
import sys
import traceback
from datetime import UTC, datetime
from typing import Any, TextIO

from pydantic_core import to_json


class Log:
    def __init__(self, stream: TextIO | None = None, **always: str) -> None:
        self._stream = stream
        self._always = always

    def write(self, message: str, level: str = "info", **fields: Any) -> None:
        """Append one line; a full disk or a closed pipe must not fail a request."""
        line = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "level": level, "message": message}
        stream = self._stream if self._stream is not None else sys.stdout
        try:
            stream.write(to_json(line | self._always | fields, inf_nan_mode="null").decode() + "\n")
            stream.flush()
        except (OSError, ValueError):
            pass

    def adopt(self) -> None:
        """Take over what libraries log as a warning or worse, such as uvicorn about a request that is not HTTP."""
        logging.getLogger().handlers = [_Lines(self)]

    def failure(self, error: BaseException, **fields: Any) -> None:
        """A fault of the service itself, with its traceback in one field."""
        self.write("unexpected error", "error", error="".join(traceback.format_exception(error)), **fields)


class _Lines(logging.Handler):
    def __init__(self, log: Log) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        fields = {"logger": record.name}
        if record.exc_info and record.exc_info[1] is not None:
            fields["error"] = "".join(traceback.format_exception(record.exc_info[1]))
        self._log.write(record.getMessage(), record.levelname.lower(), **fields)
