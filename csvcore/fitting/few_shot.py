"""Few-shot transfer: a task with few known train models borrows the heads of other tasks.

The other tasks' heads were learnt from all train models; their scores are the factors. Ways to use
them for the new task, from its few accuracies:

- `own`: its own head alone, learnt from the few models;
- `loadings`: loadings on the factors, pulled towards equal parts by some tie;
- `average`: the mean, in the logit, of the laws of its own head and of every factor alone, weighted
  by exp(-mse / (2 width^2)).

The way is chosen on the other tasks: each plays the part of the new one, with the same few models
known, and is predicted for the rest of the train models. The new task's other accuracies are not
read.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import expit, logit

from csvcore.analysis.loadings import Scale, fit_loadings
from csvcore.analysis.stack import LEAST, MOST
from csvcore.records import Floats, Ints, Mask
from csvcore.scaling import fit_sigmoid_laws


@dataclass(frozen=True, slots=True)
class Way:
    """A way to use factors; amount is the tie of loadings or the width of an average."""

    kind: Literal["own", "loadings", "average"]
    amount: float = 0.0

    @property
    def label(self) -> str:
        """Return its name for tables."""
        return self.kind if self.kind == "own" else f"{self.kind} {self.amount:g}"


OWN = Way("own")
WAYS = (
    OWN,
    *(Way("loadings", tie) for tie in (np.inf, 1e-2, 1e-3, 1e-4)),
    *(Way("average", width) for width in (0.3, 0.1, 0.03)),
)


@dataclass(frozen=True, slots=True)
class FewKnown:
    """Tasks of which the accuracies of the same few models are known.

    accuracy: (n_tasks, n_models). gamma: (n_tasks,). few: (n_tasks, n_models) scores by heads
    learnt from the few models. full: (n_tasks, n_models) by heads learnt from all train models.
    known: (n_models,) mask of the few. train: (n_models,) mask of all train models.
    """

    accuracy: Floats
    gamma: Floats
    few: Floats
    full: Floats
    known: Mask
    train: Mask

    def predict(self, task: int, others: Sequence[int], way: Way) -> Floats:
        """Return accuracies of all models on a task, (n_models,), by its own head and others'."""
        accuracy, gamma = self.accuracy[task], float(self.gamma[task])
        bank = self.full[list(others)]
        share = self.known / self.known.sum()
        if way.kind == "loadings":
            z = Scale.of(bank, self.train).standardised(bank)
            mix = np.full((1, len(bank)), 1.0 / len(bank))
            chance = np.array([gamma])
            found = fit_loadings(z, accuracy[None], chance, share[None], mix, way.amount)
            return np.asarray(found.predict(z)[0])
        score = self.few[[task]]
        if way.kind == "average":
            score = np.vstack([score, bank])
        return _average(score, accuracy, gamma, share, way.amount)

    def choose(self, task: int) -> Way:
        """Return the way that serves the other tasks best when they play the part of this one."""
        others = [other for other in range(len(self.gamma)) if other != task]
        rest = self.train & ~self.known
        if len(others) < 2 or not rest.any():
            return OWN
        return min(WAYS, key=lambda way: self._log_error(others, way, rest))

    def _log_error(self, tasks: Sequence[int], way: Way, rest: Mask) -> float:
        """Return the mean log error of a way on the rest of the train models of these tasks."""
        errors = []
        for task in tasks:
            predicted = self.predict(task, [other for other in tasks if other != task], way)
            errors.append(np.nanmean(np.square(predicted - self.accuracy[task])[rest]))
        return float(np.mean(np.log(np.maximum(errors, 1e-12))))


def draw_known(usable: Mask, n_known: int, seed: int, draw: int) -> Ints:
    """Draw the rows of n_known of the usable models, in order."""
    rng = np.random.default_rng([seed, n_known, draw])
    return np.sort(rng.choice(np.flatnonzero(usable), n_known, replace=False))


def _average(score: Floats, accuracy: Floats, gamma: float, share: Floats, width: float) -> Floats:
    """Return the weighted mean of the laws of scores (n_scores, n_models), (n_models,).

    A law that rises with the score counts as one that is off by everything.
    """
    n_scores = len(score)
    chance, known = np.full(n_scores, gamma), np.where(share > 0, accuracy, 0.0)
    shares = np.tile(share, (n_scores, 1))
    laws = fit_sigmoid_laws(score, np.tile(known, (n_scores, 1)), chance, shares)
    predicted = laws.predict(score, chance)
    if n_scores == 1:
        return np.asarray(predicted[0])
    wrong = np.where(laws.alpha < 0, laws.mse, 1.0)
    weight = np.exp(-(wrong - wrong.min()) / (2.0 * width**2))
    logits = logit(np.clip(predicted, LEAST, MOST))
    return np.asarray(expit(weight @ logits / weight.sum()))
