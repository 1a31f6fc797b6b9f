"""Accuracies of a run's checkpoints from their losses, where no benchmark was run on them."""

from dataclasses import replace

import numpy as np

from csvcore.analysis.stack import LEAST, MOST, mix, mixing_weights
from csvcore.forecasting.forms import for_law, sigmoid_laws
from csvcore.forecasting.ladder import Ladder
from csvcore.records import Ints


def from_losses(ladder: Ladder, own: Ints) -> Ladder:
    """Return the ladder with accuracies of some models replaced by what their scores predict.

    A sigmoid law of every score is fitted to the other models, and the laws are mixed by their
    errors on these.

    Args:
        ladder: some models, whose accuracies are known but for the chosen ones.
        own: places of the chosen ones.
    """
    others = np.setdiff1d(np.arange(len(ladder.names)), own)
    score = for_law(ladder.score, ladder)
    task, column = np.nonzero(ladder.uses)
    gamma = ladder.gamma[task]
    laws = sigmoid_laws(score[column][:, others], ladder.accuracy[task][:, others], gamma)
    predicted = np.clip(laws.predict(score[column], gamma), LEAST, MOST)
    accuracy = ladder.accuracy.copy()
    for number in range(len(ladder.tasks)):
        rows = predicted[task == number]
        errors = rows[:, others] - ladder.accuracy[number, others]
        accuracy[number, own] = mix(rows[:, own], mixing_weights([errors], [1.0]))
    return replace(ladder, accuracy=accuracy)
