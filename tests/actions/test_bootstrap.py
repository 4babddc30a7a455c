"""The paired bootstrap against scikit-learn on the same resamples, against scipy, against itself, and by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from gitops_ml import bootstrap, ranks, scores
from gitops_ml.bootstrap import (
    Noise,
    compare,
    draw,
    draw_means,
    expanded_tail,
    weight_blocks,
    weighted_difference,
)
from gitops_ml.catalogue import look_up
from gitops_ml.scores import Sample, score, settle
from scipy import stats
from sklearn import metrics as sk

from benchmarks.coverage import CLASSIFICATION, REGRESSION, WORLDS, simulate
from tests.actions.test_scores import BINARY, several
from tests.actions.test_scores import REGRESSION as REGRESSION_ORACLES

BLOCK = Noise(resamples=8, seed=4)


def sides(rows: int, seed: int = 0, ties: bool = False) -> tuple[Sample, Sample]:
    generator = np.random.default_rng(seed)
    truth = (generator.random(rows) < 0.4).astype(np.int32)
    signal = generator.normal(size=rows) + 2 * truth - 1
    found = []
    for noise in (0.6, 0.2):
        probability = 1 / (1 + np.exp(-(signal + noise * generator.normal(size=rows))))
        probability = np.round(probability, 1) if ties else probability
        found.append(Sample("classification", truth, (probability > 0.5).astype(np.int32), probability, 2, 1))
    return found[0], found[1]


def numbers(rows: int, seed: int = 0) -> tuple[Sample, Sample]:
    generator = np.random.default_rng(seed)
    truth = generator.normal(10, 3, rows)
    head, base = (truth + spread * generator.standard_t(5, rows) for spread in (1.1, 1.0))
    return Sample("regression", truth, head), Sample("regression", truth, base)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("name", ["roc_auc", "average_precision", "log_loss", "brier"])
def test_every_resample_is_scikit_learns_on_the_same_rows(name: str, ties: bool) -> None:
    head, base = sides(250, ties=ties)
    weights = next(weight_blocks(head.rows, BLOCK))
    found = weighted_difference(look_up(name), head, base)(weights)
    for drawn, difference in zip(weights, found, strict=True):
        rows = np.repeat(np.arange(head.rows), drawn)
        ones = np.ones(len(rows))
        expected = BINARY[name](head.take(rows), ones) - BINARY[name](base.take(rows), ones)
        assert difference == pytest.approx(expected, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("name", ["mae", "mse", "rmse", "r2", "pinball_0.9"])
def test_every_resample_of_a_regression_is_scikit_learns(name: str) -> None:
    head, base = numbers(250)
    weights = next(weight_blocks(head.rows, BLOCK))
    found = weighted_difference(look_up(name), head, base)(weights)
    for drawn, difference in zip(weights, found, strict=True):
        rows = np.repeat(np.arange(head.rows), drawn)
        ones = np.ones(len(rows))
        oracle = REGRESSION_ORACLES[name]
        assert difference == pytest.approx(
            oracle(head.take(rows), ones) - oracle(base.take(rows), ones), abs=1e-9
        )


@pytest.mark.parametrize("name", ["accuracy", "balanced_accuracy", "f1", "precision", "recall", "f1_macro"])
def test_counts_of_cells_are_scikit_learns_on_the_same_rows(name: str) -> None:
    head, base = sides(250)
    known = settle(look_up(name), head, None)
    cells, counts = bootstrap._cells(head, base)
    weights = next(weight_blocks(head.rows, BLOCK))
    codes = [tuple(cell) for cell in cells]
    rows_of = [codes.index(cell) for cell in zip(head.truth, head.pred, base.pred, strict=True)]
    drawn = np.stack([np.bincount(rows_of, row, minlength=len(cells)) for row in weights])
    assert counts.sum() == head.rows
    found = bootstrap.counted_difference(known, head, cells, drawn.astype(float))
    for row, difference in zip(weights, found, strict=True):
        assert difference == pytest.approx(BINARY[name](head, row) - BINARY[name](base, row), abs=1e-12)


@pytest.mark.parametrize(
    "name", ["roc_auc", "average_precision", "log_loss", "f1", "roc_auc_weighted", "accuracy"]
)
def test_several_classes_are_compared(name: str) -> None:
    head, base = several(seed=1), several(seed=1)
    blurred = 0.5 * base.score + 0.5 / base.classes
    base = Sample("classification", base.truth, np.roll(base.pred, 1), blurred[:, [1, 0, 2, 3]], 4, None)
    known = settle(look_up(name), head, None)
    difference = compare({name: known}, head, base, Noise(500))[name]
    assert difference.head == pytest.approx(score(known, head))
    assert difference.low is not None
    assert difference.high is not None
    assert difference.low <= difference.delta <= difference.high


def test_weights_draw_every_resample_from_all_rows() -> None:
    blocks = list(weight_blocks(3000, Noise(resamples=700)))
    assert len(blocks) > 1
    weights = np.concatenate(blocks)
    assert weights.shape == (700, 3000)
    assert (weights.sum(axis=1) == 3000).all()
    assert weights.var() == pytest.approx(1, rel=0.02)


def exact_and_direct(
    monkeypatch: pytest.MonkeyPatch, known: dict, pair: tuple[Sample, Sample]
) -> tuple[dict, dict]:
    noise = Noise(resamples=4000)
    monkeypatch.setattr(bootstrap, "EXACT_DRAWS", 10**12)
    exact = draw(known, *pair, noise)
    monkeypatch.setattr(bootstrap, "EXACT_DRAWS", 0)
    return exact, draw(known, *pair, noise)


@pytest.mark.parametrize(
    ("names", "make"),
    [
        (("roc_auc", "average_precision", "log_loss", "brier"), sides),
        (("mae", "rmse", "r2", "pinball_0.9"), numbers),
    ],
)
def test_means_drawn_directly_are_distributed_like_rows_drawn(monkeypatch, names, make) -> None:
    known = {name: look_up(name) for name in names}
    exact, direct = exact_and_direct(monkeypatch, known, make(1500))
    for name in names:
        spread = exact[name].std()
        # Standard errors of 4,000 draws: 1.6 % of the spread for the mean, 1.1 % for the spread, 4 % for a tail.
        assert direct[name].mean() == pytest.approx(exact[name].mean(), abs=0.1 * spread)
        assert direct[name].std() == pytest.approx(spread, rel=0.06)
        tails = [0.025, 0.975]
        assert np.quantile(direct[name], tails) == pytest.approx(
            np.quantile(exact[name], tails), abs=0.2 * spread
        )


def test_few_rows_that_decide_everything_are_drawn_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """One certain and wrong answer dominates log loss: the distribution is far from normal."""
    head, base = sides(4000)
    score_of = head.score.copy()
    score_of[0] = 1.0 - head.truth[0]
    sure = Sample("classification", head.truth, head.pred, np.clip(score_of, 1e-300, 1), 2, 1)
    score_of[:] = base.score
    exact, direct = exact_and_direct(monkeypatch, {"log_loss": look_up("log_loss")}, (sure, base))
    assert stats.ks_2samp(exact["log_loss"], direct["log_loss"]).statistic < 0.05


def test_rare_positives_keep_the_interval_of_roc_auc(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(3)
    truth = np.zeros(5000, dtype=np.int32)
    truth[:40] = 1
    signal = generator.normal(size=5000) + 1.5 * truth
    pair = tuple(
        Sample("classification", truth, truth, signal + noise * generator.normal(size=5000), 2, 1)
        for noise in (0.8, 0.2)
    )
    exact, direct = exact_and_direct(monkeypatch, {"roc_auc": look_up("roc_auc")}, pair)
    assert direct["roc_auc"].std() == pytest.approx(exact["roc_auc"].std(), rel=0.07)


def test_placements_are_delongs_variance() -> None:
    """The variance of one ROC AUC from placement values, against the textbook formula computed pair by pair."""
    head, _ = sides(120, ties=True)
    positive = head.truth == 1
    pairs = np.sign(head.score[positive][:, None] - head.score[~positive][None, :]) / 2 + 0.5
    values = ranks.placements(scores.rankings(head)[0])
    assert values[positive] == pytest.approx(pairs.mean(axis=1))
    assert values[~positive] == pytest.approx(pairs.mean(axis=0))


def test_the_linear_part_of_average_precision_is_its_derivative() -> None:
    head, _ = sides(80, ties=True)
    ranking = scores.rankings(head)[0]
    influence = ranks.average_precision_influence(ranking)
    step = 1e-6
    for row in range(0, 80, 7):
        weights = np.ones((2, 80))
        weights[0, row] += step
        weights[1, row] -= step
        up, down = ranks.average_precision(ranking, weights)
        assert influence[row] == pytest.approx(80 * (up - down) / (2 * step), abs=1e-4)
    assert influence.mean() == pytest.approx(0, abs=1e-12)


def test_intervals_are_those_of_scipy() -> None:
    head, base = numbers(400)
    ours = compare({"mae": look_up("mae")}, head, base, Noise(4000))["mae"]
    gained = np.abs(head.truth - head.pred) - np.abs(base.truth - base.pred)
    theirs = stats.bootstrap(
        (gained,), np.mean, n_resamples=4000, method="percentile", rng=np.random.default_rng(1)
    )
    spread = theirs.standard_error
    assert ours.low == pytest.approx(theirs.confidence_interval.low, abs=0.2 * spread)
    assert ours.high == pytest.approx(theirs.confidence_interval.high, abs=0.2 * spread)


@pytest.mark.parametrize("rows", [10, 30, 200])
def test_the_tail_is_cut_where_students_is(rows: int) -> None:
    student = -stats.t.ppf(0.025, rows - 1) * np.sqrt(rows / (rows - 1))
    assert expanded_tail(0.025, rows) == pytest.approx(stats.norm.cdf(-student), rel=0.02)


def test_the_same_seed_gives_the_same_interval_and_another_seed_another() -> None:
    pair = sides(300)
    known = {name: settle(look_up(name), pair[0], None) for name in CLASSIFICATION}
    first, again, other = (compare(known, *pair, Noise(300, seed=seed)) for seed in (1, 1, 2))
    assert first == again
    assert all(first[name] != other[name] for name in known)


def test_a_metric_does_not_depend_on_its_company() -> None:
    pair = sides(300)
    known = {name: settle(look_up(name), pair[0], None) for name in CLASSIFICATION}
    together = compare(known, *pair, Noise(300))
    assert all(compare({name: known[name]}, *pair, Noise(300))[name] == together[name] for name in known)


def test_equal_predictions_differ_by_exactly_nothing() -> None:
    head, _ = sides(300)
    known = {name: settle(look_up(name), head, None) for name in CLASSIFICATION}
    for difference in compare(known, head, head, Noise(200)).values():
        assert (difference.delta, difference.low, difference.high) == (0, 0, 0)


def test_two_positives_give_no_interval() -> None:
    truth = np.zeros(50, dtype=np.int32)
    truth[:2] = 1
    probability = np.linspace(0, 1, 50)
    head = Sample("classification", truth, truth, probability, 2, 1)
    base = Sample("classification", truth, truth, probability[::-1].copy(), 2, 1)
    difference = compare({"roc_auc": look_up("roc_auc")}, head, base, Noise(500))["roc_auc"]
    assert difference.low is None


def test_one_class_has_no_roc_auc_and_says_so_by_its_absence() -> None:
    head, base = sides(50)
    ones = np.ones(50, dtype=np.int32)
    head, base = (Sample("classification", ones, ones, side.score, 2, 1) for side in (head, base))
    assert compare({"roc_auc": look_up("roc_auc")}, head, base, Noise(200)) == {}


def test_ten_rows_never_crash() -> None:
    for rows in (2, 3, 10):
        head, base = numbers(rows)
        assert set(compare({name: look_up(name) for name in REGRESSION}, head, base, Noise(200))) <= set(
            REGRESSION
        )
    means = bootstrap._means(look_up("mae"), *numbers(4))
    assert draw_means(means, Noise(200)).shape == (200,)


@pytest.mark.parametrize(("task", "truth"), WORLDS)
def test_intervals_cover_and_no_change_is_seldom_called_worse(
    task: str, truth: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """150 seeded pairs; with coverage 0.95 fewer than 0.88 covered has a chance under 1 in 1,000 per metric."""
    monkeypatch.setattr("benchmarks.coverage.POPULATION", 300_000)
    names = CLASSIFICATION if task == "classification" else REGRESSION
    for name, covered, regressed, judged in simulate(WORLDS[task, truth], names, 150, 250, Noise(200)):
        assert judged == 150
        assert covered / judged >= 0.88, name
        if truth == "no change":
            assert regressed / judged <= 0.09, name


def test_the_simulation_would_notice_an_interval_too_narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    def narrow(deltas: np.ndarray, confidence: float, rows: int) -> tuple[float, float]:
        low, high = np.quantile(deltas, [0.15, 0.85])
        return float(low), float(high)

    monkeypatch.setattr(bootstrap, "interval", narrow)
    ((_, covered, regressed, judged),) = simulate(
        WORLDS["regression", "no change"], ("mae",), 150, 300, Noise(300)
    )
    assert covered / judged < 0.88
    assert regressed / judged > 0.09


def test_scikit_learn_is_not_needed_at_run_time() -> None:
    import subprocess
    import sys

    code = (
        "import sys; sys.modules.update(dict.fromkeys(('sklearn', 'scipy', 'pandas')))\n"
        "import gitops_ml.verbs.diff"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": ":".join(sys.path)})


def test_oracles_are_scikit_learns() -> None:
    assert BINARY["roc_auc"](sides(50)[0], None) == sk.roc_auc_score(sides(50)[0].truth, sides(50)[0].score)
