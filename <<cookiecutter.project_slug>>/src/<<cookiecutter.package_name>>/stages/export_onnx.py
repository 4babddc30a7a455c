"""Write the trained model as ONNX, for use without Python, once it predicts the evaluation rows as the model does.

Needs the extra `onnx`, which `make onnx` installs apart from everything else; the service never needs it.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pandas as pd

from .. import contract as contracts
from .. import errors, files, model_file, onnx_graph
from ..contract import Contract
from ..errors import UserError

# Runtimes calculate estimators in single precision. Relative to the larger of 1 and the value.
TOLERANCE = 1e-5


def export(folder: Path, out: Path) -> None:
    """Write `out` for the model in `folder`.

    Raises:
        UserError: the model has no counterpart in ONNX, or the one it has predicts something else.
    """
    contract = contracts.load(folder / model_file.CONTRACT_FILE)
    path = folder / model_file.MODEL_FILE
    model_file.check(path, folder / model_file.CONTRACT_FILE, contract.model_hash)
    pipeline = model_file.load(path)
    data = onnx_graph.build(pipeline, contract).SerializeToString()
    rows = contract.conform(files.read_rows(files.TEST_ROWS), str(files.TEST_ROWS))
    largest = _largest_difference(data, pipeline, contract, rows)
    if not largest <= TOLERANCE:
        raise UserError(
            f"the model cannot be written as ONNX: {type(pipeline[-1]).__name__} then predicts"
            f" the evaluation rows with a difference of {largest:.2g}, more than {TOLERANCE:g}"
        )
    with files.replacing(out) as temporary:
        temporary.write_bytes(data)
    print(f"{out}: {len(data)} bytes; {len(rows)} evaluation rows predicted, largest difference {largest:.2g}")


def _largest_difference(data: bytes, pipeline: Any, contract: Contract, rows: pd.DataFrame) -> float:
    """Between what the graph and the pipeline say, relative to the larger of 1 and the value."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    output = "y_pred" if contract.task == "regression" else "probabilities"
    (found,) = session.run([output], feed(rows, contract))
    wanted = pipeline.predict(rows) if contract.task == "regression" else pipeline.predict_proba(rows)
    wanted = np.asarray(wanted, dtype=float)
    given = np.asarray(found, dtype=float).reshape(wanted.shape)
    return float((np.abs(given - wanted) / np.maximum(1, np.abs(wanted))).max())


def feed(rows: pd.DataFrame, contract: Contract) -> dict[str, np.ndarray]:
    """Typed rows, as `Contract.conform` gives them, as the tensors that the graph takes."""
    tensors = {}
    for feature in contract.features:
        values = rows[feature.name]
        if feature.type == "category":
            ready = np.array(["" if gone else value for value, gone in zip(values, values.isna(), strict=True)], object)
        else:
            ready = values.to_numpy(dtype=float)
        tensors[feature.name] = ready.reshape(-1, 1)
    return tensors


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=files.MODEL, help="folder with model.skops and contract.json")
    parser.add_argument("--out", type=Path, default=files.BUILD / "model.onnx", help="file to write")
    options = parser.parse_args()
    errors.run(lambda: export(options.model, options.out))


if __name__ == "__main__":
    main()
