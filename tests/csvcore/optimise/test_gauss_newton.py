from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.optimize import minimize

from csvcore.optimise import Activation, TokenTable, gauss_newton, passes
from csvcore.optimise.gauss_newton import Heads, solve
from csvcore.optimise.passes import activate, head_weights
from csvcore.records import Floats
from csvcore.scaling import Laws, fit_sigmoid_law
from tests.support.planted import (
    KINDS,
    N_CHARS,
    N_FEATURES,
    error,
    few,
    objective,
    planted,
    scores,
    seeds,
    set_block,
    some_theta,
)


@pytest.fixture(autouse=True)
def many_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    set_block(monkeypatch, 64)  # 150 tokens are two blocks and a bit


def formed(
    table: TokenTable, heads: Heads, theta: Floats, kind: Activation
) -> tuple[gauss_newton.Curvature, torch.Tensor, Laws]:
    """The Jacobian, half of F's gradient and the laws at theta."""
    over = passes.Passes(table, kind, torch.device("cpu"))
    state = gauss_newton._start(
        over, heads, theta, gauss_newton.Curvature.unformed(heads, N_FEATURES)
    )
    gradient = gauss_newton._form(over, heads, state, np.arange(heads.gamma.size))
    return state.curvature, gradient, state.laws


# By hand


def test_without_a_head_the_factor_is_1_and_its_slope_that_of_the_curve() -> None:
    zero = torch.zeros(1)
    for kind, slope in (("exp", 1.0), ("softplus", 1.0 - 1.0 / np.e)):
        factor, by_logit = activate(zero, kind)  # type: ignore[arg-type]
        assert factor.item() == pytest.approx(1.0)
        assert by_logit.item() == pytest.approx(slope)


@pytest.mark.parametrize("kind", KINDS)
def test_factors_are_positive_and_finite_far_out_and_their_slope_is_torchs(
    kind: Activation,
) -> None:
    logit = torch.tensor([-50.0, -3.0, 0.5, 3.0, 29.0], requires_grad=True)
    factor, slope = activate(logit, kind)
    factor.sum().backward()  # type: ignore[no-untyped-call]
    assert_allclose(slope.detach(), logit.grad, rtol=1e-5)  # type: ignore[arg-type]
    for value in (factor.detach(), activate(torch.tensor([1e4]), kind)[0]):
        assert ((value > 0) & torch.isfinite(value)).all()


def test_a_head_of_nothing_gives_the_pulls_weights_and_scores() -> None:
    table, heads = planted(0)
    for kind in KINDS:
        weight = head_weights(table, np.zeros((3, N_FEATURES)), heads.pull, kind)
        assert_allclose(weight, table.pulls[heads.pull], rtol=1e-6)
        score = passes.Passes(table, kind, torch.device("cpu")).scores(
            np.zeros((3, N_FEATURES)), heads.pull
        )
        by_hand = table.pulls[heads.pull].astype(float) @ table.nll.T.astype(float) / N_CHARS
        assert_allclose(score, by_hand, rtol=1e-6)


# Second opinions: autograd in float64, scipy, a dense solve


@pytest.mark.parametrize("kind", KINDS)
@given(seeds)
@few
def test_scores_and_their_jacobian_are_those_of_autograd(kind: Activation, seed: int) -> None:
    table, heads = planted(seed)
    theta, rows = some_theta(seed), np.array([0, 2, 3, 9])
    over = passes.Passes(table, kind, torch.device("cpu"))
    found, jacobian = over.scores(theta, heads.pull), over.jacobian(theta, heads.pull, rows)
    for k in range(3):
        pull = int(heads.pull[k])
        leaf = torch.tensor(theta[k])
        assert_allclose(found[k], scores(table, leaf, pull, kind), rtol=1e-5)
        wanted = torch.func.jacrev(lambda leaf, pull=pull: scores(table, leaf, pull, kind))(leaf)
        scale = float(wanted.abs().max())
        assert_allclose(jacobian[k], wanted[rows], atol=1e-5 * scale)  # float32 sums


@pytest.mark.parametrize("kind", KINDS)
@given(seeds)
@few
def test_the_gradient_is_that_of_the_profiled_objective(kind: Activation, seed: int) -> None:
    table, heads = planted(seed)
    theta = some_theta(seed)
    _, gradient, laws = formed(table, heads, theta, kind)
    for k in range(3):
        rows = heads.share[k] > 0
        own = replace(heads, share=np.where(heads.share > 0, 1.0 / rows.sum(), 0.0))
        _, even, _ = formed(table, own, theta, kind)
        # scipy's law, for equal shares: at its best the law's own derivatives are nothing
        leaf = torch.tensor(theta[k], requires_grad=True)
        score = scores(table, leaf, int(heads.pull[k]), kind)
        law = fit_sigmoid_law(
            score.detach().numpy()[rows], heads.accuracy[k, rows], float(heads.gamma[k])
        )
        value = error(own, k, score, law.alpha, law.beta) + 1e-4 * (leaf**2).sum()
        value.backward()  # type: ignore[no-untyped-call]
        assert leaf.grad is not None
        scale = float(leaf.grad.abs().max())
        if abs(law.mse - float((value - 1e-4 * (leaf**2).sum()).detach())) < 1e-12:
            assert_allclose(2 * even[k], leaf.grad, atol=3e-3 * scale)
        # and the shares as they are, at our law
        _, wanted = objective(table, heads, k, theta[k], kind)
        assert_allclose(2 * gradient[k], wanted, atol=3e-3 * abs(wanted).max())
        assert abs(laws.slope[k]) < 29


@pytest.mark.parametrize("kind", KINDS)
def test_the_gradient_is_that_of_finite_differences_with_the_law_fitted_anew(
    kind: Activation,
) -> None:
    table, heads = planted(5)
    theta = some_theta(5)
    _, gradient, _ = formed(table, heads, theta, kind)
    for k in range(3):
        for p in range(N_FEATURES):
            ends = []
            for side in (-1e-3, 1e-3):
                moved = theta[k].copy()
                moved[p] += side
                ends.append(objective(table, heads, k, moved, kind)[0])
            slope = (ends[1] - ends[0]) / 2e-3
            assert 2 * float(gradient[k, p]) == pytest.approx(slope, rel=0.02, abs=2e-5)


@pytest.mark.parametrize("kind", KINDS)
@given(seeds)
@few
def test_the_gradient_without_a_jacobian_is_that_with_one(kind: Activation, seed: int) -> None:
    table, heads = planted(seed)
    over = passes.Passes(table, kind, torch.device("cpu"))
    state = gauss_newton._start(
        over, heads, some_theta(seed), gauss_newton.Curvature.unformed(heads, N_FEATURES)
    )
    which = np.array([2, 0])
    with_one = gauss_newton._form(over, heads, state, which)
    without = gauss_newton._gradient(over, heads, state, which)
    assert_allclose(without, with_one, atol=1e-4 * float(with_one.abs().max()))  # float32 sums


def test_the_laws_directions_are_projected_out_of_the_jacobian() -> None:
    table, heads = planted(2)
    theta = some_theta(2)
    found, _, laws = formed(table, heads, theta, "exp")
    score = np.stack([scores(table, torch.tensor(theta[k]), k % 2, "exp") for k in range(3)])
    _, by_score, by_law = laws.derivatives(score, heads.gamma)
    rows = (heads.share > 0).any(axis=0)
    for k in range(3):
        root = np.sqrt(heads.share[k, rows])
        own = root[:, None] * by_law[k, rows]
        whole = torch.func.jacrev(lambda leaf, k=k: scores(table, leaf, k % 2, "exp"))
        plain = whole(torch.tensor(theta[k])).numpy()[rows]
        plain = plain * (root * by_score[k, rows])[:, None]
        apart = plain - own @ np.linalg.lstsq(own, plain, rcond=None)[0]
        assert_allclose(found.jacobian[k], apart, atol=1e-5 * abs(plain).max())


@given(seeds, st.sampled_from([1e-9, 1e-5, 1e-2]), st.sampled_from([1e-6, 1e-3]))
@few
def test_steps_are_those_of_a_dense_solve(seed: int, damping: float, strength: float) -> None:
    table, heads = planted(seed, strength=strength)
    found, gradients, _ = formed(table, heads, some_theta(seed), "exp")
    which = np.array([2, 0])
    ridge = strength + damping * torch.tensor([1.0, 3.0], dtype=torch.float64)
    steps = found.steps(which, gradients[which], ridge)
    for step, k, own in zip(steps, which, (damping, 3 * damping), strict=True):
        jacobian, gradient = found.jacobian[k].numpy(), gradients[k].numpy()
        system = jacobian.T @ jacobian + (strength + own) * np.eye(N_FEATURES)
        assert_allclose(step, np.linalg.solve(system, -gradient), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_it_ends_at_least_as_low_as_scipy_does(kind: Activation) -> None:
    table, heads = planted(11)
    start = np.zeros(N_FEATURES)
    solution = solve(table, heads, np.zeros((3, N_FEATURES)), kind)
    for k in range(3):
        best = minimize(lambda theta, k=k: objective(table, heads, k, theta, kind), start, jac=True)  # type: ignore[call-overload]
        # a step that gains less than 0.1 % ends ours; the last ones are worth a few of them
        assert solution.objective[k] <= best.fun * 1.02
        assert solution.objective[k] == pytest.approx(
            objective(table, heads, k, solution.theta[k], kind)[0], rel=1e-3
        )
