"""Split the typed rows and write down what the model will take."""

from __future__ import annotations

from .. import contract, errors, files, params, split
from ..columns import Column


def main() -> None:
    settings = params.load()
    found = files.read_json(files.COLUMNS)
    train, test = split.split(files.read_rows(files.TABLE), settings)
    schema = contract.draft(train, [Column(**column) for column in found["columns"]], settings, found["file"]["hash"])
    files.write_rows(files.TRAIN_ROWS, train)
    files.write_rows(files.TEST_ROWS, test)
    contract.save(files.SCHEMA, schema)
    classes = f", {len(schema.classes)} classes" if schema.classes else ""
    print(f"{len(train)} rows to train, {len(test)} to test, {len(schema.features)} features{classes}")


if __name__ == "__main__":
    errors.run(main)
