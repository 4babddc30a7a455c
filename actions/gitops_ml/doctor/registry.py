"""Whether a run can log in to the registry of images, as far as the names of variables and secrets tell."""

from __future__ import annotations

from collections.abc import Iterator

from gitops_ml.doctor.finding import Finding
from gitops_ml.github import NotFoundError
from gitops_ml.login.place import ACCOUNT, PASSWORD, Place
from gitops_ml.settings.remote import Remote, as_object


def judge_login(remote: Remote, registry: Place) -> Iterator[Finding]:
    """What is not set that the login at `registry` needs; raises `UserError` where this token may not look."""
    title = f"runs can log in to {registry.host}"
    if registry.kind == "forge":
        yield Finding("ok", f"{title} with the token that each of them has")
        return
    variables = _names(remote, "variables")
    # An account goes before the identity that a cloud would take.
    account = registry.kind == "account" or ACCOUNT in variables
    needed = (ACCOUNT,) if account else registry.variables
    missing = [f"gh variable set {name}" for name in needed if name not in variables]
    if account and PASSWORD not in _names(remote, "secrets"):
        missing.append(f"gh secret set {PASSWORD}")
    if not missing:
        yield Finding("ok", f"what is needed so that {title} is set: {', '.join(needed)}")
    elif account and len(missing) == 2:
        why = f"{registry.host} may ask nobody; if it does, no image can be pushed there, and none pulled."
        yield Finding("advice", f"no account is set with which {title}", why, "\n".join(missing))
    else:
        names = " and ".join(line.split()[-1] for line in missing)
        why = f"No image can be pushed to {registry.host}, and none pulled."
        yield Finding("missing", f"{names} not set, so that no run can log in", why, "\n".join(missing))


def _names(remote: Remote, kind: str) -> set[str]:
    """Of the repository's variables or secrets, and of those that its organisation shares with it."""
    own = remote.github.pages(f"{remote.path}/actions/{kind}", key=kind)
    names = {str(as_object(one).get("name")) for one in own}
    try:
        shared = remote.github.pages(f"{remote.path}/actions/organization-{kind}", key=kind)
        return names | {str(as_object(one).get("name")) for one in shared}
    except NotFoundError:
        return names  # it belongs to a person, or the server does not know of sharing
