from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from csvcore.errors import Cancelled
from csvcore.optimise import Activation, gauss_newton, passes
from csvcore.optimise.gauss_newton import Solution, solve
from csvcore.optimise.passes import head_weights
from csvcore.records import Floats, Ints
from csvcore.scaling import fit_sigmoid_laws
from tests.support.planted import (
    KINDS,
    N_CHARS,
    N_FEATURES,
    N_MODELS,
    few,
    objective,
    planted,
    seeds,
    set_block,
    some_theta,
)


@pytest.fixture(autouse=True)
def many_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    set_block(monkeypatch, 64)  # 150 tokens are two blocks and a bit


# Properties


@pytest.mark.slow
@given(seeds, st.sampled_from([1e-2, 1e-4, 1e-6]), st.sampled_from(KINDS))
@few
def test_the_objective_never_rises_and_ends_where_its_gradient_is_small(
    seed: int, strength: float, kind: Activation
) -> None:
    table, heads = planted(seed, strength=strength)
    start = np.zeros((3, N_FEATURES))
    values = []
    for n_steps in (0, 1, 3, 30):
        values.append(solve(table, heads, start, kind, n_steps).objective)
    assert (np.diff(values, axis=0) <= 0).all()
    solution = solve(table, heads, start, kind)
    assert_array_equal(solution.objective, values[-1])
    penalty = strength * np.square(solution.theta).sum(1)
    assert_allclose(solution.objective, solution.history[-1].mse + penalty, rtol=1e-9)
    for k in range(3):
        before = abs(objective(table, heads, k, start[k], kind)[1]).max()
        after = abs(objective(table, heads, k, solution.theta[k], kind)[1]).max()
        assert after < 0.5 * before  # the stopping rule is on F; the median is 0.001


@pytest.mark.slow
@given(seeds)
@few
def test_heads_fitted_together_come_out_as_fitted_alone(seed: int) -> None:
    table, heads = planted(seed, n_heads=10)
    heads = replace(heads, strength=np.tile([1e-2, 1e-3, 1e-4, 1e-5, np.inf], 2))
    start = some_theta(seed, 10) * np.isfinite(heads.strength)[:, None]
    together = solve(table, heads, start)
    for k in (0, 3, 8, 9):
        one = np.array([k])
        alone = solve(table, heads.take(one), start[one])
        # where the path forks, rounding may choose; the ends are worth the same
        assert together.objective[k] == pytest.approx(alone.objective[0], rel=0.01)
        assert_allclose(together.theta[k], alone.theta[0], atol=0.05)
        assert together.converged[k] == alone.converged[0]


def test_an_infinite_penalty_leaves_the_pull_alone() -> None:
    table, heads = planted(0, strength=np.inf)
    solution = solve(table, heads, np.zeros((3, N_FEATURES)))
    assert_array_equal(solution.theta, 0.0)
    assert solution.converged.all()
    [step] = solution.history
    assert_array_equal(solution.objective, step.mse)
    assert_allclose(head_weights(table, solution.theta, heads.pull), table.pulls[heads.pull])
    score = table.pulls[heads.pull].astype(float) @ table.nll.T.astype(float) / N_CHARS
    laws = fit_sigmoid_laws(score, heads.accuracy, heads.gamma, heads.share)
    assert_allclose(step.mse, laws.mse, rtol=1e-4)


def test_a_stronger_penalty_makes_a_shorter_head_and_a_larger_error() -> None:
    table, heads = planted(4, n_heads=1)
    ends = [
        solve(table, replace(heads, strength=np.array([strength])), np.zeros((1, N_FEATURES)))
        for strength in (1e-6, 1e-4, 1e-2, 1.0)
    ]
    lengths = [float(np.square(end.theta).sum()) for end in ends]
    assert sorted(lengths, reverse=True) == lengths
    assert sorted(float(end.history[-1].mse[0]) for end in ends) == [
        float(end.history[-1].mse[0]) for end in ends
    ]


def test_accuracies_of_models_without_a_share_have_no_influence() -> None:
    table, heads = planted(6)  # the last two are not numbers
    other = replace(heads, accuracy=np.nan_to_num(heads.accuracy, nan=0.7))
    start = np.zeros((3, N_FEATURES))
    one, two = (solve(table, asked, start) for asked in (heads, other))
    assert np.isfinite(one.theta).all()
    assert_array_equal(one.theta, two.theta)


@pytest.mark.parametrize("block", [1, 7, 75, 149, 150, 151, 4096])
def test_where_blocks_end_changes_nothing(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    table, heads = planted(7, n_heads=2 * passes.HEADS_AT_ONCE + 1)
    theta = some_theta(7, heads.gamma.size)
    rows = np.arange(N_MODELS)

    def look() -> tuple[Floats, Floats, Floats]:
        over = passes.Passes(table, "exp", torch.device("cpu"))
        jacobian = over.jacobian(theta, heads.pull, rows).numpy()
        weight = head_weights(table, theta, heads.pull).astype(float)
        return over.scores(theta, heads.pull), jacobian, weight

    before = look()
    set_block(monkeypatch, block)
    for one, two in zip(before, look(), strict=True):
        assert_allclose(one, two, rtol=1e-4, atol=1e-6)


def test_threads_change_nothing_but_rounding() -> None:
    table, heads = planted(7)
    start, before = np.zeros((3, N_FEATURES)), torch.get_num_threads()
    one = solve(table, heads, start)
    torch.set_num_threads(3)
    try:
        two = solve(table, heads, start)
    finally:
        torch.set_num_threads(before)
    assert_allclose(one.objective, two.objective, rtol=1e-3)


# Stopping


def test_a_head_that_was_stopped_early_says_so() -> None:
    table, heads = planted(8, strength=1e-6)
    start = np.zeros((3, N_FEATURES))
    early, late = (solve(table, heads, start, max_steps=n_steps) for n_steps in (1, 100))
    assert not early.converged.any()
    assert len(early.history) == 2
    assert late.converged.all()
    assert len(late.history) < 100


def test_a_head_is_done_with_the_first_new_jacobian_that_gains_less_than_the_tolerance(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(gauss_newton, "CHORDS", 0)  # every step with a Jacobian of its own
    table, heads = planted(8, n_heads=1)
    start = np.zeros((1, N_FEATURES))
    n_steps = len(solve(table, heads, start, max_steps=100).history) - 1
    values = [solve(table, heads, start, max_steps=n).objective[0] for n in range(n_steps + 1)]
    gains = 1.0 - np.array(values[1:]) / np.array(values[:-1])
    assert n_steps > 2
    assert (gains[:-1] >= gauss_newton.TOLERANCE).all()
    assert gains[-1] < gauss_newton.TOLERANCE


@given(seeds)
@few
def test_old_jacobians_lead_as_low_with_fewer_new_ones(seed: int) -> None:
    table, heads = planted(seed, strength=1e-6)
    start = np.zeros((3, N_FEATURES))
    with_chords = solve(table, heads, start)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gauss_newton, "CHORDS", 0)
        alone = solve(table, heads, start)
    assert_allclose(with_chords.objective, alone.objective, rtol=0.03)
    assert len(with_chords.history) <= len(alone.history)


def test_a_weaker_penalty_goes_on_from_the_curvature_of_a_stronger_one() -> None:
    table, heads = planted(8, strength=1e-4)
    first = solve(table, heads, np.zeros((3, N_FEATURES)))
    weaker = replace(heads, strength=heads.strength / 3)
    fresh = solve(table, weaker, first.theta)
    carried = solve(table, weaker, first)
    assert_allclose(carried.objective, fresh.objective, rtol=0.02)
    assert len(carried.history) <= len(fresh.history)


def test_going_on_from_the_end_gains_next_to_nothing() -> None:
    table, heads = planted(9)
    first = solve(table, heads, np.zeros((3, N_FEATURES)))
    again = solve(table, heads, first.theta)
    assert (again.objective <= first.objective * (1 + 1e-6)).all()
    assert_allclose(again.objective, first.objective, rtol=0.02)
    assert len(again.history) <= 5


def test_every_step_is_reported_and_the_caller_can_stop_it() -> None:
    table, heads = planted(8)
    seen: list[int] = []

    def report(step: int) -> None:
        seen.append(step)
        if step == 2:
            raise Cancelled("enough")

    def run() -> Solution:
        return solve(table, heads, np.zeros((3, N_FEATURES)), report=report)

    with pytest.raises(Cancelled, match="enough"):
        run()
    assert seen == [1, 2]


# One step


def curvature(
    n_heads: int, n_rows: int, n_features: int = 4
) -> tuple[gauss_newton.Curvature, torch.Tensor]:
    """Jacobians and gradients drawn at random."""
    rng = np.random.default_rng(n_rows)
    ones = np.ones((n_heads, n_rows))
    heads = gauss_newton.Heads(ones, ones, ones[:, 0], ones[:, 0], np.zeros(n_heads, dtype=int))
    made = gauss_newton.Curvature.unformed(heads, n_features)
    drawn = torch.from_numpy(rng.normal(size=(n_heads, n_rows, n_features)))
    made.form(np.arange(n_heads), drawn)
    return made, torch.from_numpy(rng.normal(size=(n_heads, n_features)))


def assert_steps(
    made: gauss_newton.Curvature, which: Ints, gradients: torch.Tensor, ridges: torch.Tensor
) -> None:
    """Check the steps by numpy's solution of the damped normal equations."""
    steps = made.steps(which, gradients[which], ridges)
    for step, k, ridge in zip(steps, which, ridges.numpy(), strict=True):
        jacobian, gradient = made.jacobian[k].numpy(), gradients[k].numpy()
        normal = jacobian.T @ jacobian + ridge * np.eye(gradient.size)
        assert_allclose(step, np.linalg.solve(normal, -gradient), rtol=1e-9, atol=1e-12)


# torch's LU fails from 151 rows on
@pytest.mark.parametrize(("n_rows", "n_features"), [(3, 4), (200, 4), (151, 160), (160, 160)])
def test_a_step_solves_the_damped_normal_equations_on_more_than_one_thread(
    n_rows: int, n_features: int
) -> None:
    made, gradients = curvature(5, n_rows, n_features)
    which, ridges = np.array([1, 4]), torch.tensor([0.75, 2.5], dtype=torch.float64)
    n_threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert_steps(made, which, gradients, ridges)
    finally:
        torch.set_num_threads(n_threads)


@pytest.mark.parametrize("n_rows", [3, 9])
def test_a_factor_serves_until_the_ridge_or_the_jacobian_changes(n_rows: int) -> None:
    made, gradients = curvature(3, n_rows)
    every = np.arange(3)
    ridges = torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64)
    assert_steps(made, every, gradients, ridges)
    assert_steps(made, every, 2 * gradients, ridges)
    ridges[1] = 0.1
    assert_steps(made, every, gradients, ridges)
    made.form(every[:1], made.jacobian[:1] + 1.0)
    assert_steps(made, every, gradients, ridges)


def test_a_head_without_a_positive_definite_system_stays() -> None:
    made, gradients = curvature(2, 3)
    made.gram[1] = -made.gram[1]
    steps = made.steps(np.array([0, 1]), gradients, torch.full((2,), 0.5, dtype=torch.float64))
    assert_array_equal(steps[1], 0.0)
    assert (steps[0] != 0).all()
