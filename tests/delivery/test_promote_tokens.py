"""With whose token a promotion is proposed, and what that means for it."""

from __future__ import annotations

import subprocess
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from gitops_ml.delivery.merged import find_merged
from gitops_ml.github import GitHub

from tests.delivery.office import Office, named


def test_a_pull_request_of_a_run_says_that_its_checks_wait(office: Office) -> None:
    office.candidate()
    office.promote()
    assert office.open[0].waits
    assert "Approve workflows to run" in office.open[0].body
    assert "Requested-By" not in office.open[0].body


def test_a_dispatched_run_names_the_person_who_asked(office: Office) -> None:
    office.candidate()
    assert office.run("promote") == 0
    assert office.open[0].author == "github-actions[bot]"
    assert office.open[0].body.rstrip().splitlines()[-1] == "Requested-By: ann"
    # Whoever asks for the same again does not take the name away from the one whose approval doesn't count.
    assert office.promote(by="bob") == 0
    assert office.open[0].body.rstrip().splitlines()[-1] == "Requested-By: ann"


def test_who_asked_can_not_take_the_name_away_and_approve(office: Office) -> None:
    office.candidate()
    assert office.run("promote") == 0
    (pull,) = office.open
    ann = GitHub(office.forge.api_url, office.forge.token_of("ann"))
    ann.send("PATCH", f"/repos/octo/model/pulls/{pull.number}", {"body": "Requested-By: nobody"})
    office.forge.approve(pull.number, by="ann")
    found = find_merged(ann, "octo/model", office.merge(pull.number))
    assert found is not None
    assert found.review.requested_by == "ann"
    assert found.review.approvers == {"ann"}
    assert found.review.others == frozenset()


def test_what_automation_proposed_may_be_approved_by_whoever_merged_the_code(office: Office) -> None:
    office.candidate()
    office.promote()
    (pull,) = office.open
    office.forge.approve(pull.number, by="ann")
    github = GitHub(office.forge.api_url, office.forge.token_of("ann"))
    found = find_merged(github, "octo/model", office.merge(pull.number))
    assert found is not None
    assert found.review.others == {"ann"}


def test_a_person_who_wants_what_automation_opened_is_named(office: Office) -> None:
    office.candidate()
    office.promote()
    assert office.promote(by="bob") == 0
    assert office.open[0].body.rstrip().splitlines()[-1] == "Requested-By: bob"
    newer = office.candidate()
    assert office.promote() == 0
    assert named(newer) not in office.open[0].title
    assert office.promote() == 0
    assert office.open[0].body.rstrip().splitlines()[-1] == "Requested-By: bob"


def test_without_a_token_the_branch_is_pushed_and_the_address_printed(office: Office) -> None:
    candidate = office.candidate()
    assert office.run("promote", GITHUB_TOKEN="", PATH=_path_without_gh(office)) == 0
    branch = f"promote/production/{candidate.release[2:10]}"
    address = urlsplit(office.said[-1].split()[-1])
    assert (address.hostname, address.path) == ("github.com", f"/octo/model/compare/main...{branch}")
    assert parse_qs(address.query) == {
        "expand": ["1"],
        "title": [f"Promote {named(candidate)} to production"],
    }
    assert branch in office.forge.state.git.heads()  # type: ignore[union-attr]
    assert office.forge.seen == []
    # Opened by hand in the browser, it is one of ours like any other.
    office.forge.open_pull(branch, f"Promote {named(candidate)} to production", by="ann")
    assert office.promote(by="ann") == 0
    assert len(office.open) == 1
    assert "Proven" in office.open[0].body


def _path_without_gh(office: Office) -> str:
    folder = office.shop.clone.parent / "bin"
    folder.mkdir()
    git_ = subprocess.run(["sh", "-c", "command -v git"], capture_output=True, text=True, check=True)
    (folder / "git").symlink_to(git_.stdout.strip())
    return str(folder)


def test_gh_gives_its_token_on_a_laptop(office: Office) -> None:
    office.candidate()
    folder = Path(_path_without_gh(office))
    script = (
        f'#!/bin/sh\n[ "$*" = "auth token --hostname github.com" ] && echo {office.forge.token_of("ann")}\n'
    )
    (folder / "gh").write_text(script, encoding="utf-8")
    (folder / "gh").chmod(0o755)
    assert office.run("promote", GITHUB_TOKEN="", PATH=f"{folder}:/bin:/usr/bin") == 0
    assert office.open[0].author == "ann"
