"""Laws of the rank correlation of losses and accuracies."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import spearmanr

from csvcore import salience
from csvcore.analysis import rank_tokens
from csvcore.analysis.rank_tokens import best_ranking, rank_correlations

seeds = st.integers(0, 10_000)
SEEN = np.arange(12) < 9


@given(seeds)
@settings(max_examples=20)
def test_correlations_are_those_of_scipy_and_read_no_other_model(seed: int) -> None:
    rng = np.random.default_rng(seed)
    nll = rng.gamma(2.0, 1.0, (12, 30)).round(1)  # ties among them
    accuracy = rng.uniform(size=(2, 12))
    expected = [
        [spearmanr(nll[SEEN, unit], one[SEEN]).statistic for unit in range(30)] for one in accuracy
    ]
    nll_spoilt = np.where(SEEN[:, None], nll, np.nan)
    rho = rank_correlations(nll_spoilt, np.where(SEEN, accuracy, np.nan), SEEN)
    assert_allclose(rho, expected, atol=1e-12)


def test_blocks_of_units_change_nothing(monkeypatch: object) -> None:
    rng = np.random.default_rng(0)
    nll, accuracy = rng.uniform(size=(12, 100)), rng.uniform(size=(1, 12))
    whole = rank_correlations(nll, accuracy, SEEN)
    monkeypatch.setattr(rank_tokens, "BLOCK", 7)  # type: ignore[attr-defined]
    assert_allclose(rank_correlations(nll, accuracy, SEEN), whole)
    assert salience.BLOCK != 7


def test_a_unit_that_does_not_vary_ranks_nothing() -> None:
    nll = np.ones((12, 3))
    assert_array_equal(rank_correlations(nll, np.linspace(0, 1, 12)[None], SEEN), np.zeros((1, 3)))


def test_the_units_that_fall_as_accuracy_rises_are_kept_and_only_those_that_count() -> None:
    accuracy = np.linspace(0.1, 0.9, 12)
    rising, falling = accuracy, 1 - accuracy
    nll = np.stack([rising, falling, 2 * falling, rising, falling**2], axis=1)
    counts = np.array([True, True, False, True, True])
    kept = best_ranking(nll, np.stack([accuracy, 1 - accuracy]), SEEN, counts, top=0.5)
    assert_array_equal(kept, [[0, 1, 0, 0, 1], [1, 0, 0, 1, 0]])
    assert best_ranking(nll, accuracy[None], SEEN, counts, top=0.01).sum() == 1
