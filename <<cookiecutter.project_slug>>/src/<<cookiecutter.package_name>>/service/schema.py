"""Requests and answers of this model: derived from the contract, checked by pydantic, shown on `/docs`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from types import GenericAlias
from typing import Annotated, Any, cast

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, WithJsonSchema
from pydantic_core import ErrorDetails
from typing_extensions import TypedDict

from ..contract import Contract, Feature
from .errors import Detail, Refusal, invalid, shown
from .model import Rows

# Up to here a float holds every whole number exactly; 2^53 itself is also what 2^53 + 1 becomes.
LARGEST = 2.0**53 - 1
MOST_SHOWN = 8


def expected(feature: Feature) -> str:
    """What a value of this column looks like, in words."""
    if feature.type == "category":
        known = feature.categories or []
        words = "a text, in training one of " + ", ".join(map(repr, known[:MOST_SHOWN]))
        words += f" and {len(known) - MOST_SHOWN} more" if len(known) > MOST_SHOWN else ""
    elif feature.type == "boolean":
        words = "true or false"
    elif feature.type == "datetime":
        words = "a date or time such as '2025-12-31' or '2025-12-31T23:59:00'"
    else:
        words = "a whole number" if feature.type == "integer" else "a number"
        words += f", in training {feature.minimum:g} to {feature.maximum:g}" if feature.minimum is not None else ""
    return words + (", or null" if feature.nullable else "")


def example(feature: Feature) -> Any:
    """A value in the middle of what training saw; made up, so that no training row is published."""
    if feature.type == "category":
        return (feature.categories or ["text"])[0]
    if feature.type == "boolean":
        return True
    if feature.type == "datetime":
        return "2025-12-31"
    middle = ((feature.minimum or 0.0) + (feature.maximum or 0.0)) / 2
    return round(middle) if feature.type == "integer" else float(f"{middle:.4g}")


def _whole(value: float) -> float:
    if not value.is_integer() or abs(value) > LARGEST:
        raise ValueError("not a whole number")
    return value


def _moment(text: str) -> str:
    moment = datetime.fromisoformat(text)  # ValueError is the answer
    # What pandas can hold in microseconds, also after the offset was taken away.
    if not 1 < moment.year < 9999:
        raise ValueError("out of range")
    return text


def _annotation(feature: Feature) -> Any:
    shape: dict[str, Any] = {"title": feature.name, "description": expected(feature), "examples": [example(feature)]}
    kinds = {"number": "number", "integer": "integer", "boolean": "boolean", "category": "string", "datetime": "string"}
    kind = kinds[feature.type]
    shape["type"] = [kind, "null"] if feature.nullable else kind
    if feature.type == "integer":
        shape |= {"minimum": -LARGEST, "maximum": LARGEST}
    if feature.type == "category":
        shape["x-training-categories"] = feature.categories or []
    if feature.minimum is not None:
        shape["x-training-range"] = [feature.minimum, feature.maximum]
    typed: Any
    if feature.type == "number":
        typed = Annotated[float, Field(strict=True, allow_inf_nan=False)]
    elif feature.type == "integer":
        typed = Annotated[float, Field(strict=True, allow_inf_nan=False), AfterValidator(_whole)]
    elif feature.type == "boolean":
        typed = Annotated[bool, Field(strict=True)]
    elif feature.type == "datetime":
        shape |= {
            "anyOf": [{"format": "date"}, {"format": "date-time"}, *([{"type": "null"}] if feature.nullable else [])]
        }
        typed = Annotated[str, Field(strict=True), AfterValidator(_moment)]
    else:
        typed = Annotated[str, Field(strict=True)]
    return Annotated[typed | None if feature.nullable else typed, WithJsonSchema(shape)]


class Tensor(BaseModel):
    """One column in the Open Inference Protocol; numbers are FP64 or any other number type, text is BYTES."""

    model_config = ConfigDict(extra="ignore")

    name: str
    shape: Annotated[list[Annotated[int, Field(ge=0, le=2**31)]], Field(min_length=1, max_length=2)]
    datatype: str
    data: list[Any]
    parameters: dict[str, Any] | None = None


class RequestedOutput(BaseModel):
    model_config = ConfigDict(extra="ignore")

    name: str
    parameters: dict[str, Any] | None = None


class InferRequest(BaseModel):
    model_config = ConfigDict(extra="ignore")

    id: Annotated[str, Field(max_length=128)] | None = None
    inputs: Annotated[list[Tensor], Field(min_length=1)]
    outputs: list[RequestedOutput] | None = None
    parameters: dict[str, Any] | None = None


@dataclass(frozen=True)
class Schema:
    """The checks of one contract."""

    contract: Contract
    predict: TypeAdapter[Any]
    columns: dict[str, TypeAdapter[list[Any]]]
    infer: TypeAdapter[InferRequest]

    def records(self, body: bytes, max_rows: int) -> tuple[Rows, int]:
        """The rows of a `/predict` body, and their number.

        Raises:
            Refusal: 400 for what is not JSON, 413 for too many rows, 422 for a value that does not fit.
        """
        try:
            found = self.predict.validate_json(body)
        except ValidationError as error:
            raise self._refusal(error.errors(include_url=False)) from None
        records = found["records"]
        check_rows(len(records), max_rows)
        return {feature.name: [record[feature.name] for record in records] for feature in self.contract.features}, len(
            records
        )

    def inference(self, body: bytes) -> InferRequest:
        """The request of an `/infer` body; its tensors are not checked yet."""
        try:
            return self.infer.validate_json(body)
        except ValidationError as error:
            raise self._refusal(error.errors(include_url=False)) from None

    def column(self, name: str, values: list[Any]) -> Sequence[Any]:
        """The values of one column, checked one by one."""
        try:
            return self.columns[name].validate_python(values)
        except ValidationError as error:
            raise self._refusal(
                [{**found, "loc": (*found["loc"], name)} for found in error.errors(include_url=False)]
            ) from None

    def _refusal(self, found: list[ErrorDetails]) -> Refusal:
        if found[0]["type"] == "json_invalid":
            return Refusal(400, f"the body is not JSON: {found[0]['ctx']['error']}", "not_json")
        features = {feature.name: feature for feature in self.contract.features}
        details = []
        for problem in found:
            row = next((part for part in problem["loc"] if isinstance(part, int)), None)
            last = problem["loc"][-1] if problem["loc"] else None
            feature = features.get(last) if isinstance(last, str) else None
            value = None if problem["type"] == "missing" else shown(problem["input"])
            if feature is not None:
                details.append(Detail(row, feature.name, value, expected(feature)))
            else:
                place = ".".join(map(str, problem["loc"]))
                message = problem["msg"].lower()
                details.append(Detail(row, None, value, f"{place}: {message}" if place else message))
        return invalid(details)


def check_rows(count: int, max_rows: int) -> None:
    if count > max_rows:
        message = f"{count} rows in one request; at most {max_rows} are taken, more by the batch command"
        raise Refusal(413, message, "too_many_rows")


def _list_of(kind: Any) -> Any:
    """`list[kind]` for a type that is known only when the contract is."""
    return GenericAlias(list, (kind,))


def of(contract: Contract) -> Schema:
    types = {feature.name: _annotation(feature) for feature in contract.features}
    record = cast(Any, TypedDict)("Record", types)
    record.__doc__ = "One row: every column of the model; null stands for a missing value where that is allowed."
    request = cast(Any, TypedDict)("PredictRequest", {"records": Annotated[_list_of(record), Field(min_length=1)]})
    return Schema(
        contract=contract,
        predict=TypeAdapter(request),
        columns={name: TypeAdapter(_list_of(kind)) for name, kind in types.items()},
        infer=TypeAdapter(InferRequest),
    )


def predict_example(contract: Contract) -> dict[str, Any]:
    return {"records": [{feature.name: example(feature) for feature in contract.features}]}


def answer_schema(contract: Contract) -> dict[str, Any]:
    """JSON Schema of what `/predict` answers."""
    number = {"type": "number"}
    prediction: dict[str, Any] = {"prediction": number}
    if contract.task == "classification":
        shares = {label: number | {"minimum": 0, "maximum": 1} for label in contract.classes}
        prediction = {
            "prediction": {"type": "string", "enum": contract.classes},
            "probabilities": {"type": "object", "required": contract.classes, "properties": shares},
        }
    notes = {"type": "array", "items": {"type": "string"}, "description": "Values unlike those of training."}
    contributions = {
        "type": "object",
        "description": "Only with explain=true: the answer as a sum of a baseline and one number per column.",
        "properties": {
            "method": {"type": "string"},
            "unit": {"type": "string"},
            "output": {"type": "string"},
            "baseline": number,
            "value": number,
            "contributions": {"type": "object", "properties": {feature.name: number for feature in contract.features}},
        },
    }
    row = {
        "type": "object",
        "required": list(prediction),
        "properties": prediction | {"notes": notes, "explanation": contributions},
    }
    top = {
        "model_name": {"type": "string"},
        "release": {"type": "string"},
        "predictions": {"type": "array", "items": row},
    }
    return {"type": "object", "required": list(top), "properties": top}
