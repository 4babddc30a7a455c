"""`python -m tools.matrix`: the rows of answers in which every pair of answers occurs, and one of them at work.

python -m tools.matrix --list          the rows, as JSON for a workflow's matrix
python -m tools.matrix NUMBER FOLDER   generate that row's project and run everything its owner would run
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tools.answers import Row, choices, complete, pairwise, row_id
from tools.template_files import RenderError, copy_template, render

COMMANDS = (
    ("make", "setup"),
    ("make", "lint"),
    ("make", "train"),
    ("make", "test"),
    ("make", "report"),
    ("uv", "run", "--no-sync", "pre-commit", "run", "--all-files"),
)


def listed(rows: Sequence[Row]) -> str:
    """Number and name of each row, as a matrix includes them."""
    return json.dumps({"include": [{"row": number, "name": row_id(row)} for number, row in enumerate(rows)]})


def play(row: Row, folder: Path) -> int:
    """Generate the project of `row` and run its commands; returns the exit code of the first that fails."""
    with tempfile.TemporaryDirectory() as scratch:
        project, printed = render(copy_template(Path(scratch, "template")), folder, complete(row))
    print(printed)
    for command in COMMANDS:
        print(f"::group::{' '.join(command)}", flush=True)
        code = subprocess.run(command, cwd=project).returncode
        print("::endgroup::", flush=True)
        if code != 0:
            print(f"error: {' '.join(command)} ended with {code} in {project}", file=sys.stderr)
            return code
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--list", action="store_true", help="print the rows and end")
    parser.add_argument("number", type=int, nargs="?", help="which row")
    parser.add_argument("folder", type=Path, nargs="?", help="where the project is made")
    options = parser.parse_args(arguments)
    rows = pairwise(choices())
    if options.list:
        print(listed(rows))
        return 0
    if options.number is None or options.folder is None or not 0 <= options.number < len(rows):
        parser.error(f"name a row from 0 to {len(rows) - 1}, and a folder")
    try:
        return play(rows[options.number], options.folder.resolve())
    except RenderError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
