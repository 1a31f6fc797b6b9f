import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import approx_fprime, least_squares
from scipy.special import expit

from csvcore.records import Floats
from csvcore.scaling import FARTHEST, STEEPEST, Laws, fit_sigmoid_law, fit_sigmoid_laws, sigmoid_law

seeds = st.integers(0, 10_000)
few = settings(max_examples=30)  # each is of several heads
N_HEADS, N_MODELS = 8, 15


def noisy(seed: int, noise: float = 0.03) -> tuple[Floats, Floats, Floats]:
    """Scores, accuracies and chance levels of heads with laws of their own."""
    rng = np.random.default_rng(seed)
    middle, spread = rng.uniform(0.1, 3.0, (2, N_HEADS, 1))
    gamma = rng.choice([0.0, 0.1, 0.25, 0.5], N_HEADS)
    unit = rng.normal(size=(N_HEADS, N_MODELS))
    share = expit(-rng.uniform(0.5, 3.0, (N_HEADS, 1)) * (unit - rng.normal(size=(N_HEADS, 1))))
    accuracy = gamma[:, None] + (1 - gamma[:, None]) * share
    return middle + spread * unit, accuracy + noise * rng.normal(size=unit.shape), gamma


def even(n_heads: int = N_HEADS, n_models: int = N_MODELS) -> Floats:
    return np.full((n_heads, n_models), 1.0 / n_models)


def uneven(seed: int) -> Floats:
    share: Floats = np.random.default_rng(seed + 1).exponential(size=(N_HEADS, N_MODELS))
    return np.asarray(share / share.sum(axis=1, keepdims=True))


def parts(laws: Laws) -> tuple[Floats, ...]:
    return laws.alpha, laws.beta, laws.slope, laws.mse


# By hand


def test_the_laws_of_two_heads_worked_by_hand() -> None:
    # logits 1, 0, -1 at scores 1, 2, 3: -(score - 2); and -2, 0, 2 at 10, 20, 30: 0.2 (score - 20)
    score = np.array([[1.0, 2.0, 3.0], [10.0, 20.0, 30.0]])
    accuracy = np.array([expit([1.0, 0.0, -1.0]), 0.5 + 0.5 * expit([-2.0, 0.0, 2.0])])
    laws = fit_sigmoid_laws(score, accuracy, np.array([0.0, 0.5]), even(2, 3))
    assert_allclose(laws.alpha, [-1.0, 0.2], rtol=1e-5)
    assert_allclose(laws.beta, [2.0, 20.0], rtol=1e-5)
    assert_allclose(laws.slope, [-np.sqrt(2 / 3), 0.2 * 10 * np.sqrt(2 / 3)], rtol=1e-5)
    assert_allclose(laws.mse, 0.0, atol=1e-12)


def test_predictions_follow_equation_2() -> None:
    laws = Laws(np.array([-2.0, 3.0]), np.array([1.0, 0.5]), np.zeros(2), np.zeros(2))
    score = np.array([[1.0, 1.0 - np.log(3.0) / 2.0], [0.5, 9.0]])
    # odds of 1 and 3 to 1 above chance 0.2; half way above chance 0, and past all doubt
    assert_allclose(laws.predict(score, np.array([0.2, 0.0])), [[0.6, 0.8], [0.5, 1.0]])


def test_taking_and_putting_laws_moves_all_their_numbers() -> None:
    laws = fit_sigmoid_laws(*noisy(0), even())
    copy = laws.copy()
    chosen = np.array([5, 2])
    copy.put(np.array([0, 1]), laws.take(chosen))
    for old, new in zip(parts(laws), parts(copy), strict=True):
        assert_array_equal(new, old[[5, 2, *range(2, N_HEADS)]])
        assert not np.array_equal(old[:2], new[:2])


# A second opinion: scipy, one head at a time


@few
@given(seeds)
def test_the_laws_are_those_that_scipy_finds_head_by_head(seed: int) -> None:
    score, accuracy, gamma = noisy(seed)
    laws = fit_sigmoid_laws(score, accuracy, gamma, even())
    for k in range(N_HEADS):
        one = fit_sigmoid_law(score[k], accuracy[k], float(gamma[k]))
        # where the best law is a step, or flat, scipy goes on beyond our bounds
        if abs(one.alpha * score[k].std()) < 0.9 * STEEPEST and one.mse > 1e-8:
            assert laws.mse[k] <= one.mse * (1 + 1e-6)
            wrong = laws.predict(score, gamma)[k] - sigmoid_law(
                score[k], one.alpha, one.beta, float(gamma[k])
            )
            if laws.mse[k] >= one.mse * (1 - 1e-6):  # else ours is another, better minimum
                assert_allclose(wrong, 0.0, atol=1e-3)


@few
@given(seeds)
def test_shares_count_as_scipy_counts_weighted_squares(seed: int) -> None:
    score, accuracy, gamma = noisy(seed)
    share = uneven(seed)
    laws = fit_sigmoid_laws(score, accuracy, gamma, share)
    own = np.einsum("km,km->k", share, np.square(laws.predict(score, gamma) - accuracy))
    assert_allclose(laws.mse, own, rtol=1e-6)
    for k in range(N_HEADS):

        def residuals(law: Floats, k: int = k) -> Floats:
            predicted = sigmoid_law(score[k], law[0], law[1], float(gamma[k]))
            return np.asarray(np.sqrt(share[k]) * (predicted - accuracy[k]))

        again = least_squares(residuals, [laws.alpha[k], laws.beta[k]], x_scale="jac")
        if abs(laws.slope[k]) < STEEPEST:  # no way down is left where ours ended
            assert laws.mse[k] <= 2 * again.cost * (1 + 1e-4) + 1e-12


def test_a_model_that_counts_twice_is_a_model_that_is_there_twice() -> None:
    score, accuracy, gamma = noisy(3)
    share = np.full((N_HEADS, N_MODELS), 1.0 / (N_MODELS + 1))
    share[:, 4] *= 2
    once = fit_sigmoid_laws(score, accuracy, gamma, share)
    twice = np.r_[0:N_MODELS, 4]
    there = fit_sigmoid_laws(
        score[:, twice], accuracy[:, twice], gamma, even(n_models=N_MODELS + 1)
    )
    for one, two in zip(parts(once), parts(there), strict=True):
        assert_allclose(one, two, rtol=1e-4)


@few
@given(seeds)
def test_derivatives_are_those_of_finite_differences(seed: int) -> None:
    rng = np.random.default_rng(seed)
    alpha, beta, gamma = -rng.uniform(0.3, 4, 1), rng.uniform(0, 2, 1), rng.uniform(0, 0.6, 1)
    score = beta + rng.normal(size=(1, 6)) / abs(alpha)
    law = Laws(alpha, beta, alpha, np.zeros(1))
    predicted, by_score, by_law = law.derivatives(score, gamma)
    assert_array_equal(predicted, law.predict(score, gamma))
    assert (by_score.shape, by_law.shape) == ((1, 6), (1, 6, 2))

    def of_score(values: Floats) -> Floats:
        return np.asarray(law.predict(values[None], gamma)[0])

    def of_law(logit: Floats) -> Floats:  # relative slope and offset of the logit
        moved = logit[0] * alpha * (score - beta) + logit[1]
        return np.asarray((gamma + (1 - gamma) * expit(moved))[0])

    assert_allclose(np.diag(approx_fprime(score[0], of_score)), by_score[0], atol=1e-6)
    assert_allclose(approx_fprime(np.array([1.0, 0.0]), of_law), by_law[0], atol=1e-6)


# Properties


@few
@given(seeds, st.sampled_from([np.nan, np.inf, -1.0, 0.3, 1e9]))
def test_a_model_without_a_share_has_no_influence(seed: int, value: float) -> None:
    score, accuracy, gamma = noisy(seed)
    share = uneven(seed)
    share[:, -3:] = 0.0
    share /= share.sum(axis=1, keepdims=True)
    known = fit_sigmoid_laws(score[:, :-3], accuracy[:, :-3], gamma, share[:, :-3])
    spoilt = accuracy.copy()
    spoilt[:, -3:] = value
    found = fit_sigmoid_laws(score, spoilt, gamma, share)
    # sums over three more zeros may round otherwise
    assert_allclose(found.mse, known.mse, rtol=1e-9, atol=1e-15)
    assert_allclose(found.slope, known.slope, rtol=1e-4, atol=1e-9)
    assert_array_equal(
        found.alpha, fit_sigmoid_laws(score, np.nan_to_num(accuracy), gamma, share).alpha
    )


@few
@given(seeds)
def test_heads_fitted_together_come_out_as_fitted_alone(seed: int) -> None:
    score, accuracy, gamma = noisy(seed)
    share = uneven(seed)
    together = fit_sigmoid_laws(score, accuracy, gamma, share)
    for k in range(N_HEADS):
        one = slice(k, k + 1)
        alone = fit_sigmoid_laws(score[one], accuracy[one], gamma[one], share[one])
        # company may keep a head at work after it has settled; the law's two numbers may then
        # still move along a flat valley, its predictions hardly
        assert_allclose(together.mse[k], alone.mse[0], rtol=1e-6, atol=1e-14)
        wrong = together.predict(score, gamma)[k] - alone.predict(score[one], gamma[one])[0]
        assert_allclose(wrong, 0.0, atol=1e-3)


@few
@given(seeds, st.floats(0.01, 100.0), st.floats(-5.0, 5.0))
def test_the_unit_and_origin_of_the_scores_do_not_matter(
    seed: int, unit: float, origin: float
) -> None:
    score, accuracy, gamma = noisy(seed)
    laws = fit_sigmoid_laws(score, accuracy, gamma, even())
    moved = fit_sigmoid_laws(unit * score + origin, accuracy, gamma, even())
    assert_allclose(moved.mse, laws.mse, rtol=1e-5)
    assert_allclose(moved.slope, laws.slope, rtol=1e-2)
    assert_allclose(moved.alpha * unit, moved.slope / laws.slope * laws.alpha, rtol=1e-6)


finite = st.floats(-100.0, 100.0)


@given(
    arrays(np.float64, (3, 5), elements=finite) | finite.map(lambda value: np.full((3, 5), value)),
    arrays(np.float64, (3, 5), elements=st.floats(0, 1))
    | st.floats(0, 1).map(lambda value: np.full((3, 5), value)),
    st.sampled_from([0.0, 0.25, 0.9]),
    st.permutations([0.0, 0.0, 1e-9, 0.3, 0.7]),
)
def test_whatever_the_numbers_the_laws_are_finite_and_within_their_bounds(
    score: Floats, accuracy: Floats, gamma: float, share: list[float]
) -> None:
    shares = np.tile(np.array(share) / sum(share), (3, 1))
    laws = fit_sigmoid_laws(score, accuracy, np.full(3, gamma), shares)
    for part in parts(laws):
        assert np.isfinite(part).all()
    assert (laws.alpha != 0.0).all()
    assert (abs(laws.slope) <= STEEPEST).all()
    centre = (shares * score).sum(axis=1)
    # the logit at the centre; what is left of FARTHEST after the rounding of beta
    assert (abs(laws.alpha * (centre - laws.beta)) <= FARTHEST * (1 + 1e-6) + 1e-6).all()
    level = (shares * accuracy).sum(axis=1)[:, None]
    best = np.clip(level, gamma, 1.0)
    constant = (shares * np.square(accuracy - best)).sum(axis=1)
    assert (laws.mse <= constant + 2e-2).all()


def test_of_several_ways_down_the_best_is_taken() -> None:
    rng = np.random.default_rng(0)
    score = rng.normal(size=(40, 8))
    accuracy = np.where(rng.random((40, 8)) < 0.5, 0.05, 0.95)  # nothing but noise: many minima
    accuracy[:20] = expit(3.0 * score[:20])  # and rising laws, which a falling start may not find
    laws = fit_sigmoid_laws(score, accuracy, np.zeros(40), even(40, 8))
    for k in range(40):
        one = fit_sigmoid_law(score[k], accuracy[k], 0.0)
        if abs(one.alpha * score[k].std()) < 0.9 * STEEPEST:
            assert laws.mse[k] <= one.mse * (1 + 1e-3) + 1e-9


def test_a_step_is_found_at_the_steepest_slope_allowed() -> None:
    score = np.arange(8.0)[None]
    laws = fit_sigmoid_laws(score, (score < 3.5).astype(float), np.zeros(1), even(1, 8))
    # any steeper law would be better still: the descent ends near the bound, with no error left
    assert -STEEPEST <= laws.slope[0] < -6.0
    assert laws.mse[0] < 1e-6


# Going on from earlier laws


@few
@given(seeds)
def test_from_its_own_end_a_fit_does_not_move_and_from_near_it_comes_back(seed: int) -> None:
    score, accuracy, gamma = noisy(seed)
    share = uneven(seed)
    laws = fit_sigmoid_laws(score, accuracy, gamma, share)
    again = fit_sigmoid_laws(score, accuracy, gamma, share, start=laws)
    assert (again.mse <= laws.mse * (1 + 1e-12)).all()
    assert_allclose(again.mse, laws.mse, rtol=1e-4)  # it stops where steps gain next to nothing
    near = Laws(laws.alpha * 1.05, laws.beta, laws.slope, laws.mse)
    back = fit_sigmoid_laws(score, accuracy, gamma, share, start=near)
    assert_allclose(back.mse, laws.mse, rtol=1e-4)


def test_a_fit_goes_on_from_the_start_alone() -> None:
    # accuracies of 0 and 1 in turn: from a rising law at the far end there is no way but up
    score = np.arange(6.0)[None]
    accuracy = expit(-2.0 * (score - 2.5))
    wrong = Laws(np.array([8.0]), np.array([40.0]), np.array([8.0]), np.zeros(1))
    free = fit_sigmoid_laws(score, accuracy, np.zeros(1), even(1, 6))
    stuck = fit_sigmoid_laws(score, accuracy, np.zeros(1), even(1, 6), start=wrong)
    assert free.mse[0] == pytest.approx(0.0, abs=1e-9)
    assert stuck.mse[0] > 0.1
