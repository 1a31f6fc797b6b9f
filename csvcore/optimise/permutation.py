"""The permutation test of a fit: refits with the accuracies shuffled among the models."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from csvcore.analysis.intervals import permutation_p
from csvcore.optimise.features import TokenTable
from csvcore.optimise.gauss_newton import Heads, solve
from csvcore.optimise.penalty_path import FastConfig
from csvcore.optimise.problem import HeadProblem
from csvcore.parallel import Report, each
from csvcore.records import Control, Floats

# Fixed beforehand: a penalty chosen on the true accuracies would flatter them.
STRENGTH = 1e-4
HEADS = 100  # heads optimised together; bounds the memory of their Jacobians


def permutation_control(
    table: TokenTable,
    problem: HeadProblem,
    config: FastConfig,
    n_permutations: int = 200,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> Control:
    """Refit with the accuracies shuffled among the train models; the p-value of the train error.

    All fits have the same penalty, pull and stopping rule, so the p-value is uniform if losses and
    accuracies are unrelated and models exchangeable. Checkpoints of one run are not exchangeable:
    their losses and accuracies both follow training, so a small p-value alone does not support the
    weights.
    """
    rng = np.random.default_rng(config.seed)
    table = replace(table, nll=table.nll[problem.train])
    observed = problem.accuracy[problem.train]
    dealt = np.array([observed, *(rng.permutation(observed) for _ in range(n_permutations))])
    parts = [dealt[at : at + HEADS] for at in range(0, len(dealt), HEADS)]

    def step(done: int, total: int, message: str) -> None:
        report(min(done * HEADS, len(dealt)), len(dealt))

    errors = list(each(_train_errors, (table, problem.gamma, config), parts, step))
    true, *shuffled = np.concatenate(errors).tolist()
    return Control(
        n_permutations=n_permutations,
        strength=STRENGTH,
        mse=true,
        median=float(np.median(shuffled)),
        p_value=permutation_p(true, np.array(shuffled)),
    )


def _train_errors(
    shared: tuple[TokenTable, float, FastConfig], part: Floats, step: Report
) -> Floats:
    """Return the train errors, (n_heads,), of heads on dealt accuracies, (n_heads, n_train)."""
    table, gamma, config = shared
    heads = Heads(
        accuracy=part,
        share=np.full(part.shape, 1.0 / part.shape[1]),
        gamma=np.full(len(part), gamma),
        strength=np.full(len(part), STRENGTH),
        pull=np.zeros(len(part), dtype=np.int64),
    )
    start = np.zeros((len(part), table.n_features))
    solution = solve(table, heads, start, config.activation, config.max_steps)
    step(1, 1, "")
    return solution.history[-1].mse
