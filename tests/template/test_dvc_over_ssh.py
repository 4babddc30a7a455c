"""Data sent to a machine over SSH and fetched from there, with DVC's own extra for it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from gitops_ml.cli import build_parser
from gitops_ml.errors import UserError
from gitops_ml.runner import Runner
from gitops_ml.verbs import data

from tools.template_files import ROOT

SERVER = ("uvx", "--from", "asyncssh==2.24.0", "python", str(ROOT / "tests" / "fakes" / "sftp.py"))
# The project's DVC, without the rest of its packages.
PROGRAM = "#!/bin/sh\nexec uvx --quiet --from 'dvc[ssh]>=3.64,<4' dvc \"$@\"\n"


@pytest.fixture
def machine(tmp_path: Path, environ: dict[str, str]) -> Iterator[tuple[str, str, str]]:
    """Address of a folder on a machine, the private key that is let in there, and one that is not."""
    folder = tmp_path / "machine"
    folder.mkdir()
    server = subprocess.Popen([*SERVER, str(folder)], env=environ, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    try:
        port = int(server.stdout.readline())
        key, other = ((folder / name).read_text(encoding="utf-8") for name in ("key", "other"))
        yield f"ssh://ann@127.0.0.1:{port}/srv/dvc", key, other
    finally:
        server.terminate()
        server.wait()
        server.stdout.close()


def test_a_key_sends_and_fetches_and_no_key_does_not(
    rendered, environ: dict[str, str], machine: tuple[str, str, str], tmp_path: Path
) -> None:
    address, key, other = machine
    project, _ = rendered({"dvc_remote": "ssh", "dvc_remote_url": address})
    program = project / ".venv" / "bin" / "dvc"
    program.parent.mkdir(parents=True)
    program.write_text(PROGRAM, encoding="utf-8")
    program.chmod(0o755)
    # The key comes with a home of its own, in which uv would begin with an empty cache.
    cache = subprocess.run(["uv", "cache", "dir"], env=environ, capture_output=True, text=True, check=True)
    common = {**environ, "UV_CACHE_DIR": cache.stdout.strip(), "RUNNER_TEMP": str(tmp_path)}

    def run(secret: str, **options: str) -> int:
        words = [f"--{name}={value}" for name, value in options.items()]
        arguments = build_parser("data").parse_args(["data", f"--working-directory={project}", *words])
        return data.run(arguments, Runner({**common, "GITOPS_ML_DVC_SECRET": secret}))

    rows = project / "data" / "rows.csv"
    rows.write_text("a,b\n1,2\n", encoding="utf-8")
    subprocess.run([program, "add", "--quiet", rows], cwd=project, env=common, check=True)
    assert run(key, command="dvc push data/rows.csv.dvc") == 0
    fetched = tmp_path / "fetched"
    assert run(key, pointers=str(project), into=str(fetched)) == 0
    assert [path.read_bytes() for path in fetched.rglob("*") if path.is_file()] == [rows.read_bytes()]
    with pytest.raises(UserError, match=r"dvc fetch failed: .*denied"):
        run(other, pointers=str(project), into=str(tmp_path / "nothing"))
