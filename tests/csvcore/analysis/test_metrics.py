import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.stats import kendalltau

from csvcore.analysis.metrics import (
    mean_absolute_error,
    mean_squared_error,
    noise_floor,
    pairwise_accuracy,
    r_squared,
    rank_correlation,
)
from csvcore.errors import InputError
from csvcore.records import Floats

ALL = [
    mean_squared_error,
    mean_absolute_error,
    r_squared,
    rank_correlation,
    pairwise_accuracy,
    noise_floor,
]
# Hundredths, so that ties are as common as they are among real accuracies.
fractions = st.integers(0, 100).map(lambda n: n / 100)
pairs = st.lists(st.tuples(fractions, fractions), min_size=2, max_size=12).map(
    lambda rows: np.array(rows).T
)


# By hand


def test_metrics_of_three_models_worked_by_hand() -> None:
    accuracy, predicted = np.array([0.2, 0.4, 0.9]), np.array([0.3, 0.4, 0.7])
    assert mean_squared_error(accuracy, predicted) == pytest.approx((0.01 + 0.0 + 0.04) / 3)
    assert mean_absolute_error(accuracy, predicted) == pytest.approx(0.1)
    # mean 0.5, squared distances from it 0.09 + 0.01 + 0.16
    assert r_squared(accuracy, predicted) == pytest.approx(1 - 0.05 / 0.26)
    assert rank_correlation(accuracy, predicted) == pytest.approx(1.0)
    assert pairwise_accuracy(accuracy, predicted) == 1.0


def test_a_wrong_pair_a_tie_and_an_undecided_pair() -> None:
    accuracy, predicted = np.array([0.1, 0.1, 0.5, 0.9]), np.array([0.2, 0.7, 0.7, 0.4])
    # 0-1 is a tie in truth; 0-2, 0-3 right; 1-2 a tie in the prediction; 1-3, 2-3 wrong
    assert pairwise_accuracy(accuracy, predicted) == pytest.approx((1 + 1 + 0.5) / 5)


def test_the_noise_floor_is_the_mean_binomial_variance() -> None:
    floor = noise_floor(np.array([0.5, 0.2, 0.9]), np.array([100.0, 400.0, 1.0]))
    assert floor == pytest.approx((0.25 / 100 + 0.16 / 400 + 0.09) / 3)


@pytest.mark.parametrize("value", [0.1, 0.3, 0.5, 0.7])
def test_what_needs_models_that_differ_is_none_where_they_do_not(value: float) -> None:
    """The mean of three times 0.1 is not 0.1 in floating point; the variance is then not 0."""
    same, differ = np.full(3, value), np.array([0.1, 0.2, 0.6])
    assert r_squared(same, differ) is None
    assert pairwise_accuracy(same, differ) is None
    assert rank_correlation(same, differ) is None
    assert rank_correlation(differ, same) is None
    assert pairwise_accuracy(differ, same) == 0.5


def test_one_model_has_errors_but_no_order() -> None:
    one, other = np.array([0.4]), np.array([0.5])
    assert mean_absolute_error(one, other) == pytest.approx(0.1)
    assert [r_squared(one, other), rank_correlation(one, other)] == [None, None]
    assert pairwise_accuracy(one, other) is None


# Properties


@given(pairs)
def test_a_perfect_prediction_has_no_error_and_the_right_order(case: Floats) -> None:
    accuracy = case[0]
    assume(np.ptp(accuracy) > 0)
    assert mean_squared_error(accuracy, accuracy) == mean_absolute_error(accuracy, accuracy) == 0
    assert r_squared(accuracy, accuracy) == 1.0
    assert rank_correlation(accuracy, accuracy) == pytest.approx(1.0)
    assert pairwise_accuracy(accuracy, accuracy) == 1.0


@given(pairs)
def test_predicting_the_mean_explains_nothing(case: Floats) -> None:
    assume(np.ptp(case[0]) > 0)
    mean = np.full(case[0].size, case[0].mean())
    assert r_squared(case[0], mean) == pytest.approx(0.0, abs=1e-9)


@given(pairs)
def test_order_does_not_mind_a_rising_curve_and_turns_with_the_sign(case: Floats) -> None:
    accuracy, predicted = case
    assume(np.ptp(accuracy) > 0 and np.ptp(predicted) > 0)
    right, rho = pairwise_accuracy(accuracy, predicted), rank_correlation(accuracy, predicted)
    assert right is not None
    assert rho is not None
    assert pairwise_accuracy(accuracy, np.exp(3 * predicted)) == pytest.approx(right)
    assert rank_correlation(accuracy, np.exp(3 * predicted)) == pytest.approx(rho)
    assert pairwise_accuracy(accuracy, -predicted) == pytest.approx(1 - right)
    assert rank_correlation(accuracy, -predicted) == pytest.approx(-rho)


@given(pairs)
def test_the_squared_mean_absolute_error_is_at_most_the_mean_squared_error(case: Floats) -> None:
    assert mean_absolute_error(*case) ** 2 <= mean_squared_error(*case) + 1e-15


# Second opinions


@given(pairs)
def test_pairwise_accuracy_is_kendalls_tau_where_nothing_ties(case: Floats) -> None:
    accuracy, predicted = case
    assume(min(np.unique(side).size for side in case) == accuracy.size)
    tau = kendalltau(accuracy, predicted).statistic
    assert pairwise_accuracy(accuracy, predicted) == pytest.approx((1 + tau) / 2)


def test_r_squared_of_a_regression_line_is_the_squared_correlation() -> None:
    accuracy, score = np.array([0.3, 0.5, 0.4, 0.8]), np.array([1.0, 2.0, 3.0, 4.0])
    line = np.polyval(np.polyfit(score, accuracy, 1), score)
    assert r_squared(accuracy, line) == pytest.approx(np.corrcoef(score, accuracy)[0, 1] ** 2)


def test_a_perfect_predictor_of_ability_errs_by_the_noise_floor() -> None:
    rng = np.random.default_rng(0)
    ability, n_items = np.linspace(0.2, 0.9, 20_000), np.full(20_000, 250)
    measured = rng.binomial(n_items, ability) / n_items
    # The measured accuracy stands in for the ability, which lowers the floor by 1 part in 250.
    floor = noise_floor(measured, n_items.astype(float))
    assert floor == pytest.approx(mean_squared_error(measured, ability), rel=0.03)


# Refusals


@pytest.mark.parametrize("metric", ALL)
def test_arrays_of_other_or_of_no_models_are_refused(metric: object) -> None:
    assert callable(metric)
    for one, two in [((2,), (3,)), ((0,), (0,)), ((2, 2), (2, 2))]:
        with pytest.raises(InputError, match="need two arrays of the same models, got") as refusal:
            metric(np.ones(one), np.ones(two))
        assert str(one) in str(refusal.value)


def test_a_task_without_items_has_no_noise_floor() -> None:
    with pytest.raises(InputError, match="n_items counts the items of a task, got 0"):
        noise_floor(np.array([0.5, 0.5]), np.array([100.0, 0.0]))
