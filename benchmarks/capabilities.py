"""How often shared factors are found where they are planted: python benchmarks/capabilities.py.

Worlds in which six tasks need one or two of three factors (tests/support/shared_factors.py).
Prints for each world: the number of factors, the lowest matched cosine of their scores, the test
error relative to that of six heads of their own (geometric mean over tasks), and for every task
that with few known train models relative to the task's own head. Docs: docs/capabilities.md.
"""

import argparse
from dataclasses import replace

import numpy as np

from csvcore.fitting.few_shot import OWN, FewKnown, draw_known
from csvcore.optimise import FastConfig, choose_heads
from csvcore.optimise.factors import Observed
from csvcore.optimise.passes import Passes, default_device
from csvcore.scaling import fit_sigmoid_laws
from tests.support.shared_factors import GAMMA, N_FACTORS, Planted, matched_cosines, planted_factors


def main() -> None:
    """Print a row for each world and a summary."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worlds", type=int, default=10)
    parser.add_argument("--known", type=int, default=5)
    given = parser.parse_args()
    rows = np.array([measure(seed, given.known) for seed in range(given.worlds)])
    right = int((rows[:, 0] == N_FACTORS).sum())
    print(f"number of factors right in {right} of {given.worlds}")
    print(f"lowest matched cosine {rows[:, 1].min():.3f}")
    print(f"error relative to own heads {np.exp(np.log(rows[:, 2]).mean()):.2f}")
    print(f"with {given.known} known models, median {np.median(rows[:, 3:]):.2f}")
    mixed = rows[:, 3 + N_FACTORS :]
    print(f"the same of tasks whose factors other tasks need alone {np.median(mixed):.2f}")


def measure(seed: int, n_known: int) -> list[float]:
    """Return the figures of a world: three, and a few-shot ratio for each task."""
    planted = planted_factors(seed)
    own = planted.own_heads()
    choice = planted.choose(own)
    passes, test = Passes(planted.table, "exp", default_device()), ~planted.train
    score = passes.scores(choice.heads.theta, choice.heads.pull)
    gamma = np.full(len(own), GAMMA)
    full = np.array([scored(planted, one.weight) for one in own])
    share = np.tile(planted.train / planted.train.sum(), (len(own), 1))
    observed = Observed(planted.accuracy, share, gamma, full)
    scale, loadings = observed.loadings(score, choice.trial.tie)
    laws = fit_sigmoid_laws(full, planted.accuracy, gamma, share)
    errors = [
        np.square(predicted - planted.accuracy)[:, test].mean(axis=1)
        for predicted in (
            loadings.predict(scale.standardised(score)),
            laws.predict(full, gamma),
        )
    ]
    ratio = float(np.exp(np.log(errors[0] / errors[1]).mean()))
    few = few_shot_ratios(planted, full, gamma, seed, n_known)
    found = [float(choice.trial.n_factors), float(matched_cosines(score, planted.factor)[0]), ratio]
    print(seed, np.round([*found, *few], 3).tolist(), flush=True)
    return [*found, *few]


def scored(planted: Planted, weight: np.ndarray) -> np.ndarray:
    """Return the scores of all models by token weights."""
    return planted.world.nll @ weight / planted.world.n_chars


def few_shot_ratios(
    planted: Planted, full: np.ndarray, gamma: np.ndarray, seed: int, n_known: int
) -> list[float]:
    """Return each task's ratio of test errors of borrowed to own heads with few known models."""
    rows = draw_known(planted.train, n_known, seed, 0)
    known = np.zeros(planted.train.size, dtype=bool)
    known[rows] = True
    every, none = np.ones(n_known, dtype=bool), np.zeros(n_known, dtype=bool)
    problems = [
        replace(one, accuracy=one.accuracy[rows], train=every, validation=none)
        for one in planted.problems
    ]
    table = replace(planted.table, nll=planted.table.nll[rows])
    groups = {str(fold): np.arange(n_known) % 5 == fold for fold in range(5)}
    heads = choose_heads(table, problems, groups, planted.world.run[rows], FastConfig(members=1))
    few = np.array([scored(planted, one.weight) for one in heads])
    setting = FewKnown(planted.accuracy, gamma, few, full, known, planted.train)
    ratios = []
    for task in range(len(gamma)):
        others = [other for other in range(len(gamma)) if other != task]
        pair = setting.predict(task, others, setting.choose(task)), setting.predict(task, [], OWN)
        wrong = [np.square(row - planted.accuracy[task])[~planted.train].mean() for row in pair]
        ratios.append(float(wrong[0] / wrong[1]))
    return ratios


if __name__ == "__main__":
    main()
