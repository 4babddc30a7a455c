"""The image in the report of a pull request: its size is a cost, and without a passed smoke test nothing passes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.actions.comparison import classification, write_reports

PASSED: dict[str, Any] = {"ok": True, "checks": [{"name": "ready", "ok": True, "detail": "after 1.0 s"}]}
FAILED: dict[str, Any] = {
    "ok": False,
    "checks": [
        {"name": "ready", "ok": True, "detail": "after 1.0 s"},
        {"name": "predictions", "ok": False, "detail": "2 of 20 rows differ"},
    ],
}


@pytest.fixture
def image(place: Path) -> Path:
    """Reports of both sides that pass, and the image of head."""
    write_reports(place / "base", classification())
    write_reports(place / "head", classification())
    folder = place / "image"
    folder.mkdir()
    (folder / "image.json").write_text(json.dumps({"size_bytes": 500_000_000}))
    (folder / "smoke.json").write_text(json.dumps(PASSED))
    return folder


def size(report: Any) -> list[tuple[float | None, float | None]]:
    return [(cost.head, cost.base) for cost in report.costs if cost.name == "image size"]


def test_its_size_stands_beside_that_of_the_merge_base(image: Path, diff: Any) -> None:
    code, report = diff("--base=base", "--image=image", "--base-image-bytes=400000000")
    assert (code, report.verdict, size(report)) == (0, "pass", [(500e6, 400e6)])
    text = (image.parent / "report" / "report.md").read_text()
    assert "(+25 %)" in text


def test_without_the_size_of_the_merge_base_its_own_is_shown(image: Path, diff: Any) -> None:
    assert image.is_dir()
    code, report = diff("--base=base", "--image=image", "--base-image-bytes=many")
    assert (code, size(report)) == (0, [(500e6, None)])
    assert any("must be a number of bytes" in note for note in report.notes)


def test_where_no_image_is_asked_for_none_is_missed(image: Path, diff: Any) -> None:
    assert image.is_dir()
    code, report = diff("--base=base")
    assert (code, size(report)) == (0, [])


def test_a_failed_smoke_test_fails_the_verdict_and_is_named(image: Path, diff: Any) -> None:
    (image / "smoke.json").write_text(json.dumps(FAILED))
    code, report = diff("--base=base", "--image=image")
    assert (code, report.verdict) == (1, "fail")
    assert report.problems == ("The image failed its smoke test: predictions: 2 of 20 rows differ",)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("smoke.json", None),
        ("smoke.json", "[]"),
        ("smoke.json", '{"ok": "true", "checks": 3}'),
        ("image.json", None),
        ("image.json", '{"size_bytes": "large"}'),
        ("image.json", '{"size_bytes": true}'),
        ("image.json", '{"size_bytes": -1}'),
    ],
)
def test_an_image_that_cannot_be_judged_is_never_a_pass(
    image: Path, diff: Any, name: str, content: str | None
) -> None:
    (image / name).unlink()
    if content is not None:
        (image / name).write_text(content)
    code, report = diff("--base=base", "--image=image")
    assert (code, report.verdict, len(report.problems)) == (1, "fail", 1)


def test_an_image_that_was_not_built_is_never_a_pass(image: Path, diff: Any) -> None:
    assert image.is_dir()
    code, report = diff("--base=base", "--image=elsewhere")
    assert (code, report.verdict) == (1, "fail")
    assert report.problems == ("There is no image of this model. The job `image` of this run says why.",)


def test_what_another_check_said_is_a_note(image: Path, diff: Any) -> None:
    assert image.is_dir()
    for more in ((), ("--unchanged",), ("--failed=it broke",)):
        _, report = diff("--base=base", "--note=Promotion check: promotion, every rule is met.", *more)
        assert report.notes[0] == "Promotion check: promotion, every rule is met."
        assert "Promotion check" in (image.parent / "report" / "report.md").read_text()
