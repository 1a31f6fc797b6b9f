from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import minimize
from scipy.special import expit

from csvcore.errors import Cancelled
from csvcore.laws import Laws, fit_sigmoid_laws
from csvcore.optimise import Activation, TokenTable, newton, tokens
from csvcore.optimise.newton import Heads, Solution, activate, head_weights, solve
from csvcore.records import Floats
from csvcore.scaling import fit_sigmoid_law

N_TOKENS, RANK, N_SOURCES, N_MODELS, N_CHARS = 150, 4, 2, 40, 600
N_FEATURES = RANK + N_SOURCES
KINDS: tuple[Activation, ...] = ("exp", "softplus")
few = settings(max_examples=8)  # each is a whole optimisation
seeds = st.integers(0, 1000)


def set_block(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    """Make blocks of this many tokens."""
    monkeypatch.setattr(tokens, "BLOCK", size)
    monkeypatch.setattr(tokens.over_tokens, "__defaults__", (None, size))


@pytest.fixture(autouse=True)
def many_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    set_block(monkeypatch, 64)  # 150 tokens are two blocks and a bit


def planted(seed: int, n_heads: int = 3, strength: float = 1e-4) -> tuple[TokenTable, Heads]:
    """Accuracies that follow a head over the tokens with some noise; uneven shares, two pulls."""
    rng = np.random.default_rng(seed)
    states = rng.normal(size=(N_TOKENS, RANK)) / np.sqrt(RANK)
    nll = rng.gamma(2.0, 0.5, (N_MODELS, N_TOKENS))
    pulls = np.stack([np.ones(N_TOKENS), rng.uniform(0.5, 1.5, N_TOKENS)])
    source = np.arange(N_TOKENS) % N_SOURCES
    table = TokenTable(
        *(states.astype(np.float32), nll.astype(np.float32), source, N_SOURCES),
        *(pulls.astype(np.float32), N_CHARS),
    )
    score = nll @ np.exp(states @ rng.normal(size=(RANK, n_heads))) / N_CHARS
    unit = ((score - score.mean(0)) / score.std(0)).T
    gamma = rng.choice([0.0, 0.25], n_heads)
    accuracy = gamma[:, None] + (1 - gamma[:, None]) * expit(-1.5 * unit)
    share = rng.exponential(size=accuracy.shape)
    share[:, -2:] = 0.0
    share[np.arange(n_heads), np.arange(n_heads) % N_MODELS] = (
        0.0  # and one that only this head leaves out
    )
    share /= share.sum(axis=1, keepdims=True)
    noisy = accuracy + rng.normal(0.0, 0.02, accuracy.shape)
    noisy[:, -2:] = np.nan
    pull = np.arange(n_heads) % 2
    return table, Heads(noisy, share, gamma, np.full(n_heads, strength), pull)


def some_theta(seed: int, n_heads: int = 3) -> Floats:
    return np.random.default_rng(seed + 99).normal(0.0, 0.5, (n_heads, N_FEATURES))


def scores(table: TokenTable, theta: torch.Tensor, pull: int, kind: Activation) -> torch.Tensor:
    """Equation 1, written down anew."""
    own = torch.nn.functional.one_hot(torch.from_numpy(table.source), N_SOURCES)
    logit = torch.cat([torch.from_numpy(table.states).double(), own], dim=1) @ theta
    factor = torch.exp(logit) if kind == "exp" else torch.log1p((np.e - 1) * torch.exp(logit))
    weight = torch.from_numpy(table.pulls[pull]).double() * factor
    return torch.from_numpy(table.nll).double() @ weight / table.n_chars


def error(heads: Heads, k: int, score: torch.Tensor, alpha: float, beta: float) -> torch.Tensor:
    """The weighted squared error of head k at a fixed law."""
    gamma = float(heads.gamma[k])
    predicted = gamma + (1 - gamma) / (1 + torch.exp(-alpha * (score - beta)))
    wrong = predicted - torch.from_numpy(np.nan_to_num(heads.accuracy[k]))
    return (torch.from_numpy(heads.share[k]) * wrong**2).sum()


def objective(
    table: TokenTable, heads: Heads, k: int, theta: Floats, kind: Activation
) -> tuple[float, Floats]:
    """F of head k and its gradient: the law fitted for these scores, then held where it is."""
    leaf = torch.tensor(theta, requires_grad=True)
    score = scores(table, leaf, int(heads.pull[k]), kind)
    one = heads.take(np.array([k]))
    law = fit_sigmoid_laws(score.detach().numpy()[None], one.accuracy, one.gamma, one.share)
    value = error(heads, k, score, float(law.alpha[0]), float(law.beta[0]))
    value = value + float(heads.strength[k]) * (leaf**2).sum()
    value.backward()  # type: ignore[no-untyped-call]
    assert leaf.grad is not None
    return float(value.detach()), leaf.grad.numpy()


def curvature(
    table: TokenTable, heads: Heads, theta: Floats, kind: Activation
) -> tuple[newton._Curvature, Laws]:
    passes = newton._Passes(table, kind, torch.device("cpu"))
    score = passes.scores(theta, heads.pull)
    laws = fit_sigmoid_laws(score, heads.accuracy, heads.gamma, heads.share)
    return newton._Curvature(passes, heads, theta, laws, score), laws


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
        score = newton._Passes(table, kind, torch.device("cpu")).scores(
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
    passes = newton._Passes(table, kind, torch.device("cpu"))
    found, jacobian = passes.scores(theta, heads.pull), passes.jacobian(theta, heads.pull, rows)
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
    found, laws = curvature(table, heads, theta, kind)
    for k in range(3):
        rows = heads.share[k] > 0
        own = replace(heads, share=np.where(heads.share > 0, 1.0 / rows.sum(), 0.0))
        even, _ = curvature(table, own, theta, kind)
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
            assert_allclose(2 * even.gradient[k], leaf.grad, atol=3e-3 * scale)
        # and the shares as they are, at our law
        _, wanted = objective(table, heads, k, theta[k], kind)
        assert_allclose(2 * found.gradient[k], wanted, atol=3e-3 * abs(wanted).max())
        assert abs(laws.slope[k]) < 29


@pytest.mark.parametrize("kind", KINDS)
def test_the_gradient_is_that_of_finite_differences_with_the_law_fitted_anew(
    kind: Activation,
) -> None:
    table, heads = planted(5)
    theta = some_theta(5)
    found, _ = curvature(table, heads, theta, kind)
    for k in range(3):
        for p in range(N_FEATURES):
            ends = []
            for side in (-1e-3, 1e-3):
                moved = theta[k].copy()
                moved[p] += side
                ends.append(objective(table, heads, k, moved, kind)[0])
            slope = (ends[1] - ends[0]) / 2e-3
            assert 2 * float(found.gradient[k, p]) == pytest.approx(slope, rel=0.02, abs=2e-5)


def test_the_laws_directions_are_projected_out_of_the_jacobian() -> None:
    table, heads = planted(2)
    theta = some_theta(2)
    found, laws = curvature(table, heads, theta, "exp")
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
    found, _ = curvature(table, heads, some_theta(seed), "exp")
    which = np.array([2, 0])
    steps = found.steps(which, np.array([damping, 3 * damping]))
    for step, k, own in zip(steps, which, (damping, 3 * damping), strict=True):
        jacobian, gradient = found.jacobian[k].numpy(), found.gradient[k].numpy()
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


# Properties


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
    table, heads = planted(7, n_heads=2 * newton.HEADS_AT_ONCE + 1)
    theta = some_theta(7, heads.gamma.size)
    rows = np.arange(N_MODELS)

    def look() -> tuple[Floats, Floats, Floats]:
        passes = newton._Passes(table, "exp", torch.device("cpu"))
        jacobian = passes.jacobian(theta, heads.pull, rows).numpy()
        weight = head_weights(table, theta, heads.pull).astype(float)
        return passes.scores(theta, heads.pull), jacobian, weight

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


def test_a_head_is_done_with_the_first_step_that_gains_less_than_the_tolerance() -> None:
    table, heads = planted(8, n_heads=1)
    start = np.zeros((1, N_FEATURES))
    n_steps = len(solve(table, heads, start, max_steps=100).history) - 1
    values = [solve(table, heads, start, max_steps=n).objective[0] for n in range(n_steps + 1)]
    gains = 1.0 - np.array(values[1:]) / np.array(values[:-1])
    assert n_steps > 2
    assert (gains[:-1] >= newton.TOLERANCE).all()
    assert gains[-1] < newton.TOLERANCE


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
