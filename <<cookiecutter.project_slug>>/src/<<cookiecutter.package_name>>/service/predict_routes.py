"""`POST /predict`: rows as people write them."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Annotated, Any

import pandas as pd
from fastapi import APIRouter, Query, Request
from pydantic_core import to_json
from starlette.responses import Response

from . import explain as explaining
from . import limits
from .core import Service
from .errors import Answers, Refusal
from .model import Answer, Rows


def router(service: Service, requests: dict[str, Any], answers: Answers) -> APIRouter:
    """`requests` and `answers` describe the body and the responses on `/docs`."""
    routes = APIRouter(tags=["predict"])

    @routes.post(
        "/predict",
        summary=f"Predict {service.model.contract.target}",
        description="One answer per record, in order. A category that training did not see or a number out of its range"
        " is answered too, with a note. `explain=true` says for one record what each column contributed.",
        openapi_extra=requests,
        responses=answers,
        response_class=Response,
    )
    async def predict(
        request: Request,
        explain: Annotated[bool, Query(description="Add what each column contributed; for one record.")] = False,
    ) -> Response:
        with service.open_requests.one():
            body = await limits.body_of(request, service.settings)
            rows, count = service.schema.records(body, service.settings.max_rows)
            request.state.rows = count
            if explain and count != 1:
                raise Refusal(422, f"explain=true is for one record, not {count}", "invalid")
            answer = await service.answer(rows, count)
            explanation = await _explained(service, rows) if explain else None
            notes = service.record(rows, answer, request.state.request_id)
        return Response(to_json(_body(service, answer, notes, explanation)), media_type="application/json")

    return routes


async def _explained(service: Service, rows: Rows) -> dict[str, Any]:
    def work() -> dict[str, Any]:
        model = service.model
        ready = model.contract.conform(pd.DataFrame(rows, dtype=object), "the request")
        found = asdict(explaining.explain(model, ready))
        return {key: value for key, value in found.items() if value is not None}

    with service.predicting.one():
        try:
            return await asyncio.get_running_loop().run_in_executor(service.pool, work)
        except ValueError as error:
            raise Refusal(501, f"no explanation: {error}", "no_explanation") from None


def _body(
    service: Service, answer: Answer, notes: list[list[str]], explanation: dict[str, Any] | None
) -> dict[str, Any]:
    classes = service.model.contract.classes
    predictions: list[dict[str, Any]] = []
    shares = None if answer.probabilities is None else answer.probabilities.tolist()
    for row, value in enumerate(answer.values.tolist()):
        said: dict[str, Any] = {"prediction": value}
        if shares is not None:
            said["probabilities"] = dict(zip(classes, shares[row], strict=True))
        if notes[row]:
            said["notes"] = notes[row]
        if explanation is not None:
            said["explanation"] = explanation
        predictions.append(said)
    return {
        "model_name": service.model.contract.model_name,
        "release": service.version.release,
        "predictions": predictions,
    }
