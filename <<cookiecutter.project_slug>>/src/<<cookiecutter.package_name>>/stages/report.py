"""Print the metrics of the last training, and where the rest is."""

from __future__ import annotations

from .. import errors, files


def main() -> None:
    measured = files.read_json(files.REPORTS / "metrics.json")
    record = files.read_json(files.REPORTS / "run.json")
    width = max(map(len, measured))
    for name, value in measured.items():
        print(f"  {name:<{width}}  {value:10.4f}")
    identity = {
        "model": record["model_hash"][:12],
        "data": record["data_hash"][:12],
        "MLflow run": record["mlflow_run_id"],
    }
    print("\n  " + "    ".join(f"{name}  {value}" for name, value in identity.items()))
    print(f"  read {files.REPORTS / 'model-card.md'}, look at {files.REPORTS / 'plots'}")


if __name__ == "__main__":
    errors.run(main)
