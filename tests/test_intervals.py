from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from csvcore.errors import InputError
from csvcore.intervals import bootstrap_mean, residual_band
from csvcore.records import Floats


def interval(
    values: Floats, clusters: Sequence[str | int], level: float = 0.9
) -> tuple[float, float]:
    return bootstrap_mean(values, clusters, np.random.default_rng(0), level)


values = st.lists(st.floats(-10.0, 10.0), min_size=1, max_size=30).map(np.array)
several = st.lists(st.floats(0.0, 1.0), min_size=2, max_size=12).map(np.array)


# By hand


def test_a_band_takes_the_residual_of_the_conformal_rank() -> None:
    # of nine residuals the ceil(10 * 0.5) = 5th smallest, of nineteen the 20 * 0.9 = 18th
    residuals = np.array([-1.0, 8, 3, -4, 5, 6, -7, 2, 9])
    assert residual_band(residuals, level=0.5) == 5.0
    assert residual_band(residuals, level=0.41) == 5.0  # 4.1 is rounded up
    assert residual_band(np.arange(1.0, 20.0)) == 18.0


def test_a_band_of_too_few_residuals_is_the_largest() -> None:
    assert residual_band(np.array([0.1, -0.3])) == pytest.approx(0.3)


def test_two_runs_are_both_drawn_once_or_one_of_them_twice() -> None:
    # means 0, 0.5, 0.5, 1 are equally likely, so the ends of 90 % are the runs themselves
    assert interval(np.array([0.0, 1.0]), ["a", "b"]) == (0.0, 1.0)
    assert interval(np.array([0.0, 1.0]), ["a", "b"], level=0.4) == (0.5, 0.5)


def test_a_run_weighs_as_much_as_it_has_checkpoints() -> None:
    # draws: a a -> 0, a b -> 4 / 4, b b -> 4; the middle one is not the mean of run means, 2
    low, high = interval(np.array([0.0, 0.0, 0.0, 4.0]), ["a", "a", "a", "b"], level=0.4)
    assert (low, high) == (1.0, 1.0)


# Properties


@given(several, st.integers(1, 5))
def test_more_checkpoints_of_the_same_runs_make_nothing_surer(each: Floats, copies: int) -> None:
    names = [f"run {i}" for i in range(each.size)]
    repeated = interval(np.repeat(each, copies), np.repeat(names, copies).tolist())
    assert repeated == pytest.approx(interval(each, names), abs=1e-12)


@given(several)
def test_an_interval_lies_among_the_values_and_a_higher_level_is_wider(each: Floats) -> None:
    names = list(range(each.size))
    low, high = interval(each, names, level=0.9)
    inner_low, inner_high = interval(each, names, level=0.5)
    assert each.min() - 1e-12 <= low <= inner_low <= inner_high <= high <= each.max() + 1e-12


@given(values, st.floats(0.05, 0.95))
def test_a_band_covers_its_share_and_not_one_residual_more(each: Floats, level: float) -> None:
    band = residual_band(each, level)
    assert np.mean(np.abs(each) <= band) >= level or band == np.abs(each).max()
    assert np.sum(np.abs(each) < band) < (each.size + 1) * level


@given(values)
def test_a_band_minds_neither_sign_nor_order(each: Floats) -> None:
    assert residual_band(-each[::-1]) == residual_band(each)


# Second opinions


def test_with_a_run_for_each_value_it_is_the_normal_interval_of_a_mean() -> None:
    each = np.random.default_rng(1).normal(size=400)
    low, high = interval(each, list(range(400)))
    error = each.std() / np.sqrt(400)
    # 2,000 draws know the ends to about 5 % of a standard error; 0.15 leaves three times that
    assert low == pytest.approx(each.mean() - 1.645 * error, abs=0.15 * error)
    assert high == pytest.approx(each.mean() + 1.645 * error, abs=0.15 * error)


def test_a_band_holds_the_next_residual_as_often_as_it_says() -> None:
    rng = np.random.default_rng(2)
    draws = rng.exponential(size=(4000, 20))
    inside = [draw[-1] <= residual_band(draw[:-1], level=0.8) for draw in draws]
    # 19 residuals and rank 16 of 20: exactly 0.8; 4,000 trials err by 0.006
    assert np.mean(inside) == pytest.approx(0.8, abs=0.02)


# Refusals


def test_one_run_has_no_interval_however_many_its_checkpoints() -> None:
    with pytest.raises(InputError, match="an interval needs at least 2 training runs, got 1"):
        interval(np.array([0.1, 0.2, 0.3]), ["a", "a", "a"])


def test_no_residuals_make_no_band() -> None:
    with pytest.raises(InputError, match="a band needs residuals of at least one model"):
        residual_band(np.array([]))
