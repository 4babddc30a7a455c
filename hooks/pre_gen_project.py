"""Refuse answers that could not work, one sentence each, before anything is written."""

from __future__ import annotations

import json
import keyword
import re
import sys

# `tojson` turns every answer into a literal, whatever quotes or backslashes it holds.
ANSWERS: dict[str, str] = json.loads(<< cookiecutter | tojson | tojson >>)

SLUG = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
PACKAGE = re.compile(r"[a-z][a-z0-9_]*")
OWNER = re.compile(r"[A-Za-z0-9](?:-?[A-Za-z0-9]){0,38}")
REPOSITORY = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,38}/[A-Za-z0-9._-]{1,100}")
# A registry's host, which has a dot or a port, and at least one part of a name; as docker takes it.
IMAGE = re.compile(r"(?=[^/]*[.:])[a-z0-9][a-z0-9.-]*(?::[0-9]{1,5})?(?:/[a-z0-9][a-z0-9._-]*)+")
# Which addresses DVC takes for each kind of remote; a name and a password in them would end up in git.
PLACE = r"(?:/[A-Za-z0-9._=-]+)*/?"
REMOTES = {
    "s3": (re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]" + PLACE), "s3://bucket/path"),
    "gs": (re.compile(r"gs://[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]" + PLACE), "gs://bucket/path"),
    "azure": (re.compile(r"azure://[a-z0-9][a-z0-9-]{1,61}[a-z0-9]" + PLACE), "azure://container/path"),
    "ssh": (
        re.compile(r"ssh://(?:[a-z_][a-z0-9_-]*@)?[A-Za-z0-9][A-Za-z0-9.-]*(?::[0-9]{1,5})?(?=/)" + PLACE),
        "ssh://user@host/srv/dvc",
    ),
}
# What an image's name begins with in each registry, and one that would do. The clouds' hosts decide how to log in there.
REGISTRIES = {
    "ghcr.io": (re.compile(r"ghcr\.io/[^/]+/.+"), "ghcr.io/your-organisation/tumour-triage"),
    "docker.io": (re.compile(r"docker\.io/[^/]+/[^/]+"), "docker.io/you/tumour-triage"),
    "ecr": (
        re.compile(r"[0-9]{12}\.dkr\.ecr\.[a-z0-9-]+\.amazonaws\.com(?:\.cn)?/.+"),
        "123456789012.dkr.ecr.eu-central-1.amazonaws.com/tumour-triage",
    ),
    "gar": (
        re.compile(r"[a-z0-9-]+-docker\.pkg\.dev/[^/]+/[^/]+/.+"),
        "europe-west3-docker.pkg.dev/your-project/models/tumour-triage",
    ),
    "acr": (re.compile(r"[a-z0-9]+\.azurecr\.io/.+"), "yourregistry.azurecr.io/tumour-triage"),
    "other": (re.compile(r".+"), "registry.example.org/team/tumour-triage"),
}
LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
REF = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,99}")

# Names that the generated code imports; a package of the same name would hide them.
TAKEN = frozenset(
    "dvc fastapi gitops_ml hypothesis joblib matplotlib mlflow numpy pandas pandera prometheus_client pyarrow"
    " pydantic pytest scipy sklearn skops src tests uvicorn yaml".split()
)


def check_name(answers: dict[str, str]) -> str | None:
    name = answers["project_name"]
    if not name.strip():
        return "The project name is empty; answer with a name such as Tumour Triage."
    return None


def check_slug(answers: dict[str, str]) -> str | None:
    slug = answers["project_slug"]
    if not SLUG.fullmatch(slug) or len(slug) > 63:
        return (
            f"{slug!r} cannot name the repository; answer with lower-case words joined by hyphens, at most 63"
            " characters, such as tumour-triage."
        )
    return None


def check_package(answers: dict[str, str]) -> str | None:
    package = answers["package_name"]
    if not PACKAGE.fullmatch(package):
        return f"{package!r} cannot be imported; answer with lower-case letters, digits and underscores, such as tumour_triage."
    if keyword.iskeyword(package) or keyword.issoftkeyword(package):
        return f"{package!r} is a word of the Python language; answer with another package name, such as {package}_model."
    if package in sys.stdlib_module_names:
        return f"{package!r} is a module of Python's standard library; answer with another package name, such as {package}_model."
    if package in TAKEN:
        return f"{package!r} is a package this project uses; answer with another package name, such as {package}_model."
    return None


def check_one_line(answers: dict[str, str]) -> str | None:
    for question in ("project_name", "description", "author_name"):
        text = answers[question]
        if not text.strip():
            return f"The answer to {question} is empty; one short line is enough."
        if not text.isprintable() or len(text) > 200:
            return f"The answer to {question} must be one line of at most 200 printable characters."
    return None


def check_owner(answers: dict[str, str]) -> str | None:
    owner = answers["github_owner"]
    if not OWNER.fullmatch(owner):
        return f"{owner!r} is not a GitHub user or organisation; answer with the name in your repository's address."
    return None


def check_actions(answers: dict[str, str]) -> str | None:
    if answers["actions_source"] != "remote":
        return None
    if not REPOSITORY.fullmatch(answers["actions_repository"]):
        return f"{answers['actions_repository']!r} is not a repository; answer with owner/name."
    ref = answers["actions_ref"]
    if not REF.fullmatch(ref) or ".." in ref or ref in {"main", "master", "HEAD"}:
        return f"{ref!r} can move or is not a ref; answer with a tag or, better, a full commit SHA."
    return None


def check_image(answers: dict[str, str]) -> str | None:
    image, registry = answers["image_repository"], answers["registry"]
    pattern, example = REGISTRIES[registry]
    if not IMAGE.fullmatch(image) or not pattern.fullmatch(image) or len(image) > 255:
        return (
            f"{image!r} is not a place for images in the registry {registry}; answer image_repository with a name in lower"
            f" case, without a tag, such as {example}."
        )
    return None


def check_runner(answers: dict[str, str]) -> str | None:
    labels = [label.strip() for label in answers["training_runner"].split(",")]
    if not all(LABEL.fullmatch(label) for label in labels):
        return (
            f"{answers['training_runner']!r} are no labels of a runner; answer with words joined by commas, such as"
            " ubuntu-24.04 or self-hosted, gpu."
        )
    return None


def check_dvc_remote(answers: dict[str, str]) -> str | None:
    kind, address = answers["dvc_remote"], answers["dvc_remote_url"]
    if kind == "none":
        return None
    pattern, example = REMOTES[kind]
    if not pattern.fullmatch(address) or "/.." in address or len(address) > 255:
        return f"{address!r} is not an address for DVC's remote {kind}; answer with one such as {example}."
    return None


CHECKS = (
    check_name,
    check_slug,
    check_package,
    check_one_line,
    check_owner,
    check_image,
    check_runner,
    check_dvc_remote,
    check_actions,
)


def problem(answers: dict[str, str]) -> str | None:
    """The first answer that could not work, in one sentence; later ones are often derived from it."""
    return next((sentence for check in CHECKS if (sentence := check(answers)) is not None), None)


if __name__ == "__main__":
    found = problem(ANSWERS)
    if found is not None:
        print(f"error: {found}", file=sys.stderr)
        sys.exit(1)
