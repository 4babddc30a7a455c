"""What the documents say of this repository is true: named tests and files exist, links lead somewhere."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from gitops_ml.cli import VERBS

from tools.lint import tracked
from tools.template_files import PROJECT_FOLDER, ROOT

NAMED_TEST = re.compile(r"`((?:<<[^>]*>>/)?tests/[\w/.-]+\.py)::(\w+)`")
LINK = re.compile(r"\[[^\]\n]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
QUOTED = re.compile(r'^### "([^"]+)"$', re.MULTILINE)
HEADING = re.compile(r"^#{1,6} (.+)$", re.MULTILINE)


def pages() -> list[Path]:
    return [path for path in tracked(ROOT, "*.md") if "<<" not in str(path)]


def anchors(text: str) -> set[str]:
    """The anchors of a page's headings, as GitHub and the site make them."""
    names = (re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in HEADING.findall(text))
    return set(names)


def broken_links(path: Path, text: str) -> list[str]:
    """Links of one page to files, or headings, that are not there; addresses on the web are not looked at."""
    broken = []
    for target in LINK.findall(FENCE.sub("", text)):
        name, _, anchor = target.partition("#")
        if re.match(r"[a-z]+:", target):
            continue
        other = (path.parent / name) if name else path
        is_page = other.is_file() and other.suffix == ".md" and anchor
        if not other.exists() or (is_page and anchor not in anchors(other.read_text(encoding="utf-8"))):
            broken.append(target)
    return broken


def missing_tests(text: str) -> list[str]:
    """Tests that a text names and that nobody wrote."""
    missing = []
    for name, test in NAMED_TEST.findall(text):
        path = ROOT / name
        if not path.is_file() or f"def {test}(" not in path.read_text(encoding="utf-8"):
            missing.append(f"{name}::{test}")
    return missing


@pytest.mark.parametrize("path", pages(), ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    assert broken_links(path, path.read_text(encoding="utf-8")) == []


def test_a_broken_link_is_found(tmp_path: Path) -> None:
    (tmp_path / "other.md").write_text("# One heading\n", encoding="utf-8")
    text = "[a](other.md#one-heading) [b](other.md#none) [c](gone.md) [d](https://example.org/x)\n"
    assert broken_links(tmp_path / "page.md", text) == ["other.md#none", "gone.md"]


def test_every_test_that_is_named_exists() -> None:
    found = {str(path.relative_to(ROOT)): missing_tests(path.read_text(encoding="utf-8")) for path in pages()}
    assert {name: missing for name, missing in found.items() if missing} == {}


def test_a_test_that_nobody_wrote_is_found() -> None:
    assert missing_tests("`tests/repository/test_documents.py::test_nobody_wrote_this`") != []


def test_every_line_of_the_threat_model_has_a_test_or_a_reason() -> None:
    text = (ROOT / "docs" / "threat-model.md").read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    attempts = [row for row in rows if row.count("|") == 4 and "attempt" not in row and "---" not in row]
    assert len(attempts) > 25
    unproven = [
        row for row in attempts if "::" not in row and "accepted" not in row and "not provable" not in row
    ]
    assert unproven == []


def rows_of(text: str, heading: str) -> list[str]:
    """The names in the first column of the table below `heading`."""
    below = text.partition(f"\n### {heading}")[2].partition("\n#")[0]
    return re.findall(r"^\| `([^`]+)` \|", below, re.MULTILINE)


def test_the_design_names_every_verb_and_every_workflow() -> None:
    text = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
    listed = re.search(r"Verbs: ([^.]+)\.", text)
    assert listed is not None
    assert sorted(re.findall(r"`([a-z-]+)`", listed[1])) == sorted(VERBS)
    workflows = tracked(ROOT, f"{PROJECT_FOLDER}/.github/workflows")
    assert sorted(rows_of(text, "3.6 Workflows")) == sorted(path.name for path in workflows)


def test_the_folders_that_the_design_and_the_guide_show_are_there() -> None:
    design, guide = (
        (ROOT / name).read_text(encoding="utf-8") for name in ("docs/design.md", "CONTRIBUTING.md")
    )
    shown = {"design": design.split("```")[1], "guide": guide.split("```")[1]}
    for name, block in shown.items():
        first = [line.split()[0] for line in block.strip().splitlines() if line.strip()]
        places = [place.rstrip(",") for place in first]
        assert len(places) > 5, name
        # What is indented lies in the folder above it.
        gone = [
            place for place in places if not any((ROOT / above / place).exists() for above in ("", "actions"))
        ]
        assert gone == [], name
    folders = {path.relative_to(ROOT / "tests").parts[0] for path in tracked(ROOT, "tests/*/*")}
    assert [name for name in sorted(folders) if f"tests/{name}/" not in guide] == []


def test_every_message_that_is_explained_is_one_that_is_said() -> None:
    text = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    messages = QUOTED.findall(text)
    assert len(messages) >= 10
    sources = [*tracked(ROOT, "actions", "hooks", f"{PROJECT_FOLDER}/src", f"{PROJECT_FOLDER}/.github")]
    said = "".join(path.read_text(encoding="utf-8") for path in sources)
    assert [message for message in messages if message not in said] == []


def test_the_pages_become_a_site(tmp_path: Path) -> None:
    """Any warning, such as a page that no other names, is an error."""
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "--quiet", "-b", "html"]
    command += ["-d", str(tmp_path / "doctrees"), str(ROOT / "docs"), str(tmp_path / "site")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Getting started" in (tmp_path / "site" / "index.html").read_text(encoding="utf-8")
