from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import kstest

from csvcore.errors import Cancelled
from csvcore.optimise import (
    FastConfig,
    HeadProblem,
    TokenTable,
    permutation,
    permutation_control,
    token_features,
)
from csvcore.optimise.gauss_newton import Heads, solve
from csvcore.synthetic import make_world

N_TOKENS, N_TRAIN, N_MODELS = 300, 20, 24
CONFIG = FastConfig(max_steps=5)


def small_world(seed: int, signal: bool) -> tuple[TokenTable, HeadProblem]:
    """Twenty train models and four that validate."""
    world = make_world(N_TOKENS, 6, N_MODELS, signal=signal, seed=seed)
    table = TokenTable(
        *(token_features(world.hidden), world.nll, world.source, 5),
        *(np.ones((1, N_TOKENS), dtype=np.float32), world.n_chars),
    )
    train = np.arange(N_MODELS) < N_TRAIN
    return table, HeadProblem("task", world.gamma, world.accuracy[0], train, ~train)


@pytest.mark.slow
def test_without_a_signal_the_p_value_is_uniform() -> None:
    found = []
    for seed in range(60):
        table, problem = small_world(seed, signal=False)
        asked = replace(CONFIG, seed=seed)
        found.append(permutation_control(table, problem, asked, 39).p_value)
    ranks = np.round(np.array(found) * 40)
    assert np.allclose(ranks, np.array(found) * 40)  # each of 1 / 40 to 40 / 40
    # the steps of 1 / 40 are fine beside what 60 draws can tell: 0.17 at 5 %
    assert kstest((ranks - 0.5) / 40, "uniform").pvalue > 0.05
    assert np.mean(np.array(found) <= 0.1) == pytest.approx(0.1, abs=0.1)


@pytest.mark.slow
def test_with_a_signal_the_p_value_is_as_small_as_it_can_be() -> None:
    for seed in range(5):
        found = permutation_control(*small_world(seed, signal=True), CONFIG, 39)
        assert found.p_value == 1 / 40
        assert found.mse < found.median / 3


def test_the_errors_are_those_of_heads_fitted_alone_to_true_and_shuffled_accuracies() -> None:
    table, problem = small_world(3, signal=False)
    found = permutation_control(table, problem, CONFIG, 7)
    rng = np.random.default_rng(CONFIG.seed)
    own = problem.accuracy[:N_TRAIN]
    errors = []
    for accuracy in [own, *(rng.permutation(own) for _ in range(7))]:
        heads = Heads(
            *(accuracy[None], np.full((1, N_TRAIN), 1 / N_TRAIN), np.array([problem.gamma])),
            *(np.array([found.strength]), np.array([0])),
        )
        start = np.zeros((1, table.n_features))
        trained = replace(table, nll=table.nll[:N_TRAIN])
        solution = solve(trained, heads, start, max_steps=CONFIG.max_steps)
        errors.append(float(solution.history[-1].mse[0]))
    # alone or in company: rounding may choose another way down
    assert found.mse == pytest.approx(errors[0], rel=0.05)
    assert found.median == pytest.approx(float(np.median(errors[1:])), rel=0.05)
    assert found.p_value == (1 + sum(error <= errors[0] for error in errors[1:])) / 8
    assert (found.n_permutations, found.strength) == (7, permutation.STRENGTH)


def test_the_same_seed_gives_the_same_control_and_another_seed_another() -> None:
    world = small_world(0, signal=False)
    one, two, other = (
        permutation_control(*world, replace(CONFIG, seed=seed), 9) for seed in (1, 1, 2)
    )
    assert one == two
    assert one.median != other.median
    assert one.mse == pytest.approx(other.mse, rel=1e-3)  # the truth is not shuffled


def test_only_train_models_count() -> None:
    table, problem = small_world(0, signal=True)
    known = permutation_control(table, problem, CONFIG, 9)
    spoilt = np.where(problem.train, problem.accuracy, np.nan)
    nll = np.where(problem.train[:, None], table.nll, 7.0).astype(np.float32)
    hidden = permutation_control(
        replace(table, nll=nll), replace(problem, accuracy=spoilt), CONFIG, 9
    )
    assert hidden == known


def test_heads_in_several_batches_are_all_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    world = small_world(1, signal=False)
    whole = permutation_control(*world, CONFIG, 22)
    monkeypatch.setattr(permutation, "HEADS", 10)
    seen: list[tuple[int, int]] = []
    parts = permutation_control(*world, CONFIG, 22, lambda *done: seen.append(done))
    assert seen == [(10, 23), (20, 23), (23, 23)]
    assert parts.mse == pytest.approx(whole.mse, rel=0.05)
    assert parts.median == pytest.approx(whole.median, rel=0.05)


def test_the_caller_can_stop_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(permutation, "HEADS", 5)
    seen: list[int] = []

    def report(done: int, total: int) -> None:
        seen.append(done)
        raise Cancelled("enough")

    with pytest.raises(Cancelled, match="enough"):
        permutation_control(*small_world(0, signal=False), CONFIG, 22, report)
    assert seen == [5]
