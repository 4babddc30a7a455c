"""Building the image of a project: what it is given, and the list of what is in it."""

from __future__ import annotations

import json
import shlex
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from gitops_ml.engine import Build, Engine, last_line
from gitops_ml.errors import UserError
from gitops_ml.provenance import Provenance

# Where packages are found, and how to get there. Docker itself passes proxies on when they are named without a value.
INDEX_VARIABLES = (
    "PIP_INDEX_URL",
    "PIP_EXTRA_INDEX_URL",
    "PIP_TRUSTED_HOST",
    "UV_DEFAULT_INDEX",
    "UV_INDEX",
    "UV_INDEX_URL",
    "UV_EXTRA_INDEX_URL",
    "UV_INSECURE_HOST",
)
PROXY_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")


@dataclass(frozen=True)
class Order:
    """What is to be built. An empty `base`, `network` or `certificates` leaves the choice to Dockerfile and engine."""

    project: Path
    dockerfile: Path
    tag: str
    base: str = ""
    release: str = ""
    network: str = ""
    certificates: Path | None = None


@dataclass(frozen=True)
class Built:
    """`image.json`: the image and what it was made from; `size_bytes` is unpacked, with its base."""

    image: str
    id: str
    size_bytes: int
    source: str
    revision: str
    model_hash: str
    data_hash: str
    schema: int = 1

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2) + "\n"


def build(engine: Engine, order: Order, made_from: Provenance, environ: Mapping[str, str]) -> Built:
    """Build and describe the image; raises `UserError` when a file is missing or the engine fails."""
    for path, fix in (
        (order.dockerfile, "Name the right file."),
        (order.project / "uv.lock", "Run: uv lock"),
    ):
        if not path.is_file():
            raise UserError(f"{path} does not exist.", fix)
    with _secrets(order, environ) as secrets:
        engine.build(
            Build(
                context=order.project,
                dockerfile=order.dockerfile,
                tag=order.tag,
                arguments=_arguments(order, made_from, environ),
                secrets=secrets,
                network=order.network,
            )
        )
    image = engine.image(order.tag)
    return Built(
        image=order.tag,
        id=image.id,
        size_bytes=image.size,
        source=made_from.source,
        revision=made_from.revision,
        model_hash=made_from.model_hash,
        data_hash=made_from.data_hash,
    )


def _arguments(order: Order, made_from: Provenance, environ: Mapping[str, str]) -> dict[str, str]:
    arguments = {
        "SOURCE": made_from.source,
        "REVISION": made_from.revision,
        "MODEL_HASH": made_from.model_hash,
        "DATA_HASH": made_from.data_hash,
        "SOURCE_DATE_EPOCH": str(made_from.epoch),
    }
    arguments |= {"BASE": order.base} if order.base else {}
    arguments |= {"RELEASE": order.release} if order.release else {}
    return arguments | {name: environ[name] for name in PROXY_VARIABLES if environ.get(name)}


@contextmanager
def _secrets(order: Order, environ: Mapping[str, str]) -> Iterator[dict[str, Path]]:
    """The files that the build may read and no layer keeps."""
    if order.certificates is not None and not order.certificates.is_file():
        raise UserError(f"{order.certificates} does not exist.", "Name a file of certificates, or none.")
    found = {"ca": order.certificates} if order.certificates is not None else {}
    settings = [f"{name}={shlex.quote(environ[name])}\n" for name in INDEX_VARIABLES if environ.get(name)]
    with tempfile.TemporaryDirectory(prefix="gitops-ml-") as folder:
        if settings:
            path = Path(folder, "index")
            path.touch(mode=0o600)
            path.write_text("".join(settings), encoding="utf-8")
            found["index"] = path
        yield found


def write_sbom(project: Path, target: Path, environ: Mapping[str, str]) -> int:
    """Write the packages of the image as CycloneDX JSON, from the lock; returns their number.

    It lists what `uv.lock` gives to the image on any platform; the packages of the base image have their own list.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    words = ["uv", "export", "--quiet", "--locked", "--no-default-groups", "--group", "serve"]
    words += ["--format", "cyclonedx1.5", "--preview-features", "sbom-export"]
    words += ["--output-file", str(target.absolute())]
    try:
        done = subprocess.run(
            words, cwd=project, env=dict(environ), stdin=subprocess.DEVNULL, capture_output=True, text=True
        )
    except FileNotFoundError:
        raise UserError(
            "uv is not on PATH, and the list of packages needs it.", "Add the setup action before this step."
        ) from None
    if done.returncode != 0:
        raise UserError(f"uv could not list the packages of the image: {last_line(done.stderr)}")
    components = json.loads(target.read_text(encoding="utf-8")).get("components", [])
    if not components:
        raise UserError(f"{target}: uv listed no package.", "Is there a dependency group `serve`?")
    return len(components)
