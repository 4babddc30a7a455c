"""How fast and how large: the paired bootstrap beside resampling with scikit-learn, and `gitops-ml diff` as a process.

All methods run one after the other on the same rows of the same machine. The slow ones (scikit-learn's functions,
drawing every row) are timed on a part of the resamples and scaled up. Run: python benchmarks/bootstrap.py
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from sklearn import metrics as sk

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "actions"))

from gitops_ml import bootstrap
from gitops_ml.catalogue import look_up
from gitops_ml.scores import Sample

ACTIONS = Path(__file__).resolve().parents[1] / "actions"
METRICS = ("roc_auc", "log_loss", "accuracy")
RESAMPLES = 2000
GATES = "schema: 1\nprimary: roc_auc\nmetrics: {roc_auc: {max_drop: 0.01}, log_loss: {max_rise_rel: 0.1}}\n"


def pair(rows: int, seed: int = 0) -> tuple[Sample, Sample]:
    """Head and base: probabilities of two models on the same rows, one slightly noisier."""
    generator = np.random.default_rng(seed)
    truth = (generator.random(rows) < 0.3).astype(np.int32)
    signal = generator.normal(size=rows) + 1.5 * truth - 1
    sides = []
    for noise in (0.31, 0.30):
        score = 1 / (1 + np.exp(-(signal + noise * generator.normal(size=rows))))
        sides.append(Sample("classification", truth, (score > 0.5).astype(np.int32), score, 2, 1))
    return sides[0], sides[1]


def ours(head: Sample, base: Sample) -> tuple[float, dict[str, bootstrap.Difference]]:
    """Seconds and results of the whole comparison, points and intervals."""
    start = time.perf_counter()
    found = bootstrap.compare(
        {name: look_up(name) for name in METRICS}, head, base, bootstrap.Noise(RESAMPLES)
    )
    return time.perf_counter() - start, found


def every_row_drawn(head: Sample, base: Sample, resamples: int) -> float:
    """Seconds per resample of this package's exact method, which smaller reports get."""
    limit, bootstrap.EXACT_DRAWS = bootstrap.EXACT_DRAWS, 10**15
    start = time.perf_counter()
    known = {name: look_up(name) for name in METRICS}
    bootstrap.draw(known, head, base, bootstrap.Noise(resamples))
    bootstrap.EXACT_DRAWS = limit
    return (time.perf_counter() - start) / resamples


def with_sklearn(head: Sample, base: Sample, resamples: int) -> tuple[float, dict[str, np.ndarray]]:
    """Seconds per resample, and the resampled differences, with scikit-learn's functions on drawn rows."""
    generator = np.random.default_rng(0)
    found: dict[str, list[float]] = {name: [] for name in METRICS}
    start = time.perf_counter()
    for _ in range(resamples):
        rows = generator.integers(0, head.rows, head.rows)
        truth, left, right = head.truth[rows], head.score[rows], base.score[rows]
        found["roc_auc"].append(sk.roc_auc_score(truth, left) - sk.roc_auc_score(truth, right))
        found["log_loss"].append(sk.log_loss(truth, left) - sk.log_loss(truth, right))
        answers = sk.accuracy_score(truth, head.pred[rows]) - sk.accuracy_score(truth, base.pred[rows])
        found["accuracy"].append(answers)
    seconds = (time.perf_counter() - start) / resamples
    return seconds, {name: np.array(values) for name, values in found.items()}


def write_sides(folder: Path, rows: int) -> None:
    """Reports folders of both sides, as a training would leave them."""
    for name, side in zip(("head", "base"), pair(rows), strict=True):
        (folder / name).mkdir()
        metrics = {
            "roc_auc": float(sk.roc_auc_score(side.truth, side.score)),
            "log_loss": float(sk.log_loss(side.truth, side.score)),
            "accuracy": float(sk.accuracy_score(side.truth, side.pred)),
        }
        (folder / name / "metrics.json").write_text(json.dumps(metrics))
        table = pa.table(
            {"id": np.arange(rows), "y_true": side.truth, "y_pred": side.pred, "y_score": side.score}
        )
        pq.write_table(table, folder / name / "predictions.parquet")
    (folder / "gates.yaml").write_text(GATES)


def as_process(rows: int) -> tuple[float, float]:
    """Seconds and peak MiB of `gitops-ml diff` from process start to end."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_sides(folder, rows)
        command = [sys.executable, "-m", "gitops_ml", "diff", "--head", "head", "--base", "base"]
        environ = {"PYTHONPATH": str(ACTIONS), "PATH": os.environ["PATH"]}
        start = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=folder, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        if os.waitstatus_to_exitcode(status) != 0:
            assert process.stderr is not None
            raise SystemExit(f"gitops-ml diff failed: {process.stderr.read().decode()}")
        return seconds, usage.ru_maxrss / 1024


def main() -> int:
    """Print the tables; 1 when a figure misses its target."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--part", type=int, default=60, help="resamples timed of the slow methods")
    parser.add_argument(
        "--large", type=int, default=10_000_000, help="rows of the memory test; 0 leaves it out"
    )
    options = parser.parse_args()

    head, base = pair(options.rows)
    ours(head, base)  # once to warm up, as scikit-learn's is over many resamples
    seconds, found = ours(head, base)
    each, drawn = with_sklearn(head, base, options.part)
    ratio = each * RESAMPLES / seconds
    print(f"{RESAMPLES:,} paired resamples of {', '.join(METRICS)} on {options.rows:,} rows\n")
    print("| method | seconds | |\n| --- | --: | --- |")
    print(f"| scikit-learn on drawn rows | {each * RESAMPLES:.1f} | {options.part} timed, scaled up |")
    exact = every_row_drawn(head, base, options.part) * RESAMPLES
    faster = each * RESAMPLES / exact
    print(f"| gitops_ml.bootstrap, every row drawn | {exact:.1f} | {faster:,.0f} times faster, scaled up |")
    print(f"| gitops_ml.bootstrap | {seconds:.3f} | {ratio:,.0f} times faster; target 50 |\n")
    print(
        "| metric | delta | interval | spread | spread with scikit-learn |\n| --- | --: | --- | --: | --: |"
    )
    for name, difference in found.items():
        spread = (difference.high - difference.low) / (2 * 1.96)
        interval = f"{difference.low:+.5f} to {difference.high:+.5f}"
        print(f"| {name} | {difference.delta:+.5f} | {interval} | {spread:.6f} | {drawn[name].std():.6f} |")
    print("\n| gitops-ml diff | seconds | peak MiB | target |\n| --- | --: | --: | --- |")
    small, small_memory = as_process(10_000)
    print(f"| 10,000 rows | {small:.2f} | {small_memory:,.0f} | 2 s |", flush=True)
    large_memory = 0.0
    if options.large:
        large, large_memory = as_process(options.large)
        print(f"| {options.large:,} rows | {large:.1f} | {large_memory:,.0f} | 4,096 MiB |")
    return 0 if ratio >= 50 and small < 2 and large_memory < 4096 else 1


if __name__ == "__main__":
    raise SystemExit(main())
