from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.optimize import curve_fit

from csvcore import scaling
from csvcore.errors import FitError, InputError
from csvcore.records import Floats
from csvcore.scaling import fit_sigmoid_law, sigmoid_law

slopes = st.floats(-100.0, -0.1)
midpoints = st.floats(0.1, 3.0)
chances = st.sampled_from([0.0, 0.1, 0.25, 0.5])


def around(alpha: float, beta: float) -> Floats:
    """Scores of nine models on both sides of the midpoint, in no order."""
    return beta + np.array([0.2, -2.5, 1.4, -0.7, 3.0, -1.9, 2.2, -1.1, 0.8]) / abs(alpha)


def noisy(seed: int, alpha: float = -12.0, beta: float = 0.6) -> tuple[Floats, Floats]:
    """Scores and accuracies of twelve models that follow a law with gamma 0.25 to 3 points."""
    rng = np.random.default_rng(seed)
    score = beta + rng.uniform(-3.0, 3.0, 12) / abs(alpha)
    return score, sigmoid_law(score, alpha, beta, 0.25) + rng.normal(0.0, 0.03, 12)


# By hand


def test_accuracy_at_the_midpoint_is_half_way_from_chance_to_one() -> None:
    assert_allclose(sigmoid_law(np.array([0.6]), -5.0, 0.6, 0.25), [0.625])


def test_the_law_of_a_logit_worked_by_hand() -> None:
    # alpha (score - beta) = -2 (0.5 - 1) = 1, and ln 3 gives odds of 3 to 1: 0.2 + 0.8 * 3/4
    score = np.array([1.0 - np.log(3.0) / 2.0])
    assert_allclose(sigmoid_law(score, -2.0, 1.0, 0.2), [0.8])


def test_far_from_the_midpoint_the_law_is_chance_or_one() -> None:
    assert_allclose(sigmoid_law(np.array([-1e6, 1e6]), -3.0, 0.5, 0.25), [1.0, 0.25])


def test_the_fit_of_three_models_worked_by_hand() -> None:
    # gamma 0: logits 1, 0, -1 at scores 1, 2, 3 lie on the line -(score - 2)
    accuracy = 1.0 / (1.0 + np.exp([-1.0, 0.0, 1.0]))
    fit = fit_sigmoid_law(np.array([1.0, 2.0, 3.0]), accuracy, 0.0)
    assert (fit.alpha, fit.beta) == pytest.approx((-1.0, 2.0), rel=1e-9)
    assert (fit.gamma, fit.n_models) == (0.0, 3)


# Properties


@given(slopes | slopes.map(abs), midpoints, chances)
def test_a_fit_finds_the_law_that_made_the_data(alpha: float, beta: float, gamma: float) -> None:
    score = around(alpha, beta)
    fit = fit_sigmoid_law(score, sigmoid_law(score, alpha, beta, gamma), gamma)
    assert fit.alpha == pytest.approx(alpha, rel=1e-6)
    assert fit.beta == pytest.approx(beta, abs=1e-6 / abs(alpha))
    assert fit.mse < 1e-15


@given(st.integers(0, 99), st.floats(1e-3, 1e3))
def test_scores_times_c_give_alpha_over_c_and_beta_times_c(seed: int, factor: float) -> None:
    score, accuracy = noisy(seed)
    one, two = (fit_sigmoid_law(s, accuracy, 0.25) for s in (score, factor * score))
    assert two.alpha * factor == pytest.approx(one.alpha, rel=1e-5)
    assert two.beta / factor == pytest.approx(one.beta, rel=1e-5)
    assert two.mse == pytest.approx(one.mse, rel=1e-9)


@given(st.integers(0, 99), st.floats(-10.0, 10.0))
def test_shifted_scores_shift_beta_alone(seed: int, shift: float) -> None:
    score, accuracy = noisy(seed)
    one, two = (fit_sigmoid_law(s, accuracy, 0.25) for s in (score, score + shift))
    assert two.alpha == pytest.approx(one.alpha, rel=1e-5)
    assert two.beta - shift == pytest.approx(one.beta, abs=1e-6)


@given(slopes, midpoints, chances, st.lists(st.floats(-10.0, 10.0), min_size=2))
def test_the_law_falls_with_the_score_between_one_and_chance(
    alpha: float, beta: float, gamma: float, scores: list[float]
) -> None:
    accuracy = sigmoid_law(np.sort(scores), alpha, beta, gamma)
    assert np.all(np.diff(accuracy) <= 0.0)
    assert np.all((gamma <= accuracy) & (accuracy <= 1.0))


@pytest.mark.parametrize("seed", range(5))
def test_mse_is_the_mean_squared_residual_of_the_fitted_law(seed: int) -> None:
    score, accuracy = noisy(seed)
    fit = fit_sigmoid_law(score, accuracy, 0.25)
    residual = sigmoid_law(score, fit.alpha, fit.beta, 0.25) - accuracy
    assert fit.mse == pytest.approx(np.mean(residual**2), rel=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_going_on_from_a_nearby_law_ends_at_the_same_fit(seed: int) -> None:
    score, accuracy = noisy(seed)
    cold = fit_sigmoid_law(score, accuracy, 0.25)
    warm = fit_sigmoid_law(score, accuracy, 0.25, start=(cold.alpha * 1.3, cold.beta + 0.02))
    assert (warm.alpha, warm.beta) == pytest.approx((cold.alpha, cold.beta), rel=1e-4)


def test_with_a_start_the_fit_runs_from_there_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    starts = []

    def spy(residuals: object, x0: object, **options: object) -> object:
        starts.append(x0)
        return scipy_least_squares(residuals, x0, **options)

    scipy_least_squares = scaling.least_squares
    monkeypatch.setattr(scaling, "least_squares", spy)
    score, accuracy = noisy(0)
    fit_sigmoid_law(score, accuracy, 0.25, start=(-9.0, 0.5))
    assert len(starts) == 1
    # In units of the centred scores the start is the same law.
    unit = (score - score.mean()) / score.std()
    assert_allclose(starts[0][0] * unit + starts[0][1], -9.0 * (score - 0.5))


# Second opinions


@pytest.mark.parametrize("seed", range(20))
def test_no_fit_is_worse_than_curve_fit_from_the_true_law(seed: int) -> None:
    score, accuracy = noisy(seed)
    fit = fit_sigmoid_law(score, accuracy, 0.25)
    theirs, _ = curve_fit(
        lambda s, alpha, beta: sigmoid_law(s, alpha, beta, 0.25), score, accuracy, p0=(-12.0, 0.6)
    )
    mse = np.mean((sigmoid_law(score, *theirs, 0.25) - accuracy) ** 2)
    assert fit.mse <= mse * (1.0 + 1e-6)
    assert (fit.alpha, fit.beta) == pytest.approx(tuple(theirs), rel=1e-3)


# Refusals

GOOD = np.array([0.2, 0.4, 0.9])


@pytest.mark.parametrize(
    ("score", "accuracy", "gamma", "error", "message"),
    [
        (GOOD, GOOD[:2], 0.0, InputError, r"score \(3,\) and accuracy \(2,\) must be one"),
        (GOOD[None], GOOD[None], 0.0, InputError, r"score \(1, 3\) and accuracy \(1, 3\) must"),
        (GOOD[:2], GOOD[:2], 0.0, InputError, "two parameters need at least 3 models, got 2"),
        (GOOD * np.nan, GOOD, 0.0, InputError, "must be finite; check the losses"),
        (GOOD, GOOD * np.inf, 0.0, InputError, "must be finite; check the losses"),
        (GOOD, GOOD, 1.0, InputError, r"gamma is a chance level in \[0, 1\), got 1.0"),
        (GOOD, GOOD, -0.1, InputError, r"gamma is a chance level in \[0, 1\), got -0.1"),
        (np.full(3, 0.7), GOOD, 0.0, FitError, "all 3 models have the same capability score 0.7"),
        (GOOD, np.full(3, 0.7), 0.0, FitError, "all 3 models have the same accuracy 0.7; a curve"),
    ],
)
def test_data_that_no_curve_can_be_fitted_to_are_refused(
    score: Floats, accuracy: Floats, gamma: float, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        fit_sigmoid_law(score, accuracy, gamma)


def test_a_fit_that_does_not_converge_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    lost = SimpleNamespace(success=False, nfev=200, message="too many evaluations", x=[1.0, 1.0])
    monkeypatch.setattr(scaling, "least_squares", lambda *_, **__: lost)
    with pytest.raises(
        FitError, match=r"no convergence after 200 evaluations: too many .* look at"
    ):
        fit_sigmoid_law(GOOD, GOOD, 0.0)
