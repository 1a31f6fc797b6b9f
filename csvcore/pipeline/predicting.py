"""What a stored fit says of models that need no accuracy: forecasts with intervals."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from csvcore import packs, salience, store
from csvcore.alignment import Aligner
from csvcore.errors import InputError
from csvcore.intervals import residual_interval
from csvcore.records import Document, Fit, Floats, Forecast, Ints, ModelLosses
from csvcore.scaling import sigmoid_law


def predict(
    database: Path, fit: str, models: Sequence[str] = (), files: Sequence[Path] = ()
) -> list[Forecast]:
    """Forecasts of a fit, best score first; nothing is stored.

    Args:
        database: the results database.
        fit: id of a stored fit.
        models: names of models with losses on every document of the fit's corpus; without models
            and packs, all such models that the fit did not use.
        files: loss packs of further models on that corpus.

    Raises:
        InputError: no such fit, a fit made before intervals of new models were kept, a model
            without losses on every document, or no model at all.
    """
    with store.connect(database, read_only=True) as db:
        record = store.fit(db, fit)
        docs = store.documents(db, record.corpus)
        table = store.weights(db, fit)
        covered = store.coverage(db, record.corpus)
        full = [name for name, n_docs in covered.items() if n_docs == len(docs)]
        asked = list(models) or ([] if files else _unused(record, full))
        lacking = [name for name in asked if name not in full]
        if lacking:
            raise InputError(
                f"{lacking[0]} has losses on {covered.get(lacking[0], 0)} of {len(docs)} documents "
                f"of {record.corpus}; csvcore collect it first"
            )
        losses = store.losses(db, record.corpus, asked)
    for file in files:
        losses += _from_pack(file, docs)
    if not losses:
        raise InputError(
            f"the fit {fit} used every model with losses on {record.corpus}; name models, or "
            "bring the losses of others"
        )
    edges = [np.array([0, *row]) for row in table["byte_end"].to_pylist()]
    weight = np.concatenate(table["weight"].to_pylist()).astype(np.float64)
    return forecasts(record, docs, edges, weight, losses)


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


def _unused(fit: Fit, covered: Sequence[str]) -> list[str]:
    used = {one.model for one in fit.predictions}
    return [name for name in covered if name not in used]


def _from_pack(file: Path, docs: Sequence[Document]) -> list[ModelLosses]:
    pack = packs.read(file)
    n_bytes = {doc.doc_id: len(doc.text.encode()) for doc in docs}
    packs.check_documents(file.name, pack.table, n_bytes)
    return packs.model_losses(file.name, pack.table, list(n_bytes))
