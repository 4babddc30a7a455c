"""`python -m benchmarks.image_size`: how large the image is beside MLflow's, and how long a change of code takes.

Both images hold the same model and stand on the same base. MLflow's is built from its own `mlflow models
generate-dockerfile`, in its favour without nginx and without pip's cache. Needs a Docker Engine (DOCKER_HOST) that has
the base image; name the network that builds need, if any, with --network.
"""

from __future__ import annotations

import argparse
import shlex
import statistics
import sys
import tempfile
from pathlib import Path
from secrets import token_hex

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "actions"))

from gitops_ml import engine as engines
from gitops_ml.engine import Build, Docker
from gitops_ml.packing import INDEX_VARIABLES

from benchmarks.generated import Generated, run, trained, with_mlflow

GOAL_SIZE, GOAL_REBUILD_S = 0.5, 10.0
TAG_OURS, TAG_THEIRS = "gitops-ml-benchmark:ours", "gitops-ml-benchmark:mlflow"
# Debian's Python wants packages in an environment of their own.
HEAD = """FROM {base}
COPY with-index /with-index
RUN python3 -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH PIP_NO_CACHE_DIR=1
"""
MOUNTS = "--mount=type=secret,id=ca --mount=type=secret,id=index"


def adapted(dockerfile: str, base: str) -> str:
    """MLflow's Dockerfile on another base: without Debian's packages, and with this network's package index."""
    lines = []
    for line in dockerfile.replace("\\\n", " ").splitlines():
        if line.startswith("FROM "):
            lines.append(HEAD.format(base=base))
        elif line.startswith(("RUN pip ", "RUN python ")):
            lines.append(f"RUN {MOUNTS} sh /with-index {line.removeprefix('RUN ')}")
        elif not (line.startswith("RUN ") and "apt" in line):
            lines.append(line)
    return "\n".join(lines) + "\n"


def secrets(folder: Path, environ: dict[str, str]) -> dict[str, Path]:
    """What `gitops-ml image build` gives to a build too."""
    index = folder / "index"
    known = [f"{name}={shlex.quote(environ[name])}\n" for name in INDEX_VARIABLES if environ.get(name)]
    index.write_text("".join(known), encoding="utf-8")
    found = {"index": index} if known else {}
    return found | ({"ca": Path(environ["SSL_CERT_FILE"])} if environ.get("SSL_CERT_FILE") else {})


def build_theirs(engine: Docker, generated: Generated, folder: Path, base: str, network: str) -> int:
    """The size of MLflow's image in bytes."""
    mlflow, context = with_mlflow(folder, generated), folder / "mlflow-image"
    words = ("models", "generate-dockerfile", "--model-uri", str(mlflow.model), "--env-manager", "local")
    run(mlflow.command(*words, "--output-directory", str(context)), folder, mlflow.environ)
    dockerfile = context / "Dockerfile"
    dockerfile.write_text(adapted(dockerfile.read_text(encoding="utf-8"), base), encoding="utf-8")
    (context / "with-index").write_bytes((generated.project / "deploy" / "with-index").read_bytes())
    given = secrets(folder, dict(generated.environ))
    engine.build(Build(context, dockerfile, TAG_THEIRS, {}, given, network))
    return engine.image(TAG_THEIRS).size


def rebuilds(generated: Generated, make: tuple[str, ...], turns: int) -> list[float]:
    """Seconds of `make image`, each after another change of one module."""
    module = next((generated.project / "src").iterdir()) / "__init__.py"
    found = []
    for _ in range(turns):
        # One that the engine has not seen in an earlier run.
        change = f"# {token_hex(8)}\n"
        module.write_text(module.read_text(encoding="utf-8") + change, encoding="utf-8")
        found.append(generated.seconds(*make))
    return found


def main() -> int:
    """Print the table; 1 when an aim is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    parser.add_argument("--base", default=f"python:{version}-slim-bookworm")
    parser.add_argument("--network", default="", help="of the builds, such as host")
    parser.add_argument("--rounds", type=int, default=3, help="rebuilds")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        generated = trained(folder)
        engine = engines.find(generated.environ)
        empty = engine.image(options.base).size
        flags = f"--base={options.base}" + (f" --network={options.network}" if options.network else "")
        make = ("make", "image", f"IMAGE={TAG_OURS}", f"IMAGE_FLAGS={flags}", f"DOCKER={engine.command}")
        first = generated.seconds(*make)
        size = engine.image(TAG_OURS).size
        again = statistics.median(rebuilds(generated, make, options.rounds))
        theirs = build_theirs(engine, generated, folder, options.base, options.network)
    images = {"MLflow's": theirs, "ours": size, "the base alone": empty}
    print("| image | MB | without the base, MB | of MLflow's |\n| --- | --: | --: | --: |")
    for label, one in images.items():
        print(f"| {label} | {one / 1e6:.0f} | {(one - empty) / 1e6:.0f} | {one / theirs:.2f} |")
    print(
        f"\n`make image` took {first:.1f} s with whatever the engine had, {again:.1f} s after a change of code"
    )
    met = {
        "at most half of MLflow's size": size <= GOAL_SIZE * theirs,
        f"a rebuild under {GOAL_REBUILD_S:g} s": again < GOAL_REBUILD_S,
    }
    for goal, good in met.items():
        print(f"{goal}: {'met' if good else 'missed'}")
    return 0 if all(met.values()) else 1


if __name__ == "__main__":
    raise SystemExit(main())
