import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose

from csvcore.analysis.intervals import (
    bootstrap_difference,
    bootstrap_mean,
    left_out_interval,
    permutation_p,
)
from csvcore.errors import InputError
from csvcore.records import Floats


def interval(
    values: Floats, clusters: Sequence[str | int], level: float = 0.9
) -> tuple[float, float]:
    return bootstrap_mean(values, clusters, np.random.default_rng(0), level)


several = st.lists(st.floats(0.0, 1.0), min_size=2, max_size=12).map(np.array)


# By hand


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


# Second opinions


def test_with_a_run_for_each_value_it_is_the_normal_interval_of_a_mean() -> None:
    each = np.random.default_rng(1).normal(size=400)
    low, high = interval(each, list(range(400)))
    error = each.std() / np.sqrt(400)
    # 2,000 draws know the ends to about 5 % of a standard error; 0.15 leaves three times that
    assert low == pytest.approx(each.mean() - 1.645 * error, abs=0.15 * error)
    assert high == pytest.approx(each.mean() + 1.645 * error, abs=0.15 * error)


# Left-out fits


def jackknife_plus(centre: Floats, residual: Floats, level: Fraction) -> tuple[float, float]:
    """Barber et al. (2021), section 1.2 and its quantiles, written down in their words."""
    n, alpha = residual.size, 1 - level
    below = sorted(float(mu - abs(r)) for mu, r in zip(centre, residual, strict=True))
    above = sorted(float(mu + abs(r)) for mu, r in zip(centre, residual, strict=True))
    high = above[min(math.ceil((1 - alpha) * (n + 1)), n) - 1]
    low = below[max(math.floor(alpha * (n + 1)), 1) - 1]
    return min(max(low, 0.0), 1.0), min(max(high, 0.0), 1.0)


def test_of_nine_left_out_fits_the_outermost_count_at_90_percent_and_the_eighth_at_80() -> None:
    residual = np.array([1, -2, 3, -4, 5, -6, 7, -8, 9]) / 20
    centre = np.full((9, 1), 0.5)
    assert_allclose(left_out_interval(centre, residual, 0.9), [[0.05], [0.95]])
    assert_allclose(left_out_interval(centre, residual, 0.8), [[0.1], [0.9]])
    assert_allclose(left_out_interval(centre, residual, 0.71), [[0.1], [0.9]])  # 7.1 is rounded up
    assert_allclose(left_out_interval(centre, residual, 0.7), [[0.15], [0.85]])


def test_each_model_has_the_interval_of_its_own_predictions() -> None:
    centre = np.array([[0.2, 0.9], [0.4, 0.5], [0.3, 0.99]])
    low, high = left_out_interval(centre, np.array([0.1, -0.3, 0.05]))
    assert_allclose(low, [0.1, 0.2])
    assert_allclose(high, [0.7, 1.0])  # an accuracy is at most 1


@given(
    st.integers(1, 40).flatmap(
        lambda n: st.tuples(
            arrays(np.float64, (n, 3), elements=st.floats(0, 1)),
            arrays(np.float64, n, elements=st.floats(-1, 1)),
        )
    ),
    st.sampled_from(["0.5", "0.8", "0.9", "0.95"]),
)
def test_the_interval_is_that_of_jackknife_plus(data: tuple[Floats, Floats], level: str) -> None:
    centre, residual = data
    low, high = left_out_interval(centre, residual, float(level))
    for m in range(3):
        wanted = jackknife_plus(centre[:, m], residual, Fraction(level))
        assert (low[m], high[m]) == wanted


def test_a_level_of_two_digits_counts_as_it_is_written() -> None:
    # FAILS: (99 + 1) * 0.55 is 55.00000000000001 in floats, so the 56th is taken for the 55th.
    residual = np.arange(1.0, 100.0) / 200
    _, high = left_out_interval(np.full((99, 1), 0.5), residual, 0.55)
    assert high[0] == pytest.approx(0.5 + 55 / 200)


def test_intervals_of_left_out_fits_hold_new_models_about_as_often_as_they_say() -> None:
    rng = np.random.default_rng(0)
    inside = []
    for _ in range(400):
        values = rng.uniform(0.2, 0.8, 24)  # the fit is a mean; 19 are known and 5 are new
        known, new = values[:19], values[19:]
        without = (known.sum() - known) / 18
        centre = np.repeat(without[:, None], 5, axis=1)
        low, high = left_out_interval(centre, known - without, 0.8)
        inside.append(np.mean((low <= new) & (new <= high)))
    # rank 16 of 20; 400 worlds err by 0.005
    assert np.mean(inside) == pytest.approx(0.8, abs=0.02)


# Differences and permutations


def test_a_difference_is_paired_and_of_whole_runs() -> None:
    one, two = np.array([0.5, 0.6, 0.9]), np.array([0.4, 0.5, 0.9])
    rng = np.random.default_rng
    # run a differs by 0.1 in both its checkpoints, run b not at all
    low, high = bootstrap_difference(one, two, ["a", "a", "b"], rng(0))
    assert (low, high) == pytest.approx((0.0, 0.1))
    low, high = bootstrap_difference(two, one, ["a", "a", "b"], rng(0))
    assert (low, high) == pytest.approx((-0.1, 0.0))


@given(several, st.integers(0, 100))
def test_what_two_methods_share_cancels_out_of_their_difference(each: Floats, seed: int) -> None:
    shared = np.random.default_rng(seed).normal(size=each.size)
    names = list(range(each.size))
    found = bootstrap_difference(each + shared, shared, names, np.random.default_rng(0))
    assert found == pytest.approx(interval(each, names), abs=1e-12)
    same = bootstrap_difference(shared, shared, names, np.random.default_rng(0))
    assert same == (0.0, 0.0)


def test_a_permutation_as_good_as_the_truth_counts_against_it() -> None:
    permuted = np.array([0.1, 0.2, 0.3, 0.4])
    assert permutation_p(0.05, permuted) == 1 / 5
    assert permutation_p(0.2, permuted) == 3 / 5
    assert permutation_p(0.25, permuted) == 3 / 5
    assert permutation_p(9.0, permuted) == 1.0


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20, unique=True))
def test_each_of_n_exchangeable_errors_has_a_p_value_of_its_own(errors: list[float]) -> None:
    found = [
        permutation_p(error, np.array(errors[:i] + errors[i + 1 :]))
        for i, error in enumerate(errors)
    ]
    n = len(errors)
    assert sorted(found) == pytest.approx([(i + 1) / n for i in range(n)])


# Refusals


def test_one_run_has_no_interval_however_many_its_checkpoints() -> None:
    with pytest.raises(InputError, match="an interval needs at least 2 training runs, got 1"):
        interval(np.array([0.1, 0.2, 0.3]), ["a", "a", "a"])


def test_no_residuals_make_no_interval() -> None:
    with pytest.raises(InputError, match="an interval needs residuals of at least one model"):
        left_out_interval(np.empty((0, 3)), np.empty(0))
