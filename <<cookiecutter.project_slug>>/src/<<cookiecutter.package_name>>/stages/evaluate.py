"""Score the test rows, write `reports/`, and log the run to MLflow."""

from __future__ import annotations

import time
from pathlib import Path

import pandas as pd
from threadpoolctl import threadpool_limits

from .. import (
    contract,
    errors,
    files,
    importance,
    metrics,
    model_card,
    model_file,
    params,
    plots,
    predictions,
    run_record,
    tracking,
)


def main() -> None:
    started = time.perf_counter()
    settings = params.load()
    signed = contract.load(files.MODEL / model_file.CONTRACT_FILE)
    model = model_file.load(files.MODEL / model_file.MODEL_FILE)
    rows = files.read_rows(files.TEST_ROWS)
    fit = files.read_json(files.FIT)
    with threadpool_limits(1, user_api="blas"):
        predicted = predictions.evaluate(model, signed, rows, str(settings.data.path))
        influence = importance.permutation(model, signed, rows, settings.model.seed)
    measured = metrics.of(predicted, signed) | {"fit_seconds": fit["fit_seconds"]}
    record = run_record.build(settings, signed, predicted, files.read_json(files.COLUMNS)["file"])
    run_id = tracking.log(settings, model, measured, record, signed.conform(rows.head(5)))
    seconds = fit["train_seconds"] + time.perf_counter() - started
    record |= {"mlflow_run_id": run_id, "duration_s": round(seconds, 3)}
    write(predicted, measured)
    with files.replacing(files.REPORTS / "plots") as folder:
        plots.draw(predicted, signed, folder)
    train_rows = len(files.read_rows(files.TRAIN_ROWS))
    card = model_card.render(settings, signed, predicted, measured, influence, record, train_rows)
    files.write_text(files.REPORTS / "model-card.md", card)
    files.write_json(files.REPORTS / "run.json", record)
    print(", ".join(f"{name} {value:.4g}" for name, value in measured.items()))


def write(predicted: pd.DataFrame, measured: dict[str, float], folder: Path = files.REPORTS) -> None:
    files.write_rows(folder / "predictions.parquet", predicted)
    files.write_json(folder / "metrics.json", measured)


if __name__ == "__main__":
    errors.run(main)
