"""`model.skops`: the fitted pipeline in a file that runs no code when it is loaded.

Equal models are equal bytes: skops writes memory addresses, random file names and the time of day, which are
replaced by numbers in the order of the document.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from pathlib import Path
from typing import Any

import skops.io
from skops.io.exceptions import UntrustedTypesFoundException

from . import files, hashes
from .errors import UserError

MODEL_FILE = "model.skops"
CONTRACT_FILE = "contract.json"
REFERENCE_FILE = "reference.parquet"

# What a model file may hold beside the types that skops trusts itself. These hold data: a forged one could end the
# process, but runs no code of its own.
TRUSTED = (
    f"{__package__}.features.DateParts",
    "numpy.dtype",
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.metrics._dist_metrics.EuclideanDistance64",
    "sklearn.neighbors._kd_tree.KDTree",
    "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
    "sklearn.tree._tree.Tree",
)
_EPOCH = (1980, 1, 1, 0, 0, 0)


def save(model: Any, path: Path) -> str:
    """Write the model and return its hash.

    Raises:
        UserError: the model holds a type that loading would refuse.
    """
    data = canonical(skops.io.dumps(model))
    untrusted = sorted(set(skops.io.get_untrusted_types(data=data)) - set(TRUSTED))
    if untrusted:
        raise UserError(
            "params.yaml: model.estimator: its model file would hold types that loading does not trust"
            f" ({', '.join(untrusted)}); choose another estimator, or add them to TRUSTED in {Path(__file__).name}"
        )
    with files.replacing(path) as temporary:
        temporary.write_bytes(data)
    return hashes.of_bytes(data)


def check(path: Path, contract: Path, wanted: str) -> None:
    """Whether the model at `path` is the one with the hash `wanted`, which the file `contract` was made for.

    Raises:
        UserError: it cannot be read, or is another one.
    """
    try:
        found = hashes.of_file(path)
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); run `make train`, or name another folder") from None
    if found != wanted:
        raise UserError(
            f"{path} has the hash {found[:12]}, but {contract} was made for {wanted[:12] or 'no model'};"
            " the two files must come from one training"
        )


def load(path: Path) -> Any:
    """Read a model file.

    Raises:
        UserError: the file is missing, damaged, or holds a type that is not trusted.
    """
    try:
        return skops.io.load(path, trusted=list(TRUSTED))
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; run `make train` first") from None
    except UntrustedTypesFoundException as error:
        raise UserError(f"{path} was not loaded, because it is not trusted: {error}") from None
    except (zipfile.BadZipFile, KeyError, ValueError, TypeError, AttributeError, ImportError) as error:
        raise UserError(f"{path} is not a model that this version can load ({error})") from None


def canonical(data: bytes) -> bytes:
    """The same skops archive without memory addresses, random names and times."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    schema = json.loads(members.pop("schema.json"))
    identities: dict[int, int] = {}
    names: dict[str, str] = {}
    _renumber(schema, members, identities, names)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        contents = {"schema.json": json.dumps(schema, separators=(",", ":")).encode()}
        contents |= {new: members[old] for old, new in names.items()}
        for name, content in contents.items():
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 * 2**16
            archive.writestr(entry, content)
    return out.getvalue()


def _renumber(node: Any, members: dict[str, bytes], identities: dict[int, int], names: dict[str, str]) -> None:
    if isinstance(node, list):
        for inner in node:
            _renumber(inner, members, identities, names)
        return
    if not isinstance(node, dict):
        return
    if isinstance(node.get("__id__"), int):
        node["__id__"] = identities.setdefault(node["__id__"], len(identities) + 1)
    if isinstance(node.get("file"), str) and node["file"] in members:
        old = node["file"]
        suffix = re.search(r"\.\w+$", old)
        node["file"] = names.setdefault(old, f"{len(names) + 1}{suffix[0] if suffix else ''}")
    for inner in node.values():
        _renumber(inner, members, identities, names)
