"""What an operator sets, all from the environment; a name or value that is not known stops the start."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from ..errors import UserError

PREFIX = "SERVING_"


def _split(value: object) -> object:
    return [name.strip() for name in value.split(",") if name.strip()] if isinstance(value, str) else value


Names = Annotated[list[str], BeforeValidator(_split)]  # in a variable, separated by commas


class Settings(BaseModel):
    """Each field is the variable `SERVING_<FIELD>`; sizes in bytes, times in seconds."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    model_dir: Path = Path("model")
    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    # One request may not be larger or longer than this.
    max_body_bytes: int = Field(default=2**20, ge=1024)
    max_rows: int = Field(default=1000, ge=1)
    body_timeout_seconds: float = Field(default=10, gt=0)
    # Requests being predicted, and requests of which the body may still be on its way; beyond that, 503.
    max_in_flight: int = Field(default=64, ge=1)
    max_open_requests: int = Field(default=256, ge=1)
    threads: int = Field(default=1, ge=1, le=64)
    # After SIGTERM: time in which load balancers learn that this one is leaving, and the longest wait for answers.
    drain_seconds: float = Field(default=1, ge=0)
    shutdown_seconds: int = Field(default=30, ge=1)
    # The prediction log is off until it has a file. Columns: names, or * for all.
    prediction_log: Path | None = None
    prediction_log_columns: Names = []
    prediction_log_hashed: Names = []
    prediction_log_key: str | None = Field(default=None, min_length=16, repr=False)
    prediction_log_max_bytes: int = Field(default=50 * 2**20, ge=1024)
    prediction_log_files: int = Field(default=5, ge=1, le=1000)

    @model_validator(mode="after")
    def hashing_needs_a_key(self) -> Settings:
        if self.prediction_log_hashed and self.prediction_log_key is None:
            raise ValueError(
                f"{PREFIX}PREDICTION_LOG_HASHED needs {PREFIX}PREDICTION_LOG_KEY: a hash without a key can be guessed"
            )
        return self


def load(environ: Mapping[str, str], **given: object) -> Settings:
    """Read the settings; `given` (from the command line) comes before the environment. Empty variables count as unset.

    Raises:
        UserError: a variable is not known or its value does not fit.
    """
    found: dict[str, object] = {}
    for name, value in environ.items():
        if not name.startswith(PREFIX) or not value:
            continue
        field = name.removeprefix(PREFIX).lower()
        if field not in Settings.model_fields:
            near = difflib.get_close_matches(field, Settings.model_fields, 1)
            advice = f"did you mean {PREFIX}{near[0].upper()}?" if near else "remove it"
            raise UserError(f"environment: {name} is not a setting of the service; {advice}")
        found[field] = value
    found |= {field: value for field, value in given.items() if value is not None}
    try:
        return Settings.model_validate(found)
    except ValidationError as error:
        first = error.errors()[0]
        place = "".join(f"{PREFIX}{str(part).upper()}: " for part in first["loc"][:1])
        raise UserError(f"environment: {place}{first['msg'].removeprefix('Value error, ')}") from None
