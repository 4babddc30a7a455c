"""`gitops-ml promote` with real git and a forge: one pull request, whatever happens meanwhile."""

from __future__ import annotations

from tests.delivery.office import Office
from tests.delivery.repositories import git


def test_automation_opens_one_pull_request_for_what_staging_proved(office: Office) -> None:
    first, second = office.second, office.candidate()
    assert office.promote() == 0
    (pull,) = office.open
    assert pull.title == f"Promote {second.release[:10]} to production"
    assert pull.ref == f"promote/production/{second.release[2:10]}"
    assert pull.author == "github-actions[bot]"
    assert first.release[:10] in pull.body
    head = office.branch(pull)
    assert office.shop.check(head, "origin/main") == 0
    assert (
        git(office.shop.clone, "diff", "--name-only", "origin/main", head) == "environments/production.yaml"
    )
    assert git(office.shop.clone, "rev-parse", f"{head}^") == git(
        office.shop.clone, "rev-parse", "origin/main"
    )
