"""Trained models that a forecast may know: all of a split's but its test models."""

from collections.abc import Iterator, Sequence

from csvcore.errors import InputError
from csvcore.records import ModelLosses, Trained
from csvcore.store.losses import complete_models, losses
from csvcore.store.measurements import (
    accuracies,
    documents,
    models,
    split,
    tasks,
)
from csvcore.store.rows import Connection

BATCH = 16  # models whose losses are read at a time


def trained(db: Connection, corpus: str, name: str, wanted: Sequence[str] = ()) -> Trained:
    """Return models with losses on a whole corpus that are not test models of a split.

    Losses are read as they are iterated over, while the connection is open.

    Args:
        db: the database.
        corpus: its name.
        name: of the split. A model outside it is not part of a ladder, but may be of the run whose
            course is forecast.
        wanted: names of tasks; by default all.

    Raises:
        InputError: an unknown name, or no train or validation model has losses.
    """
    stored = tasks(db)
    unknown = sorted(set(wanted) - {task.task for task in stored})
    if unknown:
        raise InputError(
            f"there is no task {unknown[0]!r}; stored: "
            f"{', '.join(task.task for task in stored) or 'none'}"
        )
    docs, sides = documents(db, corpus), split(db, name)
    names = [model for model in complete_models(db, corpus) if sides.get(model) != "test"]
    if not any(model in sides for model in names):
        raise InputError(
            f"no train or validation model of {name} has losses on every document of {corpus}; "
            "csvcore collect makes them"
        )
    cards = {card.model: card for card in models(db)}
    kept = set(names)
    return Trained(
        docs=docs,
        tasks=tuple(task for task in stored if not wanted or task.task in wanted),
        cards={model: cards[model] for model in names},
        in_split=frozenset(kept & set(sides)),
        accuracies={(e.model, e.task): e for e in accuracies(db) if e.model in kept},
        losses=_batches(db, corpus, names),
    )


def _batches(db: Connection, corpus: str, names: Sequence[str]) -> Iterator[list[ModelLosses]]:
    for at in range(0, len(names), BATCH):
        yield losses(db, corpus, names[at : at + BATCH])
