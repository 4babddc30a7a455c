"""Read the data file, check all that can be checked before training, and write typed rows."""

from __future__ import annotations

from dataclasses import asdict

from .. import errors, files, hashes, params, split, table


def main() -> None:
    settings = params.load()
    loaded = table.load(settings)
    split.split(loaded.rows, settings)  # a split that cannot work is told now, before anything is written
    path = settings.data.path
    files.write_rows(files.TABLE, loaded.rows)
    source = {"path": path.as_posix(), "hash": hashes.of_file(path), "rows": len(loaded.rows)}
    files.write_json(files.COLUMNS, {"file": source, "columns": [asdict(column) for column in loaded.columns]})
    print(f"{path}: {len(loaded.rows)} rows, {len(loaded.columns)} columns beside id and target")


if __name__ == "__main__":
    errors.run(main)
