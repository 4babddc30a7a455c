"""The HTTP application: routes, documentation of the real columns, and answers to refusals."""

from __future__ import annotations

from dataclasses import asdict
from functools import lru_cache
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import HTMLResponse, RedirectResponse, Response

from . import errors, inference_routes, page, predict_routes, schema
from .core import Service
from .errors import Answers, Detail, Refusal
from .frame import Frame

REFERENCE = "#/components/schemas/"
REFUSALS = {
    400: "The body is not JSON.",
    404: "There is no such model.",
    408: "The body did not arrive in time.",
    413: "More bytes or rows than one request may have.",
    415: "The body is not declared as plain JSON.",
    422: "A value does not fit; names row, column, value and what was expected.",
    501: "There is nothing to compare an explanation with.",
    503: "Too many requests at once, or shutting down; try again after `Retry-After` seconds.",
}


def of(service: Service) -> Frame:
    """The application of one service."""
    contract = service.model.contract
    app = FastAPI(
        title=contract.model_name,
        version=service.version.release,
        description=f"Predicts `{contract.target}` ({contract.task}). Model {service.model.hash[:12]},"
        f" data {contract.data_hash[:12]}. Many rows are faster with the batch command than with requests.",
        docs_url=None,  # FastAPI's own page comes from another host; see page.py
        redoc_url=None,
    )
    refusals: Answers = {status: _refusal(text) for status, text in REFUSALS.items()}
    predicted = {"description": "The predictions", "content": _json({"$ref": f"{REFERENCE}Predictions"})}
    asked = _body("PredictRequest", schema.predict_example(contract))
    common = {status: answer for status, answer in refusals.items() if status not in (404, 501)}
    app.include_router(predict_routes.router(service, asked, {200: predicted, 501: refusals[501], **common}))
    inferred = {"description": "The protocol's answer", "content": _json({"type": "object"})}
    asked = _body("InferRequest", inference_routes.infer_example(contract))
    app.include_router(inference_routes.router(service, asked, {200: inferred, 404: refusals[404], **common}))
    _add_facts(app, service)
    _add_refusals(app)
    app.openapi = lambda: _described(app, service)  # type: ignore[method-assign]
    return Frame(app, service)


def _add_facts(app: FastAPI, service: Service) -> None:
    @app.get("/version", tags=["facts"], summary="Which release, model and data this is")
    async def version() -> dict[str, str]:
        return asdict(service.version)

    @app.get("/metrics", tags=["facts"], summary="For Prometheus", response_class=Response)
    async def metrics() -> Response:
        return Response(service.metrics.text(), media_type=CONTENT_TYPE_LATEST)

    @lru_cache(1)
    def form() -> page.Page:
        model = service.model
        return page.of(model.contract, service.version, _described(app, service), not model.reference.empty)

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return HTMLResponse(form().html, headers=form().headers)

    @app.get("/", include_in_schema=False)
    async def root() -> RedirectResponse:
        return RedirectResponse("docs")


def _add_refusals(app: FastAPI) -> None:
    def answered(request: Request, refusal: Refusal) -> Response:
        request.state.refused = refusal.reason
        return errors.response(refusal, request.state.request_id)

    async def refused(request: Request, error: Exception) -> Response:
        if not isinstance(error, Refusal):
            raise error
        return answered(request, error)

    async def not_routed(request: Request, error: Exception) -> Response:
        if not isinstance(error, HTTPException):
            raise error
        refusal = Refusal(error.status_code, str(error.detail).lower(), "not_routed")
        refusal.headers.update(error.headers or {})
        return answered(request, refusal)

    async def bad_query(request: Request, error: Exception) -> Response:
        if not isinstance(error, RequestValidationError):
            raise error
        first = error.errors()[0]
        place, value = " ".join(map(str, first["loc"])), errors.shown(first.get("input"))
        detail = Detail(None, None, value, f"{place}: {first['msg'].lower()}")
        return answered(request, Refusal(422, f"{place} is {value}: {first['msg'].lower()}", "invalid", [detail]))

    async def gone(request: Request, error: Exception) -> Response:
        return Response(status_code=499)  # as nginx counts it; nobody is there to read an answer

    async def failed(request: Request, error: Exception) -> Response:
        message = "the service failed; its log has the reason under this request id"
        return answered(request, Refusal(500, message, "fault"))

    app.add_exception_handler(Exception, failed)
    app.add_exception_handler(ClientDisconnect, gone)
    app.add_exception_handler(Refusal, refused)
    app.add_exception_handler(HTTPException, not_routed)
    app.add_exception_handler(RequestValidationError, bad_query)


def _described(app: FastAPI, service: Service) -> dict[str, Any]:
    """FastAPI's description, with the schemas that the contract gives."""
    if app.openapi_schema is None:
        described = get_openapi(
            title=app.title, version=app.version, description=app.description, routes=app.routes, tags=app.openapi_tags
        )
        parts = described.setdefault("components", {}).setdefault("schemas", {})
        template = REFERENCE + "{model}"
        for name, adapter in (("PredictRequest", service.schema.predict), ("InferRequest", service.schema.infer)):
            found = adapter.json_schema(ref_template=template)
            parts |= found.pop("$defs", {})
            parts[name] = found
        parts["Predictions"] = schema.answer_schema(service.model.contract)
        parts["Error"] = errors.ERROR_SCHEMA
        for unused in ("HTTPValidationError", "ValidationError"):
            parts.pop(unused, None)
        app.openapi_schema = described
    return app.openapi_schema


def _json(described: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": described}}


def _body(name: str, example: dict[str, Any]) -> dict[str, Any]:
    content = {"schema": {"$ref": REFERENCE + name}, "example": example}
    return {"requestBody": {"required": True, "content": {"application/json": content}}}


def _refusal(text: str) -> dict[str, Any]:
    return {"description": text, "content": _json({"$ref": f"{REFERENCE}Error"})}
