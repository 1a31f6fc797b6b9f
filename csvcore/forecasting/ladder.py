"""A ladder: trained models of known size and tokens, with their scores and accuracies."""

from dataclasses import dataclass, replace

import numpy as np

from csvcore.errors import InputError
from csvcore.records import Floats, Ints, Mask

FEWEST_MODELS, FEWEST_SIZES = 6, 2  # that forms can be fitted to
ABOVE_CHANCE = 0.03  # of an accuracy, that tells it from chance
SAME_SIZE = 0.05  # models whose parameters differ by less than this share are of one size


@dataclass(frozen=True, slots=True)
class Ladder:
    """Trained models from which others are forecast; every accuracy is known.

    names, n_params, train_tokens, run: (n_models,); run names the training run. tasks, gamma:
    (n_tasks,) names and chance levels. accuracy: (n_tasks, n_models). scores: (n_scores,) names.
    score: (n_scores, n_models), positive, lower is better: mean losses in nats per character, or
    -log of answer probabilities. probable: (n_scores,) which of them are the latter. uses:
    (n_tasks, n_scores) which scores may forecast a task.
    """

    names: tuple[str, ...]
    n_params: Floats
    train_tokens: Floats
    run: tuple[str, ...]
    tasks: tuple[str, ...]
    gamma: Floats
    accuracy: Floats
    scores: tuple[str, ...]
    score: Floats
    probable: Mask
    uses: Mask

    @property
    def compute(self) -> Floats:
        """Return parameters times tokens of each model, (n_models,); a sixth of the FLOPs."""
        return self.n_params * self.train_tokens

    @property
    def n_sizes(self) -> int:
        """Return how many sizes of model there are."""
        return len(sizes(self.n_params))

    @property
    def long_enough(self) -> bool:
        """Tell whether forms can be fitted."""
        return len(self.names) >= FEWEST_MODELS and self.n_sizes >= FEWEST_SIZES

    def take(self, chosen: Ints) -> "Ladder":
        """Return the ladder of some of the models."""
        return replace(
            self,
            names=tuple(self.names[at] for at in chosen),
            n_params=self.n_params[chosen],
            train_tokens=self.train_tokens[chosen],
            run=tuple(self.run[at] for at in chosen),
            accuracy=self.accuracy[:, chosen],
            score=self.score[:, chosen],
        )

    def of_run(self, run: str) -> Ints:
        """Return the places of a run's checkpoints, fewest tokens first."""
        places = np.flatnonzero([name == run for name in self.run])
        return np.asarray(places[np.argsort(self.train_tokens[places], kind="stable")])

    def horizon(self, n_params: Floats, train_tokens: Floats) -> Floats:
        """Return how far models lie beyond the ladder, (n_targets,) as a factor.

        The largest of the ratios of parameters, of tokens and of compute to the ladder's largest;
        1 or less is within.
        """
        ratios = [
            n_params / self.n_params.max(),
            train_tokens / self.train_tokens.max(),
            n_params * train_tokens / self.compute.max(),
        ]
        return np.asarray(np.max(ratios, axis=0))

    def beneath(self, n_params: Floats, train_tokens: Floats) -> Floats:
        """Return the accuracies that models should not fall below by much, (n_tasks, n_targets).

        Each is that of the known model with the most compute among those with at most the target's
        parameters and at most its tokens; NaN where there is none.
        """
        within = self.n_params[:, None] <= n_params * (1 + SAME_SIZE)
        within &= self.train_tokens[:, None] <= train_tokens
        best = np.argmax(np.where(within, self.compute[:, None], -1.0), axis=0)
        return np.where(within.any(axis=0), self.accuracy[:, best], np.nan)


def sizes(n_params: Floats) -> list[float]:
    """Return the distinct sizes among models, smallest first; see SAME_SIZE."""
    distinct: list[float] = []
    for size in np.unique(n_params).tolist():
        if not distinct or size > distinct[-1] * (1 + SAME_SIZE):
            distinct.append(size)
    return distinct


def without_run(ladder: Ladder, run: str) -> Ladder:
    """Return the ladder without the checkpoints of a run."""
    return ladder.take(np.flatnonzero([name != run for name in ladder.run]))


def refuse_short(ladder: Ladder) -> None:
    """Refuse a ladder of too few models or sizes."""
    if not ladder.long_enough:
        raise InputError(
            f"a forecast needs {FEWEST_MODELS} trained models of {FEWEST_SIZES} sizes or more with "
            f"losses and accuracies, got {len(ladder.names)} of {ladder.n_sizes}; add smaller "
            "models or earlier checkpoints"
        )
