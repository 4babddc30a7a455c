"""Does a 95 % interval cover the true difference in 95 % of cases, and how often is no change called `regressed`?

Draws pairs of models from a population whose true metrics are known, compares each pair on a fresh evaluation set, and
counts. The target is coverage of 93 to 97 % and at most 5 % false `regressed`. Run: python benchmarks/coverage.py
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "actions"))

from gitops_ml import bootstrap
from gitops_ml.catalogue import look_up
from gitops_ml.comparing import from_difference
from gitops_ml.scores import Sample, score, settle

CLASSIFICATION = (
    "accuracy", "balanced_accuracy", "f1", "precision", "recall", "roc_auc", "average_precision", "log_loss", "brier",
)  # fmt: skip
REGRESSION = ("mae", "rmse", "r2", "pinball_0.9")
POPULATION = 1_000_000
METHODS = {"every row drawn": 10**12, "means drawn": 0}


@dataclass(frozen=True)
class World:
    """Two models with independent noise beside one signal; with equal `noise` neither is better."""

    task: str
    noise: tuple[float, float]

    def pair(self, rows: int, generator: np.random.Generator) -> tuple[Sample, Sample]:
        signal = generator.normal(size=rows)
        if self.task == "classification":
            truth = (generator.random(rows) < 1 / (1 + np.exp(1 - 1.5 * signal))).astype(np.int32)
            sides = []
            for noise in self.noise:
                probability = 1 / (1 + np.exp(1 - 1.2 * (signal + noise * generator.normal(size=rows))))
                answer = (probability > 0.5).astype(np.int32)
                sides.append(Sample("classification", truth, answer, probability, 2, 1))
            return sides[0], sides[1]
        value = 10 + 3 * signal + generator.standard_t(6, size=rows)
        head, base = (10 + 3 * (signal + noise * generator.normal(size=rows)) for noise in self.noise)
        return Sample("regression", value, head), Sample("regression", value, base)


WORLDS = {
    ("classification", "a change"): World("classification", (0.5, 0.3)),
    ("classification", "no change"): World("classification", (0.4, 0.4)),
    ("regression", "a change"): World("regression", (0.3, 0.25)),
    ("regression", "no change"): World("regression", (0.25, 0.25)),
}


def true_differences(world: World, names: tuple[str, ...]) -> dict[str, float]:
    """The population's differences; exactly 0 when both models have equal noise."""
    if world.noise[0] == world.noise[1]:
        return dict.fromkeys(names, 0.0)
    head, base = world.pair(POPULATION, np.random.default_rng(99))
    found = {}
    for name in names:
        known = settle(look_up(name), head, None)
        found[name] = (score(known, head) or 0.0) - (score(known, base) or 0.0)
    return found


def simulate(
    world: World, names: tuple[str, ...], pairs: int, rows: int, noise: bootstrap.Noise
) -> Iterator[tuple[str, int, int, int]]:
    """For each metric: its name, how many intervals held the true difference, `regressed`, and how many there were."""
    true = true_differences(world, names)
    covered: Counter[str] = Counter()
    regressed: Counter[str] = Counter()
    judged: Counter[str] = Counter()
    generator = np.random.default_rng(7)
    for number in range(pairs):
        head, base = world.pair(rows, generator)
        known = {name: settle(look_up(name), head, None) for name in names}
        seeded = bootstrap.Noise(noise.resamples, noise.confidence, noise.seed + number)
        for name, difference in bootstrap.compare(known, head, base, seeded).items():
            if difference.low is None or difference.high is None:
                continue
            judged[name] += 1
            covered[name] += difference.low <= true[name] <= difference.high
            regressed[name] += from_difference(name, known[name].direction, difference).verdict == "regressed"
    for name in names:
        yield name, covered[name], regressed[name], judged[name]


def main() -> int:
    """Print the table; 1 when a figure misses its target."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pairs", type=int, default=1000)
    parser.add_argument("--rows", type=int, default=400)
    parser.add_argument("--resamples", type=int, default=500)
    options = parser.parse_args()
    noise = bootstrap.Noise(options.resamples, 0.95, 0)
    missed = 0
    print(
        f"{options.pairs:,} pairs of {options.rows:,} rows, {options.resamples:,} resamples, 95 % intervals\n"
    )
    print("| metric | truth | method | covered | regressed | |\n| --- | --- | --- | --: | --: | --- |")
    for (task, truth), world in WORLDS.items():
        names = CLASSIFICATION if task == "classification" else REGRESSION
        for method, limit in METHODS.items():
            bootstrap.EXACT_DRAWS = limit
            for name, covered, regressed, judged in simulate(
                world, names, options.pairs, options.rows, noise
            ):
                good = 0.93 <= covered / judged <= 0.97 and (
                    truth == "a change" or regressed / judged <= 0.05
                )
                missed += not good
                shares = f"{covered / judged:.1%} | {regressed / judged:.1%}"
                print(
                    f"| {name} | {truth} | {method} | {shares} | {'ok' if good else 'missed'} |", flush=True
                )
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
