"""Test results from JUnit XML files, read without entities, with caps on bytes, depth and cases."""

from __future__ import annotations

import xml.parsers.expat
from pathlib import Path

from gitops_ml.errors import UserError
from gitops_ml.inputs import check_name, read_bytes, shown
from gitops_ml.report import Failure, TestSuite

JUNIT_LIMIT_BYTES = 20 * 1024 * 1024
MAX_SUITES = 20
MAX_DEPTH = 50
MAX_FAILURES = 20


def read_suites(folder: Path) -> tuple[TestSuite, ...]:
    """The suites of `folder`, one per file `<suite>.xml`, by name; none when the folder does not exist.

    Raises `UserError` for a file that is no JUnit file, that holds no test, or that declares entities.
    """
    if folder.is_symlink():
        raise UserError(f"{folder} is a symbolic link.", "Write the folder itself; links are not followed.")
    if not folder.is_dir():
        return ()
    paths = sorted(folder.glob("*.xml"))
    if len(paths) > MAX_SUITES:
        raise UserError(f"{folder}: more than {MAX_SUITES} test files.")
    return tuple(read_suite(path) for path in paths)


def read_suite(path: Path) -> TestSuite:
    """The results in one JUnit file."""
    name = check_name(path.stem, str(path.parent))
    reader = _Reader(path)
    parser = xml.parsers.expat.ParserCreate()
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    # Without a document type there are no entities: no bombs and no outside files.
    parser.StartDoctypeDeclHandler = reader.refuse_doctype
    try:
        parser.Parse(read_bytes(path, JUNIT_LIMIT_BYTES), True)
    except xml.parsers.expat.ExpatError as error:
        raise UserError(f"{path}, line {error.lineno}: not well-formed XML ({error}).") from None
    except (ValueError, LookupError):
        raise UserError(f"{path}: its encoding is not known.", "Write it as UTF-8.") from None
    if reader.root not in ("testsuite", "testsuites"):
        raise UserError(f"{path}: not a JUnit file; its root is {shown(reader.root)}.")
    if reader.cases == 0 and not reader.errors:
        raise UserError(
            f"{path}: holds no test.", "A suite that ran nothing proves nothing; check its selection."
        )
    bad = reader.failed + reader.errors
    return TestSuite(
        name=name,
        passed=max(reader.cases - reader.failed - reader.skipped, 0),
        failed=bad,
        skipped=reader.skipped,
        failures=tuple(reader.failures),
    )


class _Reader:
    """Collects test cases from parser events; a case counts once, a failure over a skip."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.root = ""
        self.cases = self.failed = self.skipped = self.errors = 0
        self.failures: list[Failure] = []
        self._depth = 0
        self._case: str | None = None
        self._outcome = ""
        self._message: list[str] = []
        self._listening = False

    def refuse_doctype(self, *_: object) -> None:
        raise UserError(
            f"{self.path}: declares a document type, which is not read.", "Write plain JUnit XML."
        )

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        self.root = self.root or tag
        if self._depth > MAX_DEPTH:
            raise UserError(f"{self.path}: nested deeper than {MAX_DEPTH} levels.")
        if tag == "testcase":
            parts = (attributes.get("classname", ""), attributes.get("name", ""))
            self._case = "::".join(part for part in parts if part) or "unnamed test"
            self._outcome, self._message = "", []
            self.cases += 1
        elif tag in ("failure", "error"):
            self._outcome = "failed"
            self._message = [attributes.get("message", "")]
            self._listening = not self._message[0]
            if self._case is None:  # an error of the suite itself, such as a failed collection
                self._fail("suite")
                self.errors += 1
        elif tag == "skipped" and not self._outcome:
            self._outcome = "skipped"

    def text(self, text: str) -> None:
        if self._listening and len(self._message) < 20:
            self._message.append(text[:500])

    def end(self, tag: str) -> None:
        self._depth -= 1
        if tag in ("failure", "error"):
            self._listening = False
        if tag != "testcase" or self._case is None:
            return
        if self._outcome == "failed":
            self.failed += 1
            self._fail(self._case)
        elif self._outcome == "skipped":
            self.skipped += 1
        self._case = None

    def _fail(self, name: str) -> None:
        if len(self.failures) < MAX_FAILURES:
            message = "".join(self._message).strip()
            self.failures.append(Failure(name=name[:200], message=message[:500]))
