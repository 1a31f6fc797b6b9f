"""Predictions for further models from a fit's weights and law, and their losses."""

from collections.abc import Mapping, Sequence

import numpy as np

from csvcore import salience
from csvcore.alignment import Aligner
from csvcore.analysis.intervals import residual_interval
from csvcore.analysis.scores import (
    COMPUTE,
    COUNTS,
    SCORES,
    Text,
    compute_score,
    source_scores,
    task_scores,
)
from csvcore.analysis.stack import interval
from csvcore.errors import InputError
from csvcore.methods import METHODS, predicting
from csvcore.records import (
    Document,
    Fit,
    FitUnits,
    Floats,
    Ints,
    ModelCard,
    ModelLosses,
    ModelPrediction,
    Task,
)
from csvcore.scaling import log_odds, sigmoid_law


def aligned(
    docs: Sequence[Document], edges: Sequence[Ints], losses: Sequence[ModelLosses]
) -> Floats:
    """Return models' losses on the tokens of a fit's weights: (n_models, sum of n_tokens).

    Args:
        docs: the corpus.
        edges: for each document the (n_tokens + 1,) byte boundaries of the weights.
        losses: of each model on all documents.
    """
    aligner = Aligner([doc.text for doc in docs], edges)
    return np.stack([aligner.map(entry) for entry in losses])


def cards_of(names: Sequence[str], stored: Mapping[str, ModelCard]) -> list[ModelCard]:
    """Return the card of each model; of one that is not stored, a card of its name alone."""
    return [stored.get(name, ModelCard(name, "")) for name in names]


def model_predictions(
    fit: Fit,
    units: FitUnits,
    docs: Sequence[Document],
    task: Task,
    cards: Sequence[ModelCard],
    nll: Floats,
) -> list[ModelPrediction]:
    """Return predictions of models from their losses and a fit, best score first.

    Args:
        fit: the record.
        units: its units and weights.
        docs: the corpus.
        task: the fit's.
        cards: of the models.
        nll: (n_models, n_tokens) from `aligned`.

    Raises:
        InputError: the fit is of a version that kept no errors on left-out models, or of a method
            that predicts only the models it was made with.
    """
    if fit.n_chars is None or not fit.residuals:
        raise InputError(
            f"the fit {fit.fit} keeps no errors on left-out models, from which intervals come; "
            "make it again with csvcore fit"
        )
    if METHODS[fit.method].kind == "comparator":
        raise InputError(
            f"{fit.method} predicts only the models of its fit; take one of "
            f"{', '.join(predicting())}"
        )
    text = Text(
        docs, units.edges, units.unit_weight.get(COUNTS, np.ones(nll.shape[1])) > 0, fit.n_chars
    )
    if fit.candidates:
        predicted, low, high = _mixed(fit, units, text, task, cards, nll)
        score = log_odds(predicted, fit.gamma)
    else:
        if units.weight is not None:
            score = salience.capability_score(units.weight, nll, fit.n_chars)
        else:
            score = SCORES[fit.method](nll, text, task)
        predicted = sigmoid_law(score, fit.alpha, fit.beta, fit.gamma)
        low, high = residual_interval(predicted, np.array(fit.residuals))
    sides = ("train", "validation") if fit.config.get("refit") == "all" else ("train",)
    known = [one.score for one in fit.predictions if one.side in sides]
    beyond = (score < min(known)) | (score > max(known))
    rows = zip(
        [card.model for card in cards],
        score.tolist(),
        predicted.tolist(),
        low.tolist(),
        high.tolist(),
        beyond.tolist(),
        strict=True,
    )
    return sorted((ModelPrediction(*row) for row in rows), key=lambda one: one.score)


def _mixed(
    fit: Fit,
    units: FitUnits,
    text: Text,
    task: Task,
    cards: Sequence[ModelCard],
    nll: Floats,
) -> tuple[Floats, Floats, Floats]:
    """Return predictions of a stack and the ends of their intervals, (n_models,) each.

    Where the compute of a model is not known, the other candidates share its part of the mix.
    """
    scores = task_scores(nll, text, task) | source_scores(nll, text)
    for name, weight in units.unit_weight.items():
        if name != COUNTS:
            scores[name] = salience.capability_score(weight, nll, text.n_chars)
    compute = [compute_score([card]) for card in cards]  # of several it is all or none
    known = np.array([one is not None for one in compute])
    scores[COMPUTE] = np.array([np.nan if one is None else one[0] for one in compute])
    ends = np.empty((3, len(cards)))
    for of_compute in (True, False):
        at = known == of_compute
        if at.any():
            ends[:, at] = _mixed_alike(fit, {name: row[at] for name, row in scores.items()})
    return ends[0], ends[1], ends[2]


def _mixed_alike(fit: Fit, scores: Mapping[str, Floats]) -> tuple[Floats, Floats, Floats]:
    """Return `_mixed` of models that all have compute, or all have none."""
    by_compute = bool(np.isfinite(scores[COMPUTE]).all())
    used = [one for one in fit.candidates if one.name != COMPUTE or by_compute]
    weight = np.array([one.weight for one in used])
    if weight.sum() == 0:
        raise InputError(
            f"{fit.fit} predicts from compute alone; give n_params and train_tokens of the models"
        )
    by_law = np.array(
        [sigmoid_law(scores[one.name], one.alpha, one.beta, fit.gamma) for one in used]
    )
    return interval(by_law, weight / weight.sum(), fit.interval_error or 0.0)
