"""`python -m benchmarks.batch`: rows per second and peak memory of `predict --input --output` over files of many rows.

The rows are those of the model's reference, again and again, with an id of their own. Each file is predicted by a
process of its own, as `make batch` starts it; files are removed when they were measured.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
import time
from pathlib import Path

from benchmarks.generated import Generated, trained

# Not in this process: what it holds in memory would count as its child's.
WRITE = """
import sys
import numpy as np, pyarrow as pa, pyarrow.parquet as pq
reference, target, count = pq.read_table(sys.argv[1]), sys.argv[2], int(sys.argv[3])
generator = np.random.default_rng(0)
writer = None
for start in range(0, count, 100_000):
    size = min(100_000, count - start)
    rows = reference.take(generator.integers(0, reference.num_rows, size))
    rows = rows.append_column("id", pa.array([f"row-{start + n}" for n in range(size)]))
    writer = writer or pq.ParquetWriter(target, rows.schema)
    writer.write_table(rows)
writer.close()
"""
COUNT = "import sys, pyarrow.parquet as pq; print(pq.ParquetFile(sys.argv[1]).metadata.num_rows)"


def measure(generated: Generated, folder: Path, rows: int) -> tuple[float, float, float]:
    """Seconds of the whole process, its peak memory in MiB, and the input's size in MB."""
    source, target = folder / "rows.parquet", folder / "predictions.parquet"
    reference = str(generated.project / "model" / "reference.parquet")
    generated.output(generated.python, "-c", WRITE, reference, str(source), str(rows))
    words = [generated.python, "-m", f"{generated.package}.service", "predict"]
    words += ["--input", str(source), "--output", str(target)]
    environ = {**generated.environ, "PYTHONPATH": "src"}
    began = time.perf_counter()
    with (folder / "log.txt").open("w+b") as log:
        process = subprocess.Popen(words, cwd=generated.project, env=environ, stdout=log, stderr=log)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            log.seek(0)
            raise SystemExit(f"predict failed:\n{log.read().decode()}")
    written = int(generated.output(generated.python, "-c", COUNT, str(target)))
    if written != rows:
        raise SystemExit(f"{rows} rows went in, {written} came out")
    size = source.stat().st_size / 1e6
    source.unlink()
    target.unlink()
    return seconds, usage.ru_maxrss / 1024, size


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, nargs="+", default=[10**5, 10**6, 10**7])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        generated = trained(folder)
        print("| rows | input MB | seconds | rows/s | peak MiB |\n| --: | --: | --: | --: | --: |")
        for rows in options.rows:
            seconds, memory, size = measure(generated, folder, rows)
            line = f"| {rows:,} | {size:,.0f} | {seconds:.1f} | {rows / seconds:,.0f} | {memory:,.0f} |"
            print(line, flush=True)


if __name__ == "__main__":
    main()
