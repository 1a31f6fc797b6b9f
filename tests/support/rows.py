"""Rows for a database, and what they refer to."""

import numpy as np
import pyarrow as pa

from csvcore import store
from csvcore.formats import loss_packs
from csvcore.records import (
    Fit,
    ModelCard,
    Prediction,
    TraceStep,
)
from tests.support.world import ADDING, DOCS, READING, World, pack_rows

CARDS = (
    ModelCard("bee", "wild", 2000, 5000, "base", 10, "mit", "x/y"),
    ModelCard("ant", "tame"),
)
FIT = Fit(
    fit="reading-csv-1",
    corpus="words",
    split="sides",
    task="reading",
    method="csv",
    alpha=-2.5,
    beta=1.75,
    gamma=0.1,
    steps=1,
    seconds=0.5,
    n_models={"train": 1, "validation": 0, "test": 1},
    mse={"train": 0.25, "test": 1e-9},
    noise_floor={"test": 0.125},
    predictions=(
        Prediction("ant", "train", 0.5, 0.7, 0.6, 0.5, 0.7),
        Prediction("bee", "test", 1.5, 0.2, 0.3, 0.2, 0.4),
    ),
    left_out=("cow", "dog"),
    config={"steps": 1, "scorer": "somewhere"},
    trace=(TraceStep(0, -1.0, 2.0, 0.5, None), TraceStep(1, -2.5, 1.75, 0.25, 0.125)),
)
EDGES = [np.array([0, 4, 4, 10]), np.array([0, 3])]
WEIGHT = np.array([0.5, 1.5, 2.0, 0.25])


def words(db: store.Connection) -> None:
    """Store the corpus, cards and tasks that other rows refer to."""
    store.add_corpus(db, "words", "abc", DOCS)
    store.add_models(db, CARDS)
    store.add_tasks(db, [READING, ADDING])


def table(world: World, *models: str) -> pa.Table:
    """Rows of a loss pack of these made-up models."""
    return pa.Table.from_pylist(pack_rows(world, models), schema=loss_packs.SCHEMA)
