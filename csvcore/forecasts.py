"""What a fit's weights and law say of models from their losses alone."""

from collections.abc import Sequence

import numpy as np

from csvcore import salience
from csvcore.alignment import Aligner
from csvcore.errors import InputError
from csvcore.intervals import residual_interval
from csvcore.records import Document, Fit, Floats, Forecast, Ints, ModelLosses
from csvcore.scaling import sigmoid_law


def forecasts(
    fit: Fit,
    docs: Sequence[Document],
    edges: Sequence[Ints],
    weight: Floats,
    losses: Sequence[ModelLosses],
) -> list[Forecast]:
    """Forecasts of models from their losses and a fit's weights, best score first.

    Args:
        fit: the record.
        docs: its corpus.
        edges: for each document the (n_tokens + 1,) byte boundaries of the weights.
        weight: (sum of n_tokens,) salience.
        losses: of each model on all documents.
    """
    if fit.n_chars is None or not fit.residuals:
        raise InputError(
            f"the fit {fit.fit} keeps no errors on left-out models, from which intervals come; "
            "make it again with csvcore fit"
        )
    aligner = Aligner([doc.text for doc in docs], edges)
    nll = np.stack([aligner.map(entry) for entry in losses])
    score = salience.capability_score(weight, nll, fit.n_chars)
    predicted = sigmoid_law(score, fit.alpha, fit.beta, fit.gamma)
    low, high = residual_interval(predicted, np.array(fit.residuals))
    known = [one.score for one in fit.predictions if one.split == "train"]
    beyond = (score < min(known)) | (score > max(known))
    rows = zip(
        [entry.model for entry in losses],
        score.tolist(),
        predicted.tolist(),
        low.tolist(),
        high.tolist(),
        beyond.tolist(),
        strict=True,
    )
    return sorted((Forecast(*row) for row in rows), key=lambda one: one.score)
