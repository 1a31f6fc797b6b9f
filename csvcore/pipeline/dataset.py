"""The dataset of a fit, read from the database."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from csvcore import mapped, store
from csvcore.alignment import Aligner
from csvcore.errors import StoreError
from csvcore.fitting.config import FitConfig
from csvcore.fitting.dataset import Dataset
from csvcore.fitting.units import units_of_losses, without_first_tokens
from csvcore.pipeline.units import scoring_units
from csvcore.records import Floats, Mask, ModelLosses


def load_for(database: Path, corpus: str, split: str, config: FitConfig) -> Dataset:
    """Read the data of a fit with these settings, see `load_dataset`."""
    units = config.scorer, config.mask_first_token, config.own_units
    return load_dataset(database, corpus, split, *units)


def load_dataset(
    database: Path,
    corpus: str,
    split: str,
    scorer: str,
    mask_first_token: bool = False,
    own_units: bool = False,
) -> Dataset:
    """Read the data of a fit on this corpus and split, with losses mapped to the units.

    The units are the scorer's tokens, or with own_units those that the losses come in.
    """
    with store.connect(database, read_only=True) as db:
        sha256 = store.corpus_sha256(db, corpus)
        docs = store.documents(db, corpus)
    units = scoring_units(database, sha256, docs, scorer)  # takes a while, the database closed
    n_chars = sum(len(doc.text) for doc in docs)
    counts = np.ones(units.n_tokens, dtype=bool)
    with store.connect(database, read_only=True) as db:
        if store.corpus_sha256(db, corpus) != sha256:
            raise StoreError(f"the corpus {corpus} changed while it was read; repeat the fit")
        sides = store.split(db, split)
        tasks = {task.task: task for task in store.tasks(db)}
        accuracies = {(entry.model, entry.task): entry for entry in store.accuracies(db)}
        cards = {card.model: card for card in store.models(db)}
        complete = set(store.complete_models(db, corpus))
        models = sorted(name for name in sides if name in complete)
        losses: Iterable[ModelLosses] = store.each_models_losses(db, corpus, models)
        if own_units or mask_first_token:  # units of all models, so all are read before
            losses = list(losses)
            if own_units:
                units = units_of_losses(units, losses)
                counts = np.ones(units.n_tokens, dtype=bool)
            if mask_first_token:
                units, counts, n_chars = without_first_tokens(units, docs, losses)
        aligner = Aligner([doc.text for doc in docs], units.edges)
        n_source: list[int] = []
        rows = _on_units(losses, aligner, counts, n_source)
        folder = database.with_name(f"{database.name}.cache")
        nll = mapped.table(rows, (len(models), units.n_tokens), folder)
    n_bytes = sum(doc.n_bytes for doc in docs)
    return Dataset(
        corpus=corpus,
        corpus_sha256=sha256,
        docs=docs,
        units=units,
        models=models,
        cards=[cards[name] for name in models],
        nll=nll,
        split_name=split,
        split=sides,
        tasks=tasks,
        accuracies=accuracies,
        counts=counts,
        n_chars=n_chars,
        span=n_bytes / np.array(n_source, dtype=np.float64),
    )


def _on_units(
    losses: Iterable[ModelLosses], aligner: Aligner, counts: Mask, n_source: list[int]
) -> Iterator[Floats]:
    """Yield each model's losses on the units, (n_tokens,); its own tokens' number to n_source."""
    for entry in losses:
        n_source.append(entry.byte_end.size)
        yield aligner.map(entry) * counts
