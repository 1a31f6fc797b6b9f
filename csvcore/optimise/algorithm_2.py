"""Algorithm 2 of the paper: the scoring heads of all tasks in one loop.

The frozen scorer's hidden states are given. Every step has three parts: weights from the
head, (alpha, beta) by Levenberg-Marquardt, one gradient step on the head with them fixed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from csvcore.errors import FitError, InputError
from csvcore.optimise.problem import HeadProblem, Look, Singles, WeightResult, glimpse
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
    """Return hidden states (n_tokens, width), each unit standardised; dead units are dropped."""
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
) -> list[WeightResult]:
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
        watch: given a function that returns the current progress, to be called during `report`.

    Raises:
        InputError: shapes do not fit together.
        FitError: the law cannot be fitted on a task's train models.
    """
    if hidden.shape[0] != nll.shape[1]:
        raise InputError(f"hidden states of {hidden.shape[0]} tokens, losses of {nll.shape[1]}")
    states, losses = torch.from_numpy(hidden), torch.from_numpy(nll)
    theta, bias = _start(states.shape[1], len(problems), config.seed)
    adam = torch.optim.Adam([theta, bias], lr=config.learning_rate)
    heads = [_Head(problem) for problem in problems]
    recorded = stage_steps(config.steps)
    score = np.zeros((nll.shape[0], len(problems)))

    def look() -> list[Glimpse]:
        return [
            glimpse(head.problem, head.trace, row) for head, row in zip(heads, score.T, strict=True)
        ]

    watch(look)
    for step in range(config.steps + 1):
        logit = torch.addmm(bias, states, theta)  # (n_tokens, n_heads)
        weight = torch.nn.functional.softplus(logit)
        score = (losses @ weight / n_chars).numpy().astype(np.float64)  # (n_models, n_heads)
        slope = np.zeros_like(score)  # d train MSE / d score
        for k, head in enumerate(heads):
            slope[:, k] = head.fit_law(score[:, k], step)
            head.keep(step, theta[:, k], bias[k], step in recorded)
        by_weight = losses.T @ torch.from_numpy(slope / n_chars).float()  # (n_tokens, n_heads)
        by_logit = by_weight * torch.sigmoid(logit)
        theta.grad, bias.grad = states.T @ by_logit, by_logit.sum(0)
        adam.step()
        report(step, config.steps)
    return [head.result(states) for head in heads]


def _start(width: int, n_heads: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return theta (width, n_heads) and bias (n_heads,), equal for all heads.

    So a head does not depend on the other tasks optimised with it.
    """
    generator = torch.Generator().manual_seed(seed)
    start = INITIAL_SPREAD * torch.randn(width, 1, generator=generator)
    bias = torch.full((n_heads,), float(np.log(np.expm1(1.0))))  # softplus(bias) = 1
    return start.repeat(1, n_heads), bias


@dataclass(slots=True)
class _Head:
    """One task's head in the loop.

    mse: the lowest so far, at the step `selected`. stages: copies of (theta, bias) by step.
    """

    problem: HeadProblem
    trace: list[TraceStep] = field(default_factory=list)
    mse: float = np.inf
    selected: int = 0
    stages: dict[int, tuple[torch.Tensor, torch.Tensor]] = field(default_factory=dict)
    best: tuple[torch.Tensor, torch.Tensor] | None = None

    def fit_law(self, score: Floats, step: int) -> Floats:
        """Fit the law starting from the last one and trace it; return d train MSE / d score."""
        law = (self.trace[-1].alpha, self.trace[-1].beta) if self.trace else None
        entry, slope = _law_step(score, self.problem, law, step)
        self.trace.append(entry)
        return slope

    def keep(self, step: int, theta: torch.Tensor, bias: torch.Tensor, recorded: bool) -> None:
        """Copy the parameters if this step is the best so far or a stage."""
        entry = self.trace[-1]
        mse = entry.train_mse if entry.validation_mse is None else entry.validation_mse
        if step == 0 or mse < self.mse or not self.problem.validation.any():
            self.mse, self.selected, self.best = mse, step, (theta.clone(), bias.clone())
        if recorded:
            self.stages[step] = theta.clone(), bias.clone()

    def result(self, states: torch.Tensor) -> WeightResult:
        """Return the weights of the selected step and of the stages."""
        stages = self.stages if self.best is None else self.stages | {self.selected: self.best}
        weights = {float(at): _weights(states, *stages[at]) for at in sorted(stages)}
        return WeightResult(
            task=self.problem.task,
            weight=weights[float(self.selected)].astype(np.float64),
            step=self.selected,
            trace=tuple(self.trace),
            stages=weights,
        )


def stage_steps(n_steps: int) -> set[int]:
    """Return the steps with kept weights: first, last, and ever sparser ones between them."""
    return {0, *np.geomspace(1, max(n_steps, 1), STAGES).round().astype(int).tolist()}


def _weights(states: torch.Tensor, theta: torch.Tensor, offset: torch.Tensor) -> Singles:
    """Return the weights (n_tokens,) of one head."""
    weight: Singles = torch.nn.functional.softplus(states @ theta + offset).numpy()
    return weight


def _law_step(
    score: Floats, problem: HeadProblem, law: tuple[float, float] | None, step: int
) -> tuple[TraceStep, Floats]:
    """Fit the law on the train models; return trace entry and d train MSE / d score (n_models,)."""
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
