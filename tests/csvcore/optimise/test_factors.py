from dataclasses import replace

import numpy as np
import pytest

from csvcore.analysis.loadings import Scale
from csvcore.errors import InputError
from csvcore.optimise.factors import (
    FactorHeads,
    Observed,
    Trial,
    _Fit,
    choose_factors,
    first_good,
    refined,
)
from csvcore.optimise.passes import Passes, default_device
from csvcore.optimise.problem import WeightResult
from csvcore.scaling import fit_sigmoid_laws
from tests.support.shared_factors import (
    GAMMA,
    N_FACTORS,
    Planted,
    matched_cosines,
    planted_factors,
)


@pytest.fixture(scope="module")
def planted() -> Planted:
    return planted_factors(1)


@pytest.fixture(scope="module")
def own(planted: Planted) -> list[WeightResult]:
    return planted.own_heads()


def passes_of(planted: Planted) -> Passes:
    return Passes(planted.table, "exp", default_device())


def observed_of(planted: Planted, own: list[WeightResult]) -> Observed:
    heads = [one.head for one in own if one.head is not None]
    score = passes_of(planted).scores(
        np.array([head.theta for head in heads]), np.array([head.pull for head in heads])
    )
    share = np.tile(planted.train / planted.train.sum(), (len(own), 1))
    return Observed(planted.accuracy, share, np.full(len(own), GAMMA), score)


@pytest.mark.slow
def test_three_factors_behind_six_tasks_are_found_and_predict_better_than_six_heads(
    planted: Planted, own: list[WeightResult]
) -> None:
    choice = planted.choose(own)
    assert choice.trial.n_factors == N_FACTORS
    assert set(choice.anchors.tolist()) == {0, 1, 2}  # the tasks that need one factor alone
    score = passes_of(planted).scores(choice.heads.theta, choice.heads.pull)
    assert matched_cosines(score, planted.factor)[0] >= 0.9
    observed, test = observed_of(planted, own), ~planted.train
    scale, loadings = observed.loadings(score, choice.trial.tie)
    shared = np.square(loadings.predict(scale.standardised(score)) - planted.accuracy)[:, test]
    laws = fit_sigmoid_laws(observed.own, planted.accuracy, observed.gamma, observed.share)
    separate = np.square(laws.predict(observed.own, observed.gamma) - planted.accuracy)[:, test]
    assert np.exp(np.log(shared.mean(axis=1) / separate.mean(axis=1)).mean()) < 1.0
    assert set(choice.without) <= set(planted.groups)
    assert choice.separate.shape == (len(planted.groups), len(own))


def test_joint_steps_lower_the_objective_and_the_jacobian_is_that_of_finite_differences(
    planted: Planted, own: list[WeightResult]
) -> None:
    observed, passes = observed_of(planted, own), passes_of(planted)
    heads = [one.head for one in own[:2] if one.head is not None]
    start = FactorHeads(
        np.array([head.theta for head in heads]), np.zeros(2, dtype=np.int64), np.full(2, 1e-4)
    )
    fit = _Fit(passes, observed, start, 1e-3)
    state = fit.at(start.theta)
    jacobian, residual = fit._linear(state)
    step = 1e-3 * np.random.default_rng(0).normal(size=start.theta.shape)

    def wrong(theta: np.ndarray) -> np.ndarray:  # at the loadings of the start
        score = passes.scores(theta, start.pull)[:, planted.train]
        z = Scale.of(score, np.ones(score.shape[1], dtype=bool)).standardised(score)
        root = np.sqrt(observed.share[:, planted.train])
        predicted = state.loadings.predict(z)
        return (root * (predicted - planted.accuracy[:, planted.train])).ravel()

    difference = (wrong(start.theta + step) - wrong(start.theta - step)) / 2.0
    np.testing.assert_allclose(wrong(start.theta), residual, atol=1e-6)
    expected = jacobian @ step.ravel()
    assert np.abs(difference - expected).max() < 0.02 * np.abs(expected).max()
    moved = refined(passes, observed, start, 1e-3)
    assert fit.at(moved.theta).objective < state.objective


def test_the_plainest_trial_within_one_standard_error_of_the_best_is_taken() -> None:
    shares = np.full(4, 0.25)

    def trial(n_factors: int, *errors: float) -> Trial:
        error = np.array(errors)[:, None]
        return Trial(n_factors, np.inf, error, float(np.exp(np.log(error).mean())))

    best = trial(3, 0.1, 0.1, 0.1, 0.1)
    near = trial(2, 0.1, 0.12, 0.09, 0.105)  # worse in the mean, better for one judge
    far = trial(1, 0.15, 0.15, 0.16, 0.15)
    assert first_good([far, near, best], shares) is near
    assert first_good([far, best], shares) is best


def test_what_cannot_be_shared_is_refused(planted: Planted, own: list[WeightResult]) -> None:
    with pytest.raises(InputError, match="two tasks or more, got 1"):
        choose_factors(planted.table, planted.problems[:1], own[:1], planted.groups)
    with pytest.raises(InputError, match="give 1 to 6 factors, one a task at most; got 7"):
        planted.choose(own, n_factors=7)
    with pytest.raises(InputError, match="one group and none validates"):
        choose_factors(planted.table, planted.problems, own, {})
    headless = [replace(one, head=None) for one in own]
    with pytest.raises(InputError, match="heads of the fast fit"):
        choose_factors(planted.table, planted.problems, headless, {})
