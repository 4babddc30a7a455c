"""Fit the pipeline and write `model/`."""

from __future__ import annotations

import time
import warnings

from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

from .. import contract, errors, estimator, features, files, model_file, params, reference, tracking
from ..errors import UserError
from ..table import TARGET


def main() -> None:
    started = time.perf_counter()
    settings = params.load()
    tracking.check_reachable()
    schema = contract.load(files.SCHEMA)
    rows = files.read_rows(files.TRAIN_ROWS)
    pipeline = features.pipeline(schema.features, estimator.build(settings))
    ready = schema.conform(rows, str(settings.data.path))
    fitting = time.perf_counter()
    # One BLAS thread, so that the sums, and with them the model, do not depend on the number of cores.
    with warnings.catch_warnings(), threadpool_limits(1, user_api="blas"):
        warnings.simplefilter("ignore", ConvergenceWarning)
        try:
            pipeline.fit(ready, rows[TARGET])
        except (ValueError, TypeError) as error:
            reason = str(error).splitlines()[0]
            kind = settings.model.estimator
            raise UserError(f"params.yaml: {kind} could not be fitted to {len(rows)} rows: {reason}") from None
    fit_seconds = time.perf_counter() - fitting
    model_hash = model_file.save(pipeline, files.MODEL / model_file.MODEL_FILE)
    signed = schema.model_copy(update={"model_hash": model_hash})
    contract.save(files.MODEL / model_file.CONTRACT_FILE, signed)
    files.write_rows(files.MODEL / model_file.REFERENCE_FILE, reference.sample(rows, signed, settings.split.seed))
    files.write_json(files.FIT, {"fit_seconds": fit_seconds, "train_seconds": time.perf_counter() - started})
    print(f"{settings.model.estimator} fitted to {len(rows)} rows in {fit_seconds:.2f} s; model {model_hash[:12]}")


if __name__ == "__main__":
    errors.run(main)
