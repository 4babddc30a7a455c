"""Score another model, such as the one of the merge base, on this checkout's evaluation rows.

Its code is not needed: the model file and the contract beside it say how.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from .. import contract, errors, files, metrics, model_file, params, predictions
from ..errors import UserError
from .evaluate import write


def rescore(base: Path, out: Path) -> None:
    """Write `predictions.parquet` and `metrics.json` of the model in `base` to `out`.

    Raises:
        UserError: the model is damaged, answers another question, or its contract does not accept the rows.
    """
    settings = params.load()
    if not base.is_dir():
        raise UserError(
            f"{base} does not exist; make it by `make train-base`, or name another: make rescore FROM=folder"
        )
    signed = contract.load(base / model_file.CONTRACT_FILE)
    path = base / model_file.MODEL_FILE
    asked = contract.load(files.SCHEMA)
    for key in ("task", "target", "positive_class"):
        ours, theirs = getattr(asked, key), getattr(signed, key)
        if ours != theirs:
            raise UserError(f"{base}: the model answers another question: its {key} is {theirs}, here it is {ours}")
    model_file.check(path, base / model_file.CONTRACT_FILE, signed.model_hash)
    model = model_file.load(path)
    same_slices = signed.model_copy(update={"slice_columns": asked.slice_columns})
    predicted = predictions.evaluate(model, same_slices, files.read_rows(files.TEST_ROWS), str(settings.data.path))
    write(predicted, metrics.of(predicted, signed), out)
    print(f"{len(predicted)} rows scored with model {signed.model_hash[:12]}; see {out}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base", type=Path, required=True, help="folder with model.skops and contract.json")
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    options = parser.parse_args()
    errors.run(lambda: rescore(options.base, options.out))


if __name__ == "__main__":
    main()
