"""Algorithm 2 to the letter: the paper's scoring head, all tasks in one loop.

The frozen scorer's hidden states are given. Every step does the paper's three: weights from the
head, (alpha, beta) by Levenberg-Marquardt, one gradient step on the head with them fixed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from csvcore.errors import FitError, InputError
from csvcore.optimise.problem import HeadProblem, HeadResult, Look, Singles, glimpse
from csvcore.records import Floats, Glimpse, TraceStep
from csvcore.scaling import fit_sigmoid_law, sigmoid_law

INITIAL_SPREAD = 1e-3
STAGES = 24  # steps of which the weights are kept, ever farther apart


@dataclass(frozen=True, slots=True)
class OptimiseConfig:
    """Settings of Algorithm 2; steps and learning rate as in the paper's section 4.1."""

    steps: int = 300
    learning_rate: float = 1e-3
    seed: int = 0


def standardise(hidden: Singles) -> Singles:
    """Hidden states (n_tokens, width), each unit with mean 0 and variance 1; dead ones dropped."""
    spread = hidden.std(axis=0)
    alive = spread > 1e-6
    return np.asarray((hidden[:, alive] - hidden[:, alive].mean(axis=0)) / spread[alive])


def optimise_heads(
    hidden: Singles,
    nll: Singles,
    n_chars: int,
    problems: Sequence[HeadProblem],
    config: OptimiseConfig,
    report: Callable[[int, int], None] = lambda step, total: None,
    watch: Callable[[Look], None] = lambda look: None,
) -> list[HeadResult]:
    """Optimise one linear head with softplus per task; all heads share every pass over the tokens.

    Step 0 gives every token almost the same weight, so it is the all-token baseline; the step with
    the lowest MSE on the validation models is kept, the last one where none validates.

    Args:
        hidden: (n_tokens, width) standardised hidden states of the scorer.
        nll: (n_models, n_tokens) nats on the scorer's tokens.
        n_chars: characters of the validation text.
        problems: the tasks.
        config: steps, learning rate, seed.
        report: called with (step, steps) after every step; may raise to stop.
        watch: given what tells how far the heads are, to be called during `report`.

    Raises:
        InputError: shapes do not fit together.
        FitError: the law cannot be fitted on a task's train models.
    """
    if hidden.shape[0] != nll.shape[1]:
        raise InputError(f"hidden states of {hidden.shape[0]} tokens, losses of {nll.shape[1]}")
    states, losses = torch.from_numpy(hidden), torch.from_numpy(nll)
    generator = torch.Generator().manual_seed(config.seed)
    start = INITIAL_SPREAD * torch.randn(states.shape[1], 1, generator=generator)
    head = start.repeat(1, len(problems))  # one start for all: company must not change a head
    bias = torch.full((len(problems),), float(np.log(np.expm1(1.0))))  # softplus(bias) = 1
    adam = torch.optim.Adam([head, bias], lr=config.learning_rate)
    laws: list[tuple[float, float] | None] = [None] * len(problems)
    traces: list[list[TraceStep]] = [[] for _ in problems]
    best: list[tuple[float, int, torch.Tensor, torch.Tensor]] = []
    recorded = stage_steps(config.steps)
    stages: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}
    score = np.zeros((nll.shape[0], len(problems)))

    def look() -> list[Glimpse]:
        own = zip(problems, traces, score.T, strict=True)
        return [glimpse(problem, trace, column) for problem, trace, column in own]

    watch(look)
    for step in range(config.steps + 1):
        logit = torch.addmm(bias, states, head)  # (n_tokens, n_heads)
        weight = torch.nn.functional.softplus(logit)
        score = (losses @ weight / n_chars).numpy().astype(np.float64)  # (n_models, n_heads)
        slope = np.zeros_like(score)  # d loss / d score
        for k, problem in enumerate(problems):
            entry, slope[:, k] = _law_step(score[:, k], problem, laws[k], step)
            laws[k] = (entry.alpha, entry.beta)
            traces[k].append(entry)
            figure = entry.train_mse if entry.validation_mse is None else entry.validation_mse
            if step == 0:
                best.append((figure, 0, head[:, k].clone(), bias[k].clone()))
            elif figure < best[k][0] or not problem.validation.any():
                best[k] = (figure, step, head[:, k].clone(), bias[k].clone())
        if step in recorded:
            stages[step] = head.clone(), bias.clone()
        by_weight = losses.T @ torch.from_numpy(slope / n_chars).float()  # (n_tokens, n_heads)
        by_logit = by_weight * torch.sigmoid(logit)
        head.grad, bias.grad = states.T @ by_logit, by_logit.sum(0)
        adam.step()
        report(step, config.steps)
    results = []
    for k, (problem, (_, kept, theta, offset)) in enumerate(zip(problems, best, strict=True)):
        own = {at: (heads[:, k], biases[k]) for at, (heads, biases) in stages.items()}
        own[kept] = theta, offset
        weights = {float(at): _weights(states, *own[at]) for at in sorted(own)}
        final = weights[float(kept)].astype(np.float64)
        results.append(HeadResult(problem.task, final, kept, tuple(traces[k]), weights))
    return results


def stage_steps(n_steps: int) -> set[int]:
    """The steps whose weights are kept: the first, the last, and between them ever fewer."""
    return {0, *np.geomspace(1, max(n_steps, 1), STAGES).round().astype(int).tolist()}


def _weights(states: torch.Tensor, theta: torch.Tensor, offset: torch.Tensor) -> Singles:
    """Weights (n_tokens,) of one head."""
    found: Singles = torch.nn.functional.softplus(states @ theta + offset).numpy()
    return found


def _law_step(
    score: Floats, problem: HeadProblem, law: tuple[float, float] | None, step: int
) -> tuple[TraceStep, Floats]:
    """Fit the law on the train models; the trace entry, and d train MSE / d score (n_models,)."""
    train, gamma = problem.train, problem.gamma
    observed = problem.accuracy
    try:
        fit = fit_sigmoid_law(score[train], observed[train], gamma, start=law)
    except FitError as error:
        raise FitError(f"{problem.task}, step {step}: {error}") from error
    predicted = sigmoid_law(score, fit.alpha, fit.beta, gamma)
    wrong = predicted - np.where(train | problem.validation, observed, predicted)
    share = (predicted - gamma) / (1.0 - gamma)
    steepness = fit.alpha * (1.0 - gamma) * share * (1.0 - share)
    validation = problem.validation
    entry = TraceStep(
        step=step,
        alpha=fit.alpha,
        beta=fit.beta,
        train_mse=float(np.mean(np.square(wrong[train]))),
        validation_mse=float(np.mean(np.square(wrong[validation]))) if validation.any() else None,
    )
    return entry, np.where(train, 2.0 * wrong * steepness / train.sum(), 0.0)
