"""`python -m tools.release TAG FOLDER`: what a release of this template consists of, made from its tag.

Two files: the source as `git archive` gives it, the same bytes every time, and the list of the packages that the
actions install, as CycloneDX. Nothing is published here.
"""

from __future__ import annotations

import argparse
import gzip
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

from tools.template_files import ROOT

NAME = "cookiecutter-gitops-ml"
TAG = re.compile(r"v([0-9]+\.[0-9]+\.[0-9]+)")
LOCKED = re.compile(r"^([a-z0-9-]+)==([^ ;\\]+)(.*?)(?=^[a-z0-9-]+==|\Z)", re.MULTILINE | re.DOTALL)
HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


class ReleaseError(Exception):
    """The tag is not ready to be released; the message says what is missing."""


def git(root: Path, *words: str) -> bytes:
    done = subprocess.run(["git", *words], cwd=root, capture_output=True)
    if done.returncode != 0:
        raise ReleaseError(f"git {words[0]} failed: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout


def check_version(root: Path, tag: str) -> str:
    """The version that `tag` names; raises ReleaseError unless the project and the changelog name it too."""
    match = TAG.fullmatch(tag)
    if match is None:
        raise ReleaseError(f"{tag!r} is not a version; tag it like v1.2.3.")
    version = match[1]
    declared = tomllib.loads(git(root, "show", f"{tag}:pyproject.toml").decode())["project"]["version"]
    if declared != version:
        raise ReleaseError(f"pyproject.toml says {declared}, the tag says {version}.")
    suite = tomllib.loads(git(root, "show", f"{tag}:actions/pyproject.toml").decode())["project"]["version"]
    if suite != version:
        raise ReleaseError(f"actions/pyproject.toml says {suite}, the tag says {version}.")
    answer = json.loads(git(root, "show", f"{tag}:cookiecutter.json"))["actions_ref"]
    if answer != tag:
        raise ReleaseError(f"cookiecutter.json offers the actions of {answer}, not of {tag}.")
    if not re.search(
        rf"^## \[?{re.escape(version)}\b", git(root, "show", f"{tag}:CHANGELOG.md").decode(), re.MULTILINE
    ):
        raise ReleaseError(f"CHANGELOG.md has no section {version}.")
    return version


def archive(root: Path, tag: str, version: str) -> bytes:
    """The source of `tag` as a compressed tar file, the same bytes whenever and wherever it is made."""
    tar = git(root, "archive", "--format=tar", f"--prefix={NAME}-{version}/", tag)
    return gzip.compress(tar, mtime=0)


def components(text: str) -> list[dict[str, object]]:
    """The packages of one file of locked requirements, in its order."""
    return [
        {
            "type": "library",
            "name": name,
            "version": version,
            "purl": f"pkg:pypi/{name}@{version}",
            "hashes": [{"alg": "SHA-256", "content": found} for found in HASH.findall(rest)],
        }
        for name, version, rest in LOCKED.findall(text)
    ]


def sbom(root: Path, tag: str, version: str) -> str:
    """Every package that an action may install, as CycloneDX 1.6."""
    names = git(root, "ls-tree", "--name-only", tag, "actions/requirements/").decode().split()
    found: dict[str, dict[str, object]] = {}
    for name in names:
        for component in components(git(root, "show", f"{tag}:{name}").decode()):
            found[str(component["purl"])] = component
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": {"type": "application", "name": NAME, "version": version}},
        "components": [found[purl] for purl in sorted(found)],
    }
    return json.dumps(document, indent=2) + "\n"


def make(root: Path, tag: str, folder: Path) -> list[Path]:
    """Write the files of the release `tag` into `folder`; raises ReleaseError before anything is written."""
    version = check_version(root, tag)
    source, packages = archive(root, tag, version), sbom(root, tag, version)
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"{NAME}-{version}.tar.gz", folder / f"{NAME}-{version}.cdx.json"]
    files[0].write_bytes(source)
    files[1].write_text(packages, encoding="utf-8")
    return files


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tag")
    parser.add_argument("folder", type=Path)
    options = parser.parse_args(arguments)
    try:
        print("\n".join(str(path) for path in make(ROOT, options.tag, options.folder)))
    except ReleaseError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
