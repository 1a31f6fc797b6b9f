"""Predictions for further models from a fit's weights and law, and their losses."""

from collections.abc import Sequence

import numpy as np

from csvcore import salience
from csvcore.alignment import Aligner
from csvcore.analysis.intervals import residual_interval
from csvcore.errors import InputError
from csvcore.records import Document, Fit, Floats, Forecast, Ints, ModelLosses
from csvcore.scaling import sigmoid_law


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


def forecasts(fit: Fit, weight: Floats, models: Sequence[str], nll: Floats) -> list[Forecast]:
    """Return forecasts of models from their losses and a fit's weights, best score first.

    Args:
        fit: the record.
        weight: (n_tokens,) salience.
        models: names.
        nll: (n_models, n_tokens) from `aligned`.

    Raises:
        InputError: the fit is of a version that kept no errors on left-out models.
    """
    if fit.n_chars is None or not fit.residuals:
        raise InputError(
            f"the fit {fit.fit} keeps no errors on left-out models, from which intervals come; "
            "make it again with csvcore fit"
        )
    score = salience.capability_score(weight, nll, fit.n_chars)
    predicted = sigmoid_law(score, fit.alpha, fit.beta, fit.gamma)
    low, high = residual_interval(predicted, np.array(fit.residuals))
    known = [one.score for one in fit.predictions if one.side == "train"]
    beyond = (score < min(known)) | (score > max(known))
    rows = zip(
        models,
        score.tolist(),
        predicted.tolist(),
        low.tolist(),
        high.tolist(),
        beyond.tolist(),
        strict=True,
    )
    return sorted((Forecast(*row) for row in rows), key=lambda one: one.score)
