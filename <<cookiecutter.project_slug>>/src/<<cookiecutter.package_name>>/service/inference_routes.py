"""The Open Inference Protocol, version 2, over REST: what model servers and their clients have in common."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from pydantic_core import to_json
from starlette.responses import Response

from ..contract import Contract
from . import limits
from .core import Service
from .errors import Answers, Detail, Refusal, invalid
from .model import Rows
from .schema import InferRequest, Tensor, check_rows, example

DATATYPES = {"number": "FP64", "integer": "INT64", "boolean": "BOOL", "category": "BYTES", "datetime": "BYTES"}
_WHOLE = frozenset({f"{sign}INT{bits}" for sign in ("", "U") for bits in (8, 16, 32, 64)})
_REAL = frozenset({"FP16", "FP32", "FP64"})
TAKEN = {"number": _REAL | _WHOLE, "integer": _REAL | _WHOLE, "boolean": frozenset({"BOOL"})}
_TEXT = frozenset({"BYTES"})


def router(service: Service, requests: dict[str, Any], answers: Answers) -> APIRouter:
    """`requests` and `answers` describe the body and the responses of `infer` on `/docs`."""
    routes = APIRouter(prefix="/v2", tags=["Open Inference Protocol"])
    contract, release = service.model.contract, service.version.release
    missing: Answers = {404: answers[404]}

    def known(name: str, version: str) -> None:
        if name != contract.model_name or version not in ("", release):
            asked = f"{name[:60]!r}" + (f" in version {version[:80]!r}" if version else "")
            raise Refusal(
                404, f"there is no model {asked} here, only {contract.model_name!r} in version {release!r}", "not_found"
            )

    @routes.get("", summary="The server")
    async def server() -> dict[str, Any]:
        return {"name": __name__.partition(".")[0], "version": release, "extensions": []}

    @routes.get("/health/live", summary="Is the process alive")
    async def live() -> dict[str, bool]:
        return {"live": True}

    @routes.get("/health/ready", summary="May requests be sent here", responses={503: answers[503]})
    async def ready() -> dict[str, bool]:
        if service.leaving:
            raise Refusal(503, "shutting down", "leaving", retry_after="1")
        return {"ready": True}

    @routes.get("/models/{name}", summary="Inputs and outputs of the model", responses=missing)
    @routes.get("/models/{name}/versions/{version}", summary="Inputs and outputs of the model", responses=missing)
    async def metadata(name: str, version: str = "") -> dict[str, Any]:
        known(name, version)
        return describe(contract, release)

    @routes.get("/models/{name}/ready", summary="May the model be asked", responses=missing)
    @routes.get("/models/{name}/versions/{version}/ready", summary="May the model be asked", responses=missing)
    async def model_ready(name: str, version: str = "") -> dict[str, Any]:
        known(name, version)
        return {"name": contract.model_name, "ready": True}

    described: dict[str, Any] = {
        "summary": "Predict for columns",
        "openapi_extra": requests,
        "responses": answers,
        "response_class": Response,
    }

    @routes.post("/models/{name}/infer", **described)
    @routes.post("/models/{name}/versions/{version}/infer", **described)
    async def infer(request: Request, name: str, version: str = "") -> Response:
        known(name, version)
        return await _infer(service, request)

    return routes


async def _infer(service: Service, request: Request) -> Response:
    """Answer one request of the protocol; raises `Refusal` for what can't be answered."""
    contract, release = service.model.contract, service.version.release
    with service.open_requests.one():
        if "inference-header-content-length" in request.headers:
            message = "tensors in binary form are not taken; send them as JSON (tritonclient: binary_data=False)"
            raise Refusal(415, message, "binary", connection="close")
        body = await limits.body_of(request, service.settings)
        asked = service.schema.inference(body)
        rows, count = rows_of(asked, service)
        wanted = _wanted(asked, contract)
        request.state.rows = count
        answer = await service.answer(rows, count)
        service.record(rows, answer, request.state.request_id)
    columns = answer.columns(contract)
    kinds = {tensor["name"]: tensor["datatype"] for tensor in describe(contract, release)["outputs"]}
    outputs = [
        {"name": output, "datatype": kinds[output], "shape": [count], "data": columns[output].tolist()}
        for output in wanted
    ]
    named = {"model_name": contract.model_name, "model_version": release, "outputs": outputs}
    return Response(to_json(named if asked.id is None else named | {"id": asked.id}), media_type="application/json")


def describe(contract: Contract, release: str) -> dict[str, Any]:
    """The protocol's metadata of the model; -1 stands for any number of rows."""
    prediction = "FP64" if contract.task == "regression" else "BYTES"
    return {
        "name": contract.model_name,
        "versions": [release],
        "platform": "scikit-learn",
        "inputs": [
            {"name": feature.name, "datatype": DATATYPES[feature.type], "shape": [-1]} for feature in contract.features
        ],
        "outputs": [
            {"name": "y_pred", "datatype": prediction, "shape": [-1]},
            *({"name": score, "datatype": "FP64", "shape": [-1]} for score in contract.scored),
        ],
    }


def infer_example(contract: Contract) -> dict[str, Any]:
    inputs = [
        {"name": feature.name, "datatype": DATATYPES[feature.type], "shape": [1], "data": [example(feature)]}
        for feature in contract.features
    ]
    return {"inputs": inputs}


def rows_of(asked: InferRequest, service: Service) -> tuple[Rows, int]:
    """The request's tensors as columns of the contract, and their common length.

    Raises:
        Refusal: 413 for too many rows, 422 for a tensor that is missing, unknown, or does not fit.
    """
    contract = service.model.contract
    tensors = {tensor.name: tensor for tensor in asked.inputs}
    if len(tensors) != len(asked.inputs):
        raise invalid([Detail(None, None, "given", "each input once")])
    count = asked.inputs[0].shape[0]
    check_rows(count, service.settings.max_rows)
    if count == 0:
        raise invalid([Detail(None, None, "[0]", "a shape of at least one row")])
    rows: Rows = {}
    for feature in contract.features:
        tensor = tensors.get(feature.name)
        datatype = DATATYPES[feature.type]
        if tensor is None:
            raise invalid([Detail(None, feature.name, None, f"an input of datatype {datatype}")])
        if tensor.datatype not in TAKEN.get(feature.type, _TEXT):
            raise invalid([Detail(None, feature.name, repr(tensor.datatype[:20]), f"the datatype {datatype}")])
        rows[feature.name] = service.schema.column(feature.name, _flat(tensor, count))
    return rows, count


def _flat(tensor: Tensor, count: int) -> list[Any]:
    """The values of a tensor of shape [n] or [n, 1], given flat or as nested lists."""
    expected = [count] if len(tensor.shape) == 1 else [count, 1]
    if tensor.shape != expected:
        raise invalid(
            [Detail(None, tensor.name, f"of shape {tensor.shape}", f"the shape {expected}, as of the first input")]
        )
    values = tensor.data
    if len(tensor.shape) == 2 and values and all(isinstance(value, list) and len(value) == 1 for value in values):
        values = [value[0] for value in values]
    if len(values) != count:
        raise invalid([Detail(None, tensor.name, f"of {len(values)} values", f"{count} values, as the shape says")])
    return values


def _wanted(asked: InferRequest, contract: Contract) -> list[str]:
    names = [tensor["name"] for tensor in describe(contract, "")["outputs"]]
    if not asked.outputs:
        return names
    for output in asked.outputs:
        if output.name not in names:
            raise invalid([Detail(None, None, repr(output.name[:60]), f"outputs among {', '.join(names)}")])
    return [output.name for output in asked.outputs]
