"""Predictors with no loss in them: what a method must beat before its losses mean anything."""

from collections.abc import Sequence

import numpy as np

from csvcore.errors import FitError, InputError
from csvcore.records import Floats, ModelCard
from csvcore.scaling import fit_sigmoid_law, sigmoid_law
from csvcore.splits import run_of


def constant(accuracy: Floats, n_models: int) -> Floats:
    """The mean of these accuracies for every model, (n_models,).

    Of the train models it is the null "train-mean". Of the test models it is "best-constant", an
    oracle: no constant has a smaller mean squared error.
    """
    return np.full(n_models, float(accuracy.mean()))


def sibling(cards: Sequence[ModelCard], known: Sequence[ModelCard], accuracy: Floats) -> Floats:
    """For each model the accuracy of its nearest known relative, (n_models,).

    That is the checkpoint of its own training run which is nearest in training tokens (else steps);
    where none of them is known, its nearest smaller sibling: of the same family and stage, of those
    with fewer parameters the largest, and of its checkpoints again the nearest.

    Args:
        cards: models to predict.
        known: models whose accuracies may be used.
        accuracy: (n_known,) theirs.

    Raises:
        InputError: a model has neither among the known.
    """
    found = []
    for card in cards:
        pairs = list(zip(known, accuracy.tolist(), strict=True))
        checkpoints = [
            pair for pair in pairs if card.step is not None and run_of(pair[0]) == run_of(card)
        ]
        if not checkpoints:
            smaller = [
                pair
                for pair in pairs
                if (pair[0].family, pair[0].stage) == (card.family, card.stage)
                and (pair[0].n_params or np.inf) < (card.n_params or 0)
            ]
            size = max((other.n_params or 0 for other, _ in smaller), default=0)
            checkpoints = [pair for pair in smaller if pair[0].n_params == size]
        if not checkpoints:
            raise InputError(
                f"{card.model} has no checkpoint of its run and no smaller sibling with a known "
                "accuracy"
            )
        found.append(min(checkpoints, key=lambda pair: _apart(pair[0], card))[1])
    return np.array(found)


def compute(
    fitted: Sequence[ModelCard], accuracy: Floats, gamma: float, cards: Sequence[ModelCard]
) -> Floats:
    """Accuracies by the sigmoid law in log10 of training FLOPs, 6 N D, (n_models,).

    6 operations a parameter and token (Kaplan et al. 2020).

    Args:
        fitted: train models.
        accuracy: (n_fitted,) theirs.
        gamma: chance level of the task.
        cards: models to predict.

    Raises:
        InputError: parameters or training tokens of a model are not known.
        FitError: the law cannot be fitted.
    """
    flops, wanted = log_flops(fitted), log_flops(cards)
    try:
        law = fit_sigmoid_law(flops, accuracy, gamma)
    except FitError as error:
        raise FitError(f"compute: {error}") from error
    return sigmoid_law(wanted, law.alpha, law.beta, gamma)


def log_flops(cards: Sequence[ModelCard]) -> Floats:
    """log10 of 6 N D, (n_models,)."""
    for card in cards:
        if not card.n_params or not card.train_tokens:
            raise InputError(f"n_params or train_tokens of {card.model} is not known")
    return np.log10([6.0 * (card.n_params or 0) * (card.train_tokens or 0) for card in cards])


def _apart(one: ModelCard, other: ModelCard) -> float:
    """How far two checkpoints are from each other in training, as a log ratio."""
    for a, b in ((one.train_tokens, other.train_tokens), (one.step, other.step)):
        if a is not None and b is not None:
            return abs(float(np.log((a + 1) / (b + 1))))
    return float(np.inf)
