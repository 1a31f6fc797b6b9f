"""Laws of the completion of a table: products are found, entries that are not seen do not count."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from csvcore.analysis.factorisation import card_features, completed
from csvcore.records import ModelCard


def product(rank: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(60, rank)) @ rng.normal(size=(rank, 8))


def test_missing_entries_of_a_low_rank_table_are_found() -> None:
    truth = product(2)
    table = np.where(np.random.default_rng(1).random(truth.shape) < 0.8, truth, np.nan)
    found = completed(table, np.zeros((60, 0)), 2)
    hidden = np.isnan(table)
    error = np.square(found - truth)[hidden].mean() / truth[hidden].var()
    assert error < 0.05
    flat = np.square(np.nanmean(table, axis=0) - truth)[hidden].mean() / truth[hidden].var()
    assert error < 0.1 * flat


def test_a_row_without_entries_follows_its_features() -> None:
    known = np.random.default_rng(2).normal(size=(60, 1))
    truth = known @ np.array([[1.0, -2.0, 0.5]]) + 3.0
    table = truth.copy()
    table[:5] = np.nan
    assert_allclose(completed(table, known, 1)[:5], truth[:5], atol=0.15)


@settings(max_examples=15)
@given(seed=st.integers(0, 20), scale=st.floats(0.1, 10), shift=st.floats(-5, 5))
def test_units_of_a_column_and_order_of_rows_do_not_matter(
    seed: int, scale: float, shift: float
) -> None:
    truth = product(2, seed)
    table = np.where(np.random.default_rng(seed).random(truth.shape) < 0.8, truth, np.nan)
    none = np.zeros((60, 0))
    plain = completed(table, none, 2)
    order = np.random.default_rng(seed + 1).permutation(60)
    other = table[order]
    other[:, 0] = shift + scale * other[:, 0]
    found = completed(other, none, 2)
    assert_allclose(found[:, 1:], plain[order, 1:], atol=0.02)
    assert_allclose(found[:, 0], shift + scale * plain[order, 0], atol=0.02 * scale)


def test_a_number_that_a_card_lacks_is_the_mean() -> None:
    cards = [ModelCard("a", "f", n_params=10), ModelCard("b", "f", n_params=1000)]
    assert_allclose(card_features([*cards, ModelCard("c", "f")]), [[-1, 0], [1, 0], [0, 0]])
