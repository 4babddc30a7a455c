"""What the forge says of a repository, and what of it is missing. A refusal of one thing hides no other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from gitops_ml.delivery.state import BRANCH
from gitops_ml.doctor.finding import Finding, unseen
from gitops_ml.doctor.protection import FIX, Protection, judge_main, judge_state, of_classic, of_rules
from gitops_ml.doctor.registry import judge_login
from gitops_ml.errors import UserError
from gitops_ml.github import NotFoundError, segment
from gitops_ml.login.place import PASSWORD, Place
from gitops_ml.settings.difference import differences
from gitops_ml.settings.files import Setting
from gitops_ml.settings.remote import PlanError, Remote, as_object, explained, is_hidden

# Secrets of an environment: at the level of the repository, workflows of every branch could read them.
_OF_ENVIRONMENTS = ("DEPLOY_SSH_KEY", "DEPLOY_KUBE_CONFIG")
# These have to be there, because promotions are proposed and images pushed outside of any environment.
_OF_REPOSITORY = ("GITOPS_ML_APP_KEY", PASSWORD)
# Without these, what the branch protection waits for never comes, or nothing is delivered.
_NEEDED_WORKFLOWS = {
    "pull-request.yml": "The check `gate` never comes, so nothing can be merged.",
    "comment.yml": "Pull requests get no answer.",
    "deliver.yml": "Merges deploy nothing, and what was lost is not made up for.",
}


@dataclass(frozen=True)
class Look:
    """`title` is what is looked at; `judge` asks the forge, and raises `UserError` when it is refused."""

    title: str
    judge: Callable[[], Iterator[Finding]]


def judge_forge(
    remote: Remote, settings: Sequence[Setting], registry: Place | None = None
) -> Iterator[Finding]:
    """Everything that can be seen of the forge with this token; images are kept in `registry`."""
    looks = (
        Look("what protects main", partial(_main, remote, settings)),
        Look(f"what protects {BRANCH}", partial(_state, remote)),
        Look("what tokens of runs may do", partial(_actions, remote)),
        Look("workflows that are switched off", partial(_workflows, remote)),
        Look("secrets of the repository", partial(_secrets, remote)),
        *(
            [Look(f"logging in to {registry.host}", partial(judge_login, remote, registry))]
            if registry
            else ()
        ),
        Look("errors of CODEOWNERS", partial(_code_owners, remote)),
        *(
            Look(f"the environment {one.name}", partial(_environment, remote, one))
            for one in settings
            if one.kind == "environment"
        ),
        *(Look(one.title, partial(_bypass, remote, one)) for one in settings if one.kind == "ruleset"),
        *(
            Look(one.title, partial(_compare, remote, one))
            for one in settings
            if one.kind in ("repository", "label")
        ),
    )
    for look in looks:
        try:
            # All of it before any of it, so that a refusal in the middle is not mistaken for a full account.
            yield from list(look.judge())
        except UserError as error:
            yield refused(look.title, explained(error))


def refused(title: str, error: UserError) -> Finding:
    """What a refusal means: the plan does not have it, or this token may not see it."""
    if isinstance(error, PlanError):
        return Finding("plan", f"{title}: {error.message}", "GitHub does not enforce it here.", error.fix)
    if is_hidden(error):
        return unseen(title, error.message)
    return Finding("unknown", f"{title}: {error.message}", "", error.fix)


def _main(remote: Remote, settings: Sequence[Setting]) -> Iterator[Finding]:
    wanted = Protection()
    for one in settings:
        includes = one.wanted.get("conditions", {}).get("ref_name", {}).get("include", [])
        if one.kind == "ruleset" and {"~DEFAULT_BRANCH", "refs/heads/main"} & set(includes):
            wanted = wanted.with_(of_rules(one.wanted["rules"]))
    there, classic = _rules(remote, "main"), _classic(remote)
    yield from judge_main(there.with_(classic or Protection()), wanted, unseen_classic=classic is None)


def _classic(remote: Remote) -> Protection | None:
    """Classic protection of main; None where there may be some that this token does not see.

    Rulesets can be read by everybody, classic protection by administrators only. Whether there is any stands in the
    branch itself, which everybody can read.
    """
    try:
        return of_classic(as_object(remote.github.get(f"{remote.path}/branches/main/protection")))
    except UserError as error:
        if "Branch not protected" in error.message:
            return Protection()
        if isinstance(explained(error), PlanError):
            raise
    try:
        protection = as_object(remote.github.get(f"{remote.path}/branches/main")).get("protection")
    except NotFoundError:
        return Protection()  # without the branch nothing of its own protects it
    return Protection() if isinstance(protection, dict) and protection.get("enabled") is False else None


def _state(remote: Remote) -> Iterator[Finding]:
    try:
        remote.github.get(f"{remote.path}/branches/{BRANCH}")
        yield Finding("ok", f"{BRANCH} is there")
    except NotFoundError:
        yield Finding(
            "advice", f"{BRANCH} is not there yet", "The first delivery makes it.", "Merge a pull request."
        )
    yield from judge_state(_rules(remote, BRANCH))


def _rules(remote: Remote, branch: str) -> Protection:
    """What rulesets of every level ask of `branch`."""
    return of_rules(map(as_object, remote.github.pages(f"{remote.path}/rules/branches/{segment(branch)}")))


def _actions(remote: Remote) -> Iterator[Finding]:
    said = as_object(remote.github.get(f"{remote.path}/actions/permissions/workflow"))
    if said.get("can_approve_pull_request_reviews"):
        yield Finding("ok", "workflows may open pull requests")
    else:
        yield Finding(
            "missing",
            "workflows may not open pull requests",
            "Promotions and rollbacks from a workflow need it; from a laptop they work.",
            f"{FIX}\nOr: Settings > Actions > General > Allow GitHub Actions to create and approve pull requests.",
        )
    if said.get("default_workflow_permissions") == "read":
        yield Finding("ok", "tokens of runs can only read unless a job asks for more")
    else:
        why = "Every workflow that forgets to name its permissions may write everything."
        yield Finding("advice", "tokens of runs can write everything by default", why, FIX)


def _workflows(remote: Remote) -> Iterator[Finding]:
    """GitHub switches schedules off after 60 days without a commit, in public repositories; people do it, too."""
    listed = remote.github.pages(f"{remote.path}/actions/workflows", key="workflows")
    off = [one for one in map(as_object, listed) if str(one.get("state")).startswith("disabled")]
    for one in off:
        name = str(one.get("path")).rpartition("/")[2]
        important = name in _NEEDED_WORKFLOWS
        why = _NEEDED_WORKFLOWS.get(name, "Nothing starts it.")
        what = f"the workflow {name} is switched off ({one.get('state')})"
        yield Finding("missing" if important else "advice", what, why, f"gh workflow enable {name}")
    if not off:
        yield Finding("ok", "no workflow is switched off")


def _secrets(remote: Remote) -> Iterator[Finding]:
    listed = remote.github.pages(f"{remote.path}/actions/secrets", key="secrets")
    names = {str(as_object(one).get("name")) for one in listed}
    why = "A workflow on any branch can read it, also one that a pull request brings."
    misplaced = sorted(names & set(_OF_ENVIRONMENTS))
    for name in misplaced:
        fix = f"Set it in the environment that needs it, then: gh secret delete {name}"
        yield Finding("missing", f"the secret {name} stands at the level of the repository", why, fix)
    others = sorted(names - set(_OF_ENVIRONMENTS) - set(_OF_REPOSITORY))
    if others:
        fix = "Move what only deployments need to the environment production."
        yield Finding("advice", f"secrets at the level of the repository: {', '.join(others)}", why, fix)
    if not misplaced:
        yield Finding("ok", "no credentials of an environment stand at the level of the repository")


def _code_owners(remote: Remote) -> Iterator[Finding]:
    try:
        errors = as_object(remote.github.get(f"{remote.path}/codeowners/errors")).get("errors") or []
    except NotFoundError:
        return  # that there is no file is found in the clone
    for one in map(as_object, errors):
        what = f"{one.get('path')}, line {one.get('line')}: {one.get('kind')}"
        fix = str(one.get("suggestion") or one.get("message") or "")
        yield Finding("missing", what, "GitHub leaves this line out.", fix)
    if not errors:
        yield Finding("ok", "GitHub can read CODEOWNERS, and its owners may write")


def _environment(remote: Remote, setting: Setting) -> Iterator[Finding]:
    title = f"the environment {setting.name}"
    found = remote.read(setting)
    if found.value is None:
        why = "Its secrets, and who may use them, have no place."
        yield Finding("missing", f"{title} is not there", why, FIX)
        return
    wrong = [one.line for one in differences(setting.wanted, found.value)]
    if wrong:
        why = "A workflow on another branch than main could take its credentials."
        yield Finding("missing", f"{title}: {'; '.join(wrong)}", why, FIX)
    else:
        yield Finding("ok", f"{title} lets in {', '.join(setting.wanted['branches']) or 'every branch'} only")
    for rule in found.value.get("protection_rules") or []:
        if rule.get("type") == "required_reviewers":
            why = (
                "Approvals belong on the pull request: here a deployment waits up to 30 days, rollbacks too."
            )
            yield Finding("advice", f"{title} waits for reviewers", why, "Take them out in its settings.")


def _bypass(remote: Remote, setting: Setting) -> Iterator[Finding]:
    """Who may pass by a ruleset: what holds for a branch does not say for whom it does not."""
    try:
        found = remote.read(setting)
    except PlanError:
        return  # what protects the branch was looked at, and said so
    wanted = {"bypass_actors": setting.wanted.get("bypass_actors", [])}
    if found.value is None:
        return  # what protects the branch was looked at, and said so
    # Only who may write sees them.
    if "bypass_actors" not in found.value:
        yield unseen(f"who may pass by the {setting.title}")
        return
    wrong = [one.line for one in differences(wanted, found.value) if one.wanted is None]
    if wrong:
        why = "For them it is as if there were no rule."
        fix = f"{FIX}\nOr write them into .github/settings, where everybody sees them."
        yield Finding("missing", f"somebody may pass by the {setting.title}: {'; '.join(wrong)}", why, fix)
    else:
        yield Finding("ok", f"nobody passes by the {setting.title} who is not in .github/settings")


def _compare(remote: Remote, setting: Setting) -> Iterator[Finding]:
    found = remote.read(setting)
    if found.value is None:
        yield Finding(
            "advice", f"the {setting.title} is not there", "It is made when it is first needed.", FIX
        )
        return
    if setting.kind == "repository" and not any(name in found.value for name in setting.wanted):
        yield unseen("the settings of the repository")  # only who may write sees how it merges
        return
    wrong = [one.line for one in differences(setting.wanted, found.value)]
    if wrong:
        why = "It is not what .github/settings says."
        yield Finding("advice", f"{setting.title}: {'; '.join(wrong)}", why, FIX)
    else:
        yield Finding("ok", f"the {setting.title} is as .github/settings says")
