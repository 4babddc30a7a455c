"""Every command of docs/getting-started.md, in its order, as a newcomer would paste it."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

from tests.template.workbench import Workbench, running_python
from tests.tools.fresh_machine import fenced
from tools.template_files import ROOT, render

PAGE = ROOT / "docs" / "getting-started.md"
ADDRESS = "git@github.com:your-organisation/tumour-triage.git"
# The README says these too, and tests/image/test_fresh_machine.py follows it. The template is generated here from this
# checkout.
PLAYED_ELSEWHERE = ("make demo", "uv tool install", "cookiecutter gh:")


def commands() -> list[str]:
    return [line for block in fenced(PAGE.read_text(encoding="utf-8")) for line in block.splitlines()]


def test_the_page_works_from_top_to_bottom(template: Path, environ: dict[str, str], tmp_path: Path) -> None:
    project, _ = render(template, tmp_path, {"python_version": running_python()}, environ=environ)
    assert project.name in ADDRESS
    origin = tmp_path / "origin.git"
    subprocess.run(["git", "init", "--quiet", "--bare", str(origin)], check=True, env=environ)
    bench, ran = Workbench(project, environ), []
    followed = "".join(fenced((ROOT / "README.md").read_text(encoding="utf-8"))).splitlines()
    for command in commands():
        if command.startswith(PLAYED_ELSEWHERE):
            assert command in followed
            continue
        outcome = bench.run(
            "bash", "-euo", "pipefail", "-c", command.replace(ADDRESS, shlex.quote(str(origin)))
        )
        # The change of the page meets the gates; any other answer would have to be explained to the reader.
        assert outcome.code == 0, f"{command}\n{outcome.printed[-4000:]}"
        ran.append(command)
    assert {"make setup", "make train", "make test", "make report", "make compare"} <= set(ran)
    assert (project / "reports" / "diff" / "report.html").is_file()
    branches = subprocess.run(
        ["git", "branch", "--format=%(refname:short)"], cwd=origin, capture_output=True, text=True, check=True
    )
    assert branches.stdout.split() == ["main", "other-strength"]
