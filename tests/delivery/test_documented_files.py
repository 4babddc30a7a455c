"""The files of environments/ that the documentation shows are read as it says."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import pytest
from gitops_ml.delivery.environment import Following, Promoted, is_canonical, read_environment
from gitops_ml.delivery.pipeline import Step, read_pipeline
from gitops_ml.delivery.revoked import read_revoked
from gitops_ml.reading import read_document

from tests.tools.required import ROOT

PAGE = ROOT / "docs" / "environments.md"
BLOCK = re.compile(r"^( *)```yaml\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)


def blocks() -> list[str]:
    return [textwrap.dedent(text) for _, text in BLOCK.findall(PAGE.read_text(encoding="utf-8"))]


def test_every_block_is_known() -> None:
    assert len(blocks()) == 5


def test_the_order_of_environments() -> None:
    found = read_pipeline(read_document(blocks()[0].encode(), "pipeline.yaml"))
    assert found.names == ("staging", "production")
    assert found.step("production").four_eyes


def test_the_table_names_every_key_of_an_environment() -> None:
    named = set(re.findall(r"^\| `(\w+)` \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE))
    assert named == set(Step.model_fields) - {"name"}


def test_a_new_promoted_environment_is_written_as_promotions_write_it() -> None:
    content = blocks()[1].encode()
    found = read_environment(read_document(content, "acceptance.yaml"), Step(name="acceptance"))
    assert isinstance(found, Promoted)
    assert is_canonical(content, found)


@pytest.mark.parametrize(("index", "name", "pinned"), [(2, "integration", False), (3, "staging", True)])
def test_an_environment_that_follows_or_holds(index: int, name: str, pinned: bool) -> None:
    found = read_environment(
        read_document(blocks()[index].encode(), Path(name).name), Step(name=name, follow=True)
    )
    assert isinstance(found, Following)
    assert (found.pin is not None) == pinned


def test_a_revoked_release() -> None:
    (entry,) = read_revoked(read_document(blocks()[4].encode(), "revoked.yaml")).revoked
    assert "deleted" in entry.reason
