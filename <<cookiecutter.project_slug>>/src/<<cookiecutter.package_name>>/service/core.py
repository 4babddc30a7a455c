"""One service: the loaded model and everything around it, and the one way from rows to an answer."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from . import model as models
from . import prediction_log, schema, version
from .limits import Places
from .logs import Log
from .metrics import Metrics
from .model import Answer, Model, Rows
from .prediction_log import PredictionLog
from .schema import Schema
from .settings import Settings
from .version import Version

# Fewer rows than this take less time than handing them to a thread.
ROWS_IN_LOOP = 32


@dataclass
class Service:
    settings: Settings
    model: Model
    version: Version
    schema: Schema
    metrics: Metrics
    log: Log
    prediction_log: PredictionLog | None
    predicting: Places
    open_requests: Places
    pool: ThreadPoolExecutor
    leaving: bool = False  # SIGTERM came: answers what it got, and says so to load balancers

    async def answer(self, rows: Rows, count: int) -> Answer:
        """Predict, at most `max_in_flight` requests at a time; others are refused with 503."""
        with self.predicting.one(), self.metrics.in_flight.track_inprogress():
            if self.model.encode is not None and count < ROWS_IN_LOOP:
                await asyncio.sleep(0)  # so that requests that came together are all counted
                return self.model.answer(rows)
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self.pool, self.model.answer, rows)

    def record(self, rows: Rows, answer: Answer, request_id: str) -> list[list[str]]:
        """Count and log an answer; return per row what is unlike training."""
        notes = self.metrics.observe(rows, answer, self.model)
        if self.prediction_log is not None:
            try:
                self.prediction_log.write(rows, answer, self.model.contract, request_id, self.version.release)
            except OSError as error:
                self.metrics.log_errors.inc(len(answer.values))
                self.log.write("the prediction log was not written", "warning", error=str(error), request_id=request_id)
        return notes


def start(settings: Settings, environ: Mapping[str, str], log: Log | None = None) -> Service:
    """Load and verify everything that answers depend on.

    Raises:
        UserError: in one line, why this service cannot start.
    """
    model = models.load(settings.model_dir)
    contract = model.contract
    identity = version.of(environ, model_name=contract.model_name, model_hash=model.hash, data_hash=contract.data_hash)
    return Service(
        settings=settings,
        model=model,
        version=identity,
        schema=schema.of(contract),
        metrics=Metrics(model, identity),
        log=log or Log(release=identity.release),
        prediction_log=prediction_log.of(settings, contract),
        predicting=Places(settings.max_in_flight),
        open_requests=Places(settings.max_open_requests),
        pool=ThreadPoolExecutor(settings.threads, "predict"),
    )
