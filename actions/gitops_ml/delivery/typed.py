"""The types that all records of delivery share, and the one way in which they become bytes and hashes."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

# Parts of other patterns as well, such as where a record lies.
RELEASE = r"r-[0-9a-f]{64}"
DIGEST = r"sha256:[0-9a-f]{64}"
ENVIRONMENT = r"[a-z][a-z0-9-]{0,39}"

Commit = Annotated[str, Field(pattern=r"^[0-9a-f]{40}([0-9a-f]{24})?$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
ReleaseId = Annotated[str, Field(pattern=f"^{RELEASE}$")]
EnvironmentName = Annotated[str, Field(pattern=f"^{ENVIRONMENT}$")]
CheckName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,39}$")]
# Always by digest: a tag can be moved to an image that nobody proved.
Image = Annotated[
    str, Field(pattern=r"^[a-z0-9][a-z0-9._:-]*(/[a-z0-9][a-z0-9._-]*)+@sha256:[0-9a-f]{64}$", max_length=400)
]
Digest = Annotated[str, Field(pattern=f"^{DIGEST}$")]
RunId = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,99}$")]
# What MLflow takes as the name of a registered model, and no quotation mark.
ModelName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]{0,99}$")]
Person = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._\[\]@-]{0,99}$")]
Text = Annotated[str, Field(max_length=500)]
Count = Annotated[int, Field(ge=0, le=10**9)]
Ordinal = Annotated[int, Field(ge=1, le=10**9)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Moment = AwareDatetime


class Strict(BaseModel):
    """Frozen, without conversions, and with no key that is not named."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Run(Strict):
    """The workflow run that wrote a record; all parts are empty on a laptop."""

    id: str = Field(default="", max_length=40)
    attempt: Count = 0
    url: str = Field(default="", max_length=300)
    # Which workflow file of which branch ran, as in GITHUB_WORKFLOW_REF without owner and repository.
    workflow: str = Field(default="", max_length=300)


def as_release(said: object) -> str | None:
    """`said` by a service, a label or an annotation, when it is the name of a release."""
    return said if isinstance(said, str) and re.fullmatch(RELEASE, said) else None


def as_digest(said: object) -> str | None:
    """`said` by a service, a label or an annotation, when it is the digest of an image."""
    return said if isinstance(said, str) and re.fullmatch(DIGEST, said) else None


def canonical(value: Any) -> bytes:
    """The one JSON text of `value`: keys sorted, no blanks, ASCII only, no NaN."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return text.encode("ascii")


def fingerprint(value: Any) -> str:
    """The sha256 of the canonical JSON of `value`, 64 hexadecimal digits."""
    return hashlib.sha256(canonical(value)).hexdigest()


def to_file(record: BaseModel) -> bytes:
    """`record` as the content of a JSON file for people and machines: sorted keys, indented, one line end."""
    value = record.model_dump(mode="json", by_alias=True)
    return (json.dumps(value, sort_keys=True, indent=2, ensure_ascii=True, allow_nan=False) + "\n").encode(
        "ascii"
    )
