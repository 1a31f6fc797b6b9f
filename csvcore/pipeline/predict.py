"""Predictions of a stored fit, with intervals, for models without measured accuracy."""

from collections.abc import Sequence
from pathlib import Path

from csvcore import store
from csvcore.analysis.model_predictions import aligned, cards_of, model_predictions
from csvcore.errors import InputError
from csvcore.formats import loss_packs
from csvcore.records import Fit, ModelPrediction


def predict(
    database: Path, fit: str, models: Sequence[str] = (), files: Sequence[Path] = ()
) -> list[ModelPrediction]:
    """Predict models by a fit, best score first, without storing the predictions.

    Args:
        database: the results database.
        fit: id of a stored fit.
        models: names of models with losses on every document of the fit's corpus; without models
            and packs, all such models that the fit did not use.
        files: loss packs of further models on that corpus.

    Raises:
        InputError: no such fit, a pack on another corpus, a fit made before intervals of new
            models were kept, a model without losses on every document, or no model at all.
    """
    with store.connect(database, read_only=True) as db:
        record = store.fit(db, fit)
        corpus = store.corpus(db, record.corpus)
        units = store.fit_units(db, fit)
        cards = {card.model: card for card in store.models(db)}
        task = next(task for task in store.tasks(db) if task.task == record.task)
        covered = store.coverage(db, record.corpus)
        full = store.complete_models(db, record.corpus)
        wanted = list(models) or ([] if files else _unused(record, full))
        lacking = [name for name in wanted if name not in full]
        if lacking:
            raise InputError(
                f"{lacking[0]} has losses on {covered.get(lacking[0], 0)} of {len(corpus.docs)} "
                f"documents of {record.corpus}; csvcore collect it first"
            )
        losses = store.losses(db, record.corpus, wanted)
    for file in files:
        losses += loss_packs.losses_on(file.name, file, corpus)
    if not losses:
        raise InputError(
            f"the fit {fit} used every model with losses on {record.corpus}; name models, or "
            "bring the losses of others"
        )
    nll = aligned(corpus.docs, units.edges, losses)
    names = [entry.model for entry in losses]
    return model_predictions(record, units, corpus.docs, task, cards_of(names, cards), nll)


def newest_fits(
    database: Path, corpus: str, split: str, method: str | None = None
) -> dict[str, str]:
    """Return the id of a method's newest fit for every fitted task, by task.

    Without a method those of the stack, or where there is none those of CSV.

    Raises:
        InputError: no task has one.
    """
    with store.connect(database, read_only=True) as db:
        table = store.newest(store.fits(db), corpus, split)
    if method is None:
        method = "stack" if (table["method"] == "stack").any() else "csv"
    fits = table[table["method"] == method].sort_values("task")
    if fits.empty:
        raise InputError(
            f"no task has a {method} fit on {corpus} with split {split} as it is now; make some "
            f"with `csvcore fit --corpus {corpus} --split {split} --method {method}`"
        )
    return dict(zip(fits["task"], fits["fit"], strict=True))


def _unused(fit: Fit, covered: Sequence[str]) -> list[str]:
    """Return the covered models except those used by the fit."""
    used = {prediction.model for prediction in fit.predictions}
    return [name for name in covered if name not in used]
