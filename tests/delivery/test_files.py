"""The files of environments/: what they may say, when changes may go in, and errors with their line."""

from __future__ import annotations

import datetime as dt

import pytest
from gitops_ml.delivery.environment import Promoted, is_canonical, read_environment, render
from gitops_ml.delivery.pipeline import Step, read_pipeline
from gitops_ml.delivery.revoked import read_revoked
from gitops_ml.delivery.timetable import closed
from gitops_ml.errors import UserError
from gitops_ml.reading import read_document

from tests.delivery.truth import manifest_of

POLICY = """schema: 1
environments:
  - name: staging
    follow: true
  - name: production
    evidence: [version, smoke]
    max_age: 30d
    soak: 2h
    windows:
      - {days: [mon, tue], from: 08:00, to: 16:00, timezone: Europe/Berlin}
    freeze:
      - {from: 2026-12-20, to: 2026-12-31, reason: holidays}
    four_eyes: true
"""
PRODUCTION, STAGING = Step(name="production"), Step(name="staging", follow=True)


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("soak: 2h", "soak: 2w", "line 8, key 'environments.1.soak': must be a whole number"),
        ("soak: 2h", "soaks: 2h", "line 8, key 'environments.1.soaks': this key is not known"),
        ("[mon, tue]", "[mon, someday]", "line 10, key 'environments.1.windows.0.days.1'"),
        ("days:", "dayz:", "line 10, key 'environments.1.windows.0.dayz': this key is not known"),
        ("16:00", "08:00", "line 10, key 'environments.1.windows.0.to': 08:00 is not after 08:00"),
        ("16:00", "25:00", "line 10, key 'environments.1.windows.0.to': must be a time of day"),
        ("Europe/Berlin", "../etc/passwd", "line 10, key 'environments.1.windows.0.timezone'"),
        ("Europe/Berlin", "Mars", "line 10, key 'environments.1.windows.0.timezone'"),
        ("2026-12-31", "2026-12-01", "line 12, key 'environments.1.freeze.0.to': the last day is before"),
        ("2026-12-31", "soon", "line 12, key 'environments.1.freeze.0.to': must be a day"),
        ("follow: true", "follow: true\n    four_eyes: true", "line 5, key 'environments.0.four_eyes'"),
        (
            "follow: true",
            "follow: true\n    soak: 1h",
            "line 5, key 'environments.0.soak': nothing comes before",
        ),
        ("follow: true", "follow: false", "line 4, key 'environments.0.follow': staging is first"),
        ("name: production", "name: staging", "line 5, key 'environments.1.name': staging stands twice"),
        ("name: production", "name: revoked", "line 5, key 'environments.1.name': revoked.yaml is not"),
        ("name: production", "name: ../production", "line 5, key 'environments.1.name'"),
        ("[version, smoke]", "[]", "line 6, key 'environments.1.evidence': with no check at all"),
        ("schema: 1", "schema: 2", "line 1, key 'schema'"),
        ("schema: 1\n", "", "key 'schema': this key is missing"),
    ],
)
def test_a_policy_that_cannot_be_meant_names_its_line(old: str, new: str, why: str) -> None:
    read_pipeline(read_document(POLICY.encode(), "pipeline.yaml"))
    with pytest.raises(UserError) as caught:
        read_pipeline(read_document(POLICY.replace(old, new, 1).encode(), "pipeline.yaml"))
    assert why in caught.value.message
    assert caught.value.message.startswith("pipeline.yaml, line ")


def test_the_file_of_an_environment_is_a_function_of_its_release() -> None:
    artifacts = manifest_of(1, 1, 1).artifacts
    for made in (artifacts, None):
        content = render("production", made)
        found = read_environment(read_document(content, "production.yaml"), PRODUCTION)
        assert isinstance(found, Promoted)
        assert found.artifacts == made
        assert is_canonical(content, found)
        assert not is_canonical(content + b"\n", found)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("schema: 1\nenvironment: staging\n", "either `follow: main` or `pin: r-...`"),
        (f"schema: 1\nenvironment: staging\nfollow: main\npin: r-{'0' * 64}\n", "either `follow: main` or"),
        ("schema: 1\nenvironment: staging\nfollow: other\n", "line 3, key 'follow'"),
        (
            "schema: 1\nenvironment: qa\nfollow: main\n",
            "line 2, key 'environment': this is the file of staging",
        ),
        ("schema: 1\nenvironment: staging\nfollow: &a main\n", "line 3: anchors"),
        ("- 1\n", "must be a mapping"),
        ("", "must be a mapping"),
    ],
)
def test_a_following_file_says_one_thing(text: str, why: str) -> None:
    with pytest.raises(UserError) as caught:
        read_environment(read_document(text.encode(), "staging.yaml"), STAGING)
    assert why in caught.value.message


def test_a_release_is_revoked_once_and_with_a_reason() -> None:
    text = f"schema: 1\nrevoked:\n  - {{release: r-{'0' * 64}, reason: leaks}}\n"
    assert read_revoked(read_document(text.encode(), "revoked.yaml")).reason(f"r-{'0' * 64}") == "leaks"
    assert read_revoked(read_document(b"schema: 1\nrevoked:\n", "revoked.yaml")).revoked == ()
    for wrong, why in (
        (text + text.splitlines()[2] + "\n", "line 4, key 'revoked.1.release': this release stands twice"),
        (text.replace(", reason: leaks", ""), "line 3, key 'revoked.0.reason': this key is missing"),
        (text.replace("r-0", "0"), "line 3, key 'revoked.0.release'"),
    ):
        with pytest.raises(UserError) as caught:
            read_revoked(read_document(wrong.encode(), "revoked.yaml"))
        assert why in caught.value.message


@pytest.mark.parametrize(
    ("moment", "why"),
    [
        ("2026-03-02T07:00:00+00:00", None),  # 08:00 in Berlin, a Monday
        ("2026-03-02T06:59:00+00:00", "outside the windows"),
        ("2026-03-02T15:00:00+00:00", "outside the windows"),
        ("2026-06-01T06:00:00+00:00", None),  # 08:00 in Berlin in summer
        ("2026-03-04T09:00:00+00:00", "outside the windows"),  # a Wednesday
        ("2026-12-21T09:00:00+00:00", "frozen until the end of 2026-12-31 (holidays)"),
    ],
)
def test_when_changes_may_go_in(moment: str, why: str | None) -> None:
    step = read_pipeline(read_document(POLICY.encode(), "pipeline.yaml")).step("production")
    said = closed(step.windows, step.freeze, dt.datetime.fromisoformat(moment))
    assert said is None if why is None else (said is not None and said.startswith(why))
