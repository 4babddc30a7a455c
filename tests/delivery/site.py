"""A repository on a forge whose pull requests train models, and the job on main that makes releases of them."""

from __future__ import annotations

import copy
import hashlib
import json
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO, StringIO
from pathlib import Path

from gitops_ml.cli import build_parser
from gitops_ml.delivery.facts import Facts
from gitops_ml.delivery.git import Git
from gitops_ml.delivery.records import load_facts
from gitops_ml.runner import Runner
from gitops_ml.verbs import release

from tests.actions.launching import files_of
from tests.delivery.repositories import STAGING, git, make_clone
from tests.fakes.contract import Contract
from tests.fakes.forge import Forge
from tests.fakes.git_remote import GitRemote
from tests.fakes.state import Pull, Run, State

IMAGE = "ghcr.io/octo/churn"
PIPELINE = f"""schema: 1
image: {IMAGE}
environments:
  - {{name: staging, follow: true}}
  - {{name: production}}
"""
FILES = {
    "environments/pipeline.yaml": PIPELINE,
    "environments/staging.yaml": STAGING,
    "environments/production.yaml": "schema: 1\nenvironment: production\nrelease:\n",
    "gates.yaml": "schema: 1\nprimary: roc_auc\n",
    "src/model.py": "depth = 1\n",
    ".gitignore": "/build/\n/model/\n/reports/\n",
    "README.md": "A model.\n",
}


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def trained(commit: str, weights: bytes = b"weights") -> dict[str, bytes]:
    """What training at `commit` leaves behind, path to content."""
    data = sha256(b"rows")
    contract = {"schema": 1, "model_name": "churn", "model_hash": sha256(weights), "data_hash": data}
    run = {
        "model_hash": sha256(weights),
        "data_hash": data,
        "eval_hash": sha256(b"evaluation"),
        "commit": commit,
        "mlflow_run_id": "5" * 32,
    }
    return {
        "build/test.parquet": b"PAR1",
        "model/model.skops": weights,
        "model/contract.json": json.dumps(contract).encode(),
        "reports/run.json": json.dumps(run).encode(),
        "reports/metrics.json": b'{"roc_auc": 0.97, "fit_seconds": 1.5}',
        "reports/plots/roc.svg": b"<svg/>",
    }


def zipped(files: dict[str, bytes]) -> bytes:
    stream = BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return stream.getvalue()


def write(folder: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def content_of(folder: Path) -> dict[str, bytes]:
    """Every file of a checkout but git's own."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".git" not in path.relative_to(folder).parts
    }


@dataclass
class Site:
    """`author` is the clone in which people work; `project` the one that the job on main checked out."""

    forge: Forge
    remote: GitRemote
    author: Path
    project: Path
    folder: Path
    environ: dict[str, str] = field(default_factory=dict)
    runs: int = 900

    @classmethod
    def make(cls, forge: Forge, folder: Path) -> Site:
        remote = GitRemote.create(folder / "origin.git")
        forge.state.git = remote
        author = make_clone(remote.path, "author")
        git(author, "checkout", "--quiet", "-B", "main")
        site = cls(forge, remote, author, folder / "project", folder)
        site.commit("Begin", FILES)
        remote.merge(author)
        make_clone(remote.path, "project")
        return site

    def commit(self, message: str, files: dict[str, str]) -> str:
        write(self.author, {name: text.encode() for name, text in files.items()})
        git(self.author, "add", "--all")
        git(self.author, "commit", "--quiet", "-m", message)
        return git(self.author, "rev-parse", "HEAD")

    def propose(self, branch: str, files: dict[str, str]) -> int:
        """Open a pull request of one commit on the newest main; its number."""
        git(self.author, "fetch", "--quiet", "origin")
        git(self.author, "checkout", "--quiet", "-B", branch, "origin/main")
        self.commit(f"Change {', '.join(files)}", files)
        git(self.author, "push", "--quiet", "--force", "origin", branch)
        return self.forge.open_pull(branch)

    def push(self, number: int, files: dict[str, str]) -> None:
        """One more commit on the pull request that is checked out."""
        self.commit("More", files)
        git(self.author, "push", "--quiet", "origin", f"HEAD:{self.pull(number).ref}")

    def pull(self, number: int) -> Pull:
        found = self.forge.state.pull(number)
        assert found is not None
        return found

    def head(self, number: int) -> str:
        return self.pull(number).sha

    def train(self, number: int, files: dict[str, bytes] | None = None) -> Run:
        """The run of `pull-request.yml` for the present head, with the model that it trained."""
        self.runs += 1
        pull = self.pull(number)
        run = Run(self.runs, self.runs, pull.head_repo, pull.ref, pull.sha)
        self.forge.state.runs.append(run)
        self.forge.state.artifact(run, zipped(files or trained(pull.sha)), "model-head")
        return run

    def merge(self, number: int) -> str:
        """Squash; the project is what a job on main checks out after it."""
        commit = self.forge.merge(number)
        self.check_out()
        return commit

    def check_out(self) -> None:
        git(self.project, "fetch", "--quiet", "origin")
        git(self.project, "checkout", "--quiet", "--detach", "origin/main")

    def verb(self, task: str, *words: str) -> dict[str, str]:
        """Run the verb as a step of deliver.yml; its outputs. It has to end with 0."""
        output, summary = self.folder / "output", self.folder / "summary.md"
        for path in (output, summary):
            path.write_text("", encoding="utf-8")
        environ = {
            "GITHUB_REPOSITORY": self.forge.state.repository,
            "GITHUB_API_URL": self.forge.api_url,
            "GITHUB_SERVER_URL": "https://forge.invalid",
            "GITHUB_TOKEN": "token",
            "GITHUB_OUTPUT": str(output),
            "GITHUB_STEP_SUMMARY": str(summary),
            **self.environ,
        }
        options = build_parser("release").parse_args(
            ["release", task, "--project", str(self.project), *words]
        )
        assert release.run(options, Runner(environ, StringIO())) == 0
        return files_of(output)

    @property
    def summary(self) -> str:
        return (self.folder / "summary.md").read_text(encoding="utf-8")

    def facts(self) -> Facts:
        return load_facts(Git(self.remote.path), self.remote.heads().get("deploy-state"))


@contextmanager
def merged(contract: Contract | None, folder: Path, *, train: bool) -> Iterator[tuple[Site, State]]:
    """A merged pull request, with a run of its own (901) when it was trained, and the forge's state to return to."""
    with Forge(contract) as forge:
        site = Site.make(forge, folder)
        number = site.propose("topic", {"src/model.py": "depth = 2\n"})
        if train:
            site.train(number)
        site.merge(number)
        yield site, copy.deepcopy(forge.state)
    assert forge.violations == []
