from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import expit

from csvcore.errors import Cancelled, FitError, InputError
from csvcore.optimise import (
    HeadProblem,
    OptimiseConfig,
    Singles,
    WeightResult,
    optimise_heads,
    standardise,
)
from csvcore.records import Floats
from csvcore.scaling import fit_sigmoid_law, sigmoid_law

N_TOKENS, WIDTH, N_MODELS, N_CHARS, GAMMA = 300, 6, 40, 1200, 0.25
CONFIG = OptimiseConfig(steps=60, learning_rate=0.1, seed=0)
SIDE = np.array(["train"] * 24 + ["validation"] * 8 + ["test"] * 8)
TEST = SIDE == "test"


class Planted:
    """Made-up hidden states and losses; accuracies follow from a planted head by the law."""

    def __init__(self, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.hidden: Singles = standardise(rng.normal(size=(N_TOKENS, WIDTH)).astype(np.float32))
        self.nll = rng.gamma(2.0, 0.5, (N_MODELS, N_TOKENS)).astype(np.float32)
        self.rng = rng

    def problem(self, task: str = "planted") -> HeadProblem:
        """A task with a head of its own."""
        theta = 1.5 * self.rng.normal(size=WIDTH)
        score = self.nll @ np.logaddexp(0.0, self.hidden @ theta - 1.0) / N_CHARS
        accuracy = GAMMA + (1 - GAMMA) * expit(-2.0 * (score - score.mean()) / score.std())
        return HeadProblem(task, GAMMA, accuracy, SIDE == "train", SIDE == "validation")

    def optimise(
        self, *problems: HeadProblem, config: OptimiseConfig = CONFIG
    ) -> list[WeightResult]:
        """Heads of these problems."""
        return optimise_heads(self.hidden, self.nll, N_CHARS, problems, config)

    def test_mse(self, problem: HeadProblem, weight: Floats) -> float:
        """Error on models that neither train nor validate, of a law fitted on those that train."""
        score, train = self.nll.astype(float) @ weight / N_CHARS, problem.train
        law = fit_sigmoid_law(score[train], problem.accuracy[train], GAMMA)
        predicted = sigmoid_law(score, law.alpha, law.beta, GAMMA)
        return float(np.mean(np.square(predicted - problem.accuracy)[TEST]))


@pytest.fixture
def planted() -> Planted:
    return Planted()


# By hand


def test_standardising_gives_each_unit_mean_0_and_variance_1_and_drops_dead_ones() -> None:
    hidden = np.array([[1.0, 7.0, -1.0], [3.0, 7.0, 1.0]], dtype=np.float32)
    assert_allclose(standardise(hidden), [[-1.0, -1.0], [1.0, 1.0]])


def test_step_0_is_the_all_token_baseline(planted: Planted) -> None:
    problem = planted.problem()
    [result] = planted.optimise(problem, config=OptimiseConfig(steps=0))
    assert result.step == 0
    assert len(result.trace) == 1
    nll = planted.nll.astype(float)
    assert_allclose(nll @ result.weight, nll.sum(1), rtol=1e-3)
    law = fit_sigmoid_law(
        nll[problem.train].sum(1) / N_CHARS, problem.accuracy[problem.train], GAMMA
    )
    assert result.trace[0].alpha == pytest.approx(law.alpha, rel=1e-2)
    assert result.trace[0].beta == pytest.approx(law.beta, rel=1e-3)
    assert result.trace[0].train_mse == pytest.approx(law.mse, rel=1e-2)


# The law that made the data


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_planted_head_is_found_and_predicts_models_it_never_saw(seed: int) -> None:
    planted = Planted(seed)
    problem = planted.problem()
    [result] = planted.optimise(problem)
    assert result.step > 0
    start = planted.test_mse(problem, np.ones(N_TOKENS))
    assert planted.test_mse(problem, result.weight) < start / 50


def test_every_weight_is_positive_and_finite(planted: Planted) -> None:
    [result] = planted.optimise(planted.problem())
    assert result.weight.shape == (N_TOKENS,)
    assert np.isfinite(result.weight).all()
    assert (result.weight > 0).all()


# A second opinion: torch's own gradient of the loss, written down anew


def test_the_gradient_of_a_step_is_that_of_the_training_error_at_a_fixed_law(
    planted: Planted, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[list[tuple[torch.Tensor, torch.Tensor]]] = []

    class Watched(torch.optim.Adam):
        def step(self) -> None:  # type: ignore[override]
            parameters = self.param_groups[0]["params"]
            steps.append([(p.detach().clone(), p.grad.clone()) for p in parameters])
            super().step()

    monkeypatch.setattr(torch.optim, "Adam", Watched)
    problems = [planted.problem("one"), replace(planted.problem("two"), gamma=0.1)]
    results = planted.optimise(*problems, config=replace(CONFIG, steps=10))
    hidden = torch.from_numpy(planted.hidden).double()
    nll = torch.from_numpy(planted.nll).double()
    for step in (0, 1, 10):
        (head, head_grad), (bias, bias_grad) = steps[step]
        for k, (problem, result) in enumerate(zip(problems, results, strict=True)):
            theta = head[:, k].double().requires_grad_()
            offset = bias[k].double().requires_grad_()
            law, gamma = result.trace[step], problem.gamma
            weight = torch.log1p(torch.exp(hidden @ theta + offset))
            score = nll @ weight / N_CHARS
            predicted = gamma + (1 - gamma) / (1 + torch.exp(-law.alpha * (score - law.beta)))
            error = (predicted - torch.from_numpy(problem.accuracy))[problem.train] ** 2
            assert error.mean().item() == pytest.approx(law.train_mse, rel=1e-4, abs=1e-9)
            error.mean().backward()  # type: ignore[no-untyped-call]
            assert theta.grad is not None and offset.grad is not None
            # float32 sums over 300 tokens and 24 models
            scale = theta.grad.abs().max().item()
            assert_allclose(head_grad[:, k], theta.grad, rtol=1e-3, atol=1e-3 * scale)
            assert bias_grad[k].item() == pytest.approx(
                offset.grad.item(), rel=1e-3, abs=1e-3 * scale
            )


# Selection


def test_the_step_with_the_lowest_validation_error_is_kept(planted: Planted) -> None:
    [result] = planted.optimise(planted.problem(), config=replace(CONFIG, steps=80))
    errors = np.array([entry.validation_mse for entry in result.trace], dtype=float)
    assert [entry.step for entry in result.trace] == list(range(81))
    assert result.step == int(np.argmin(errors))  # the first of them where several tie
    assert 0 < result.step < 80
    [again] = planted.optimise(
        replace(Planted().problem(), validation=np.zeros(N_MODELS, dtype=bool)),
        config=replace(CONFIG, steps=result.step),
    )
    assert_allclose(again.weight, result.weight, rtol=1e-5)


def test_validation_models_choose_the_step_and_move_nothing_else(planted: Planted) -> None:
    problem = planted.problem()
    [one] = planted.optimise(problem)
    spoilt = np.where(problem.validation, 0.9 - 0.5 * problem.accuracy, problem.accuracy)
    [two] = planted.optimise(replace(problem, accuracy=spoilt))
    assert two.step != one.step
    for before, after in zip(one.trace, two.trace, strict=True):
        assert replace(before, validation_mse=None) == replace(after, validation_mse=None)


def test_without_validation_models_the_last_step_is_kept(planted: Planted) -> None:
    problem = replace(planted.problem(), validation=np.zeros(N_MODELS, dtype=bool))
    restless = replace(CONFIG, steps=30, learning_rate=1.0)
    [result] = planted.optimise(problem, config=restless)
    errors = [entry.train_mse for entry in result.trace]
    assert result.step == 30 != int(np.argmin(errors))
    assert all(entry.validation_mse is None for entry in result.trace)


def test_accuracies_of_test_models_cannot_influence_anything(planted: Planted) -> None:
    problem = planted.problem()
    [known] = planted.optimise(problem)
    [hidden] = planted.optimise(replace(problem, accuracy=np.where(TEST, np.nan, problem.accuracy)))
    assert_array_equal(hidden.weight, known.weight)
    assert (hidden.step, hidden.trace) == (known.step, known.trace)


# Company and chance


def test_tasks_fitted_together_come_out_as_fitted_alone() -> None:
    planted = Planted(1)
    problems = [planted.problem("one"), planted.problem("two"), planted.problem("three")]
    problems[1] = replace(problems[1], validation=np.zeros(N_MODELS, dtype=bool))
    slow = replace(CONFIG, learning_rate=0.01)
    for together, problem in zip(planted.optimise(*problems, config=slow), problems, strict=True):
        [alone] = planted.optimise(problem, config=slow)
        assert (together.task, together.step) == (problem.task, alone.step)
        # The scale of the weights means nothing and is left to rounding: its gradient is almost 0,
        # and Adam makes full steps of it. Else float32 sums in another order, over 60 steps.
        for result in (together, alone):
            result.weight[:] /= result.weight.mean()
        assert_allclose(together.weight, alone.weight, atol=5e-5)
        for one, two in zip(together.trace, alone.trace, strict=True):
            assert one.train_mse == pytest.approx(two.train_mse, rel=1e-3)


def test_the_same_seed_gives_the_same_heads_and_another_seed_others(planted: Planted) -> None:
    problem = planted.problem()
    [one], [two], [other] = (
        planted.optimise(problem, config=replace(CONFIG, seed=seed)) for seed in (7, 7, 8)
    )
    assert_array_equal(one.weight, two.weight)
    assert one.trace == two.trace
    assert not np.array_equal(one.weight, other.weight)


def test_the_global_random_state_plays_no_part_and_is_left_alone(planted: Planted) -> None:
    problem = planted.problem()
    torch.manual_seed(1)
    before = torch.get_rng_state()
    [one] = planted.optimise(problem)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    [two] = planted.optimise(problem)
    assert_array_equal(one.weight, two.weight)


# Progress and refusals


def test_every_step_is_reported_and_the_caller_can_stop_it(planted: Planted) -> None:
    seen: list[tuple[int, int]] = []

    def report(step: int, total: int) -> None:
        seen.append((step, total))
        if step == 5:
            raise Cancelled("enough")

    with pytest.raises(Cancelled, match="enough"):
        optimise_heads(planted.hidden, planted.nll, N_CHARS, [planted.problem()], CONFIG, report)
    assert seen == [(step, CONFIG.steps) for step in range(6)]


def test_losses_of_another_number_of_tokens_are_refused(planted: Planted) -> None:
    problem = planted.problem()
    planted.hidden = planted.hidden[:-1]
    with pytest.raises(InputError, match="hidden states of 299 tokens, losses of 300"):
        planted.optimise(problem)


def test_a_task_whose_train_models_do_not_differ_is_refused_by_name(planted: Planted) -> None:
    flat = replace(planted.problem("flat"), accuracy=np.full(N_MODELS, 0.5))
    with pytest.raises(FitError, match=r"flat, step 0: all 24 models have the same accuracy 0\.5"):
        planted.optimise(planted.problem(), flat)
