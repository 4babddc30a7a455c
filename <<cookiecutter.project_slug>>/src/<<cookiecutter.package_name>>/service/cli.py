"""The commands: `serve` answers requests, `predict` writes predictions for a file of rows."""

from __future__ import annotations

import argparse
import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from . import settings


def main(arguments: list[str] | None = None) -> None:
    given = _parser().parse_args(arguments)
    chosen = settings.load(os.environ, model_dir=given.model, **({} if given.command == "predict" else _address(given)))
    # Each command imports only what it needs, which is most of the time that a start takes.
    if given.command == "serve":
        with _quick_imports():
            from . import server

        server.run(chosen)
    else:
        with _quick_imports():
            from . import batch

        batch.run(chosen.model_dir, given.input, given.output, batch.Options(given.rows, given.keep, given.fresh))


@contextmanager
def _quick_imports() -> Iterator[None]:
    """Import what follows in three quarters of the time."""
    gc.disable()  # a million new objects, all of which stay: looking for garbage among them finds none
    try:
        import skops.io  # noqa: F401 - first, because it searches every module that is loaded by then

        yield
    finally:
        gc.freeze()
        gc.enable()


def _address(given: argparse.Namespace) -> dict[str, object]:
    return {"host": given.host, "port": given.port}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"python -m {__package__}", description=__doc__)
    parser.add_argument("--model", type=Path, help="folder with model.skops and contract.json (model)")
    commands = parser.add_subparsers(dest="command", required=True)
    serve = commands.add_parser("serve", help="answer HTTP requests; everything else is set by SERVING_* variables")
    serve.add_argument("--host", help="address to listen on (127.0.0.1)")
    serve.add_argument("--port", type=int, help="port; 0 lets the system choose (8000)")
    predict = commands.add_parser("predict", help="predict for each row of a Parquet or CSV file")
    predict.add_argument("--input", required=True, help="a path, or a URI such as s3://bucket/rows.parquet")
    predict.add_argument("--output", required=True, help="a .parquet path or URI; appears when it is complete")
    predict.add_argument(
        "--keep", action="append", default=[], metavar="COLUMN", help="copy this column to the output; may repeat"
    )
    predict.add_argument("--rows", type=int, default=50_000, help="rows in memory at a time (50000)")
    predict.add_argument("--fresh", action="store_true", help="forget the chunks of an interrupted run")
    return parser
