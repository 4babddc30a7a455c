"""One side's `reports/` folder: metrics, identity and cost (predictions and test results have modules of their own)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gitops_ml.errors import UserError
from gitops_ml.inputs import check_name, load_json, shown

MAX_METRICS = 200
MAX_ENTRIES = 2000
MAX_NUMBER = 1e300  # differences of two such numbers are still finite
_HASHES = ("data_hash", "eval_hash", "model_hash", "params_hash", "commit")


@dataclass(frozen=True)
class Run:
    """Identity of one training run, from `run.json`; what is unknown is None or empty."""

    data_hash: str | None = None
    eval_hash: str | None = None
    model_hash: str | None = None
    params_hash: str | None = None
    commit: str | None = None
    mlflow_run_id: str | None = None
    seed: int | None = None
    task: str | None = None
    positive_class: str | None = None
    duration_s: float | None = None
    params: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    packages: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Cost:
    """What training cost, from `cost.json`: seconds, MiB, bytes."""

    duration_s: float | None = None
    peak_memory_mib: float | None = None
    model_bytes: float | None = None
    trained: bool = True


@dataclass(frozen=True)
class Reports:
    """One `reports/` folder without its predictions; `predictions` is the path of that file, if there is one."""

    path: Path
    metrics: Mapping[str, float]
    run: Run = field(default_factory=Run)
    cost: Cost = field(default_factory=Cost)
    predictions: Path | None = None


def read_reports(folder: Path, need_metrics: bool = True) -> Reports:
    """Read the folder of one side; raises `UserError` with file and place.

    `metrics.json` must be there unless `need_metrics` is false, as for a folder of re-scored predictions.
    """
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder.", "Give the folder that holds metrics.json.")
    metrics_path = folder / "metrics.json"
    metrics: dict[str, float] = {}
    if need_metrics or _exists(metrics_path):
        metrics = flatten_metrics(load_json(metrics_path), metrics_path)
    return Reports(
        path=folder,
        metrics=metrics,
        run=_read_run(folder / "run.json"),
        cost=_read_cost(folder / "cost.json"),
        predictions=_predictions_path(folder),
    )


def read_recorded(path: Path) -> Reports:
    """Production's record: a `reports/` folder, or one JSON file of metrics.

    The file is either what `metrics.json` would hold, or an object whose key `metrics` holds that and whose other
    keys are those of `run.json`.
    """
    if path.is_dir():
        return read_reports(path)
    value = load_json(path)
    if isinstance(value, dict) and isinstance(value.get("metrics"), dict):
        run = parse_run({key: item for key, item in value.items() if key != "metrics"}, path)
        return Reports(path, flatten_metrics(value["metrics"], path), run)
    return Reports(path, flatten_metrics(value, path))


def flatten_metrics(value: Any, path: Path) -> dict[str, float]:
    """The numbers of `metrics.json` by name; the names of nested objects join with `.`."""
    if not isinstance(value, dict):
        raise UserError(f"{path}: must be an object of numbers.", 'For example: {"roc_auc": 0.97}')
    found: dict[str, float] = {}
    waiting: list[tuple[str, Any]] = list(value.items())
    while waiting:
        name, item = waiting.pop(0)
        if isinstance(item, dict):
            waiting = [(f"{name}.{key}", child) for key, child in item.items()] + waiting
            continue
        check_name(name, str(path))
        if isinstance(item, bool) or not isinstance(item, int | float):
            raise UserError(f"{path}, key {shown(name)}: must be a number, not {_kind(item)}.")
        if abs(item) > MAX_NUMBER:
            raise UserError(f"{path}, key {shown(name)}: beyond {MAX_NUMBER:g}.")
        if name in found:
            raise UserError(f"{path}, key {shown(name)}: two metrics get this name.", "Rename one of them.")
        found[name] = float(item)
        if len(found) > MAX_METRICS:
            raise UserError(f"{path}: more than {MAX_METRICS} metrics.", "Report fewer.")
    if not found:
        raise UserError(f"{path}: holds no metric.", 'For example: {"roc_auc": 0.97}')
    return found


def parse_run(value: Any, path: Path) -> Run:
    """The identity in the object of `run.json`; unknown keys are left alone, known ones must have their type."""
    if not isinstance(value, dict):
        raise UserError(f"{path}: must be an object.")
    texts = {key: _text(value, key, path) for key in (*_HASHES, "mlflow_run_id", "task")}
    seed = value.get("seed")
    if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int) or abs(seed) >= 2**63):
        raise UserError(f"{path}, key 'seed': must be an integer of at most 64 bits.")
    params = _entries(value, "params", path)
    positive = value.get("positive_class", params.get("data.positive_class"))
    return Run(
        **texts,
        seed=seed,
        positive_class=None if positive is None else label_text(positive),
        duration_s=_amount(value, "duration_s", path),
        params={name: _shown_value(item) for name, item in params.items()},
        files={name: _file_value(item) for name, item in _entries(value, "files", path).items()},
        packages={name: _shown_value(item) for name, item in _entries(value, "packages", path).items()},
    )


def label_text(value: object) -> str:
    """A class label as text, the same for `1`, `1.0` and `"1"`."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _read_run(path: Path) -> Run:
    return parse_run(load_json(path), path) if _exists(path) else Run()


def _read_cost(path: Path) -> Cost:
    if not _exists(path):
        return Cost()
    value = load_json(path)
    if not isinstance(value, dict):
        raise UserError(f"{path}: must be an object.")
    amounts = {key: _amount(value, key, path) for key in ("duration_s", "peak_memory_mib", "model_bytes")}
    return Cost(**amounts, trained=value.get("trained") is not False)


def _predictions_path(folder: Path) -> Path | None:
    found = [folder / name for name in ("predictions.parquet", "predictions.csv") if _exists(folder / name)]
    if len(found) > 1:
        raise UserError(f"{folder}: has predictions.parquet and predictions.csv.", "Write only one of them.")
    return found[0] if found else None


def _exists(path: Path) -> bool:
    """Whether there is anything at `path`, even a dangling link: only true absence makes a file optional."""
    return path.is_symlink() or path.exists()


def _text(value: dict[str, Any], key: str, path: Path) -> str | None:
    item = value.get(key)
    if item is None or item == "":
        return None
    if not isinstance(item, str) or len(item) > 200:
        raise UserError(f"{path}, key {shown(key)}: must be a text of at most 200 characters.")
    return item.removeprefix("sha256:")


def _amount(value: dict[str, Any], key: str, path: Path) -> float | None:
    item = value.get(key)
    if item is None:
        return None
    if isinstance(item, bool) or not isinstance(item, int | float) or not 0 <= item <= MAX_NUMBER:
        raise UserError(f"{path}, key {shown(key)}: must be a number of 0 or more.")
    return float(item)


def _entries(value: dict[str, Any], key: str, path: Path) -> dict[str, Any]:
    item = value.get(key)
    if item is None:
        return {}
    if not isinstance(item, dict) or len(item) > MAX_ENTRIES:
        raise UserError(f"{path}, key {shown(key)}: must be an object of at most {MAX_ENTRIES} entries.")
    return item


def _shown_value(item: object) -> str:
    return item if isinstance(item, str) else json.dumps(item, ensure_ascii=False)


def _file_value(item: object) -> str:
    """A data file in words: its hash, shortened, and its rows."""
    if not isinstance(item, dict):
        return _shown_value(item)
    digest = next((str(item[key]) for key in ("hash", "sha256", "md5") if item.get(key)), "")
    rows = f", {item['rows']} rows" if isinstance(item.get("rows"), int) else ""
    return f"{digest.removeprefix('sha256:')[:12]}{rows}" if digest else _shown_value(item)


def _kind(item: object) -> str:
    names = {str: "a text", bool: "true or false", list: "a list", type(None): "null"}
    return names.get(type(item), type(item).__name__)
