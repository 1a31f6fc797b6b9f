"""What a stored fit says of models that need no accuracy: forecasts with intervals."""

from collections.abc import Sequence
from pathlib import Path

from csvcore import store
from csvcore.analysis.forecast import aligned, forecasts
from csvcore.errors import InputError
from csvcore.formats import loss_packs
from csvcore.records import Fit, Forecast, Method


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
        InputError: no such fit, a pack on another corpus, a fit made before intervals of new
            models were kept, a model without losses on every document, or no model at all.
    """
    with store.connect(database, read_only=True) as db:
        record = store.fit(db, fit)
        corpus = store.corpus(db, record.corpus)
        edges, weight = store.weight_vector(db, fit)
        covered = store.coverage(db, record.corpus)
        full = store.complete_models(db, record.corpus)
        asked = list(models) or ([] if files else _unused(record, full))
        lacking = [name for name in asked if name not in full]
        if lacking:
            raise InputError(
                f"{lacking[0]} has losses on {covered.get(lacking[0], 0)} of {len(corpus.docs)} "
                f"documents of {record.corpus}; csvcore collect it first"
            )
        losses = store.losses(db, record.corpus, asked)
    for file in files:
        losses += loss_packs.losses_on(file.name, loss_packs.content_of(file), corpus)
    if not losses:
        raise InputError(
            f"the fit {fit} used every model with losses on {record.corpus}; name models, or "
            "bring the losses of others"
        )
    nll = aligned(corpus.docs, edges, losses)
    return forecasts(record, weight, [entry.model for entry in losses], nll)


def newest_fits(database: Path, corpus: str, split: str, method: Method) -> dict[str, str]:
    """Id of the newest fit by a method of every task that has one, by task.

    Raises:
        InputError: no task has one.
    """
    with store.connect(database, read_only=True) as db:
        table = store.newest(store.fits(db), corpus, split)
    own = table[table["method"] == method].sort_values("task")
    if own.empty:
        raise InputError(
            f"no task has a {method} fit on {corpus} with split {split} as it is now; make some "
            f"with `csvcore fit --corpus {corpus} --split {split} --method {method}`"
        )
    return dict(zip(own["task"], own["fit"], strict=True))


def _unused(fit: Fit, covered: Sequence[str]) -> list[str]:
    used = {one.model for one in fit.predictions}
    return [name for name in covered if name not in used]
