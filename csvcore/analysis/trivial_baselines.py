"""Trivial baselines: predictors that see no loss, which every method has to beat."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from csvcore.errors import FitError, InputError
from csvcore.records import Floats, ModelCard
from csvcore.scaling import fit_sigmoid_law, sigmoid_law
from csvcore.splits import run_of


@dataclass(frozen=True, slots=True)
class Observed:
    """The models that a trivial baseline may know and those that it predicts.

    train, train_accuracy: the train models. known, known_accuracy: all whose accuracy may be used:
    train and, for test models, validation. cards: models to predict. accuracy: (n_cards,) theirs,
    for an oracle alone. gamma: chance level of the task.
    """

    train: Sequence[ModelCard]
    train_accuracy: Floats
    known: Sequence[ModelCard]
    known_accuracy: Floats
    cards: Sequence[ModelCard]
    accuracy: Floats
    gamma: float


FLOPS = 6.0  # a parameter and training token (Kaplan et al. 2020)

Predictor = Callable[[Observed], Floats]
PREDICTORS: dict[str, Predictor] = {}  # by name of the method, as in `methods.METHODS`


def predictor(name: str) -> Callable[[Predictor], Predictor]:
    """Register the function that gives a trivial baseline's predictions, (n_cards,)."""

    def register(function: Predictor) -> Predictor:
        PREDICTORS[name] = function
        return function

    return register


@predictor("train-mean")
def _train_mean(seen: Observed) -> Floats:
    return constant(seen.train_accuracy, len(seen.cards))


@predictor("best-constant")
def _best_constant(seen: Observed) -> Floats:
    return constant(seen.accuracy, len(seen.cards))


@predictor("sibling")
def _sibling(seen: Observed) -> Floats:
    return sibling(seen.cards, seen.known, seen.known_accuracy)


@predictor("compute")
def _compute(seen: Observed) -> Floats:
    return compute(seen.train, seen.train_accuracy, seen.gamma, seen.cards)


def constant(accuracy: Floats, n_models: int) -> Floats:
    """Return the mean of these accuracies for every model, (n_models,).

    Of the train models it is "train-mean". Of the test models it is "best-constant", an oracle: no
    constant has a smaller mean squared error.
    """
    return np.full(n_models, float(accuracy.mean()))


def sibling(cards: Sequence[ModelCard], known: Sequence[ModelCard], accuracy: Floats) -> Floats:
    """Return for each model the accuracy of its nearest known relative, (n_models,).

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
    """Predict accuracies by the sigmoid law in log10 of training FLOPs, 6 N D, (n_models,).

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
    """Return log10 of the training FLOPs, 6 N D, (n_models,)."""
    for card in cards:
        if not card.n_params or not card.train_tokens:
            raise InputError(f"n_params or train_tokens of {card.model} is not known")
    return np.log10([FLOPS * (card.n_params or 0) * (card.train_tokens or 0) for card in cards])


def _apart(one: ModelCard, other: ModelCard) -> float:
    """Return the distance of two checkpoints in training, as a log ratio."""
    for a, b in ((one.train_tokens, other.train_tokens), (one.step, other.step)):
        if a is not None and b is not None:
            return abs(float(np.log((a + 1) / (b + 1))))
    return float(np.inf)
