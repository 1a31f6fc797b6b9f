"""The results database: one DuckDB file, and the only place that speaks SQL to it.

Nobody holds the file open, since one writer locks every other process out. Bad input raises before
anything is written, and what belongs together is written in one transaction.
"""

from csvcore.store.connection import Connection, connect, create
from csvcore.store.fits import (
    add_fit,
    control,
    fit,
    fits,
    has_fit,
    predictions,
    set_control,
    weight_vector,
    weights,
)
from csvcore.store.measurements import (
    accuracies,
    add_accuracies,
    add_corpus,
    add_losses,
    add_models,
    add_split,
    add_tasks,
    corpora,
    corpus_of_sha256,
    corpus_sha256,
    coverage,
    documents,
    loss_rows,
    losses,
    manifests,
    models,
    split,
    splits,
    tasks,
)
from csvcore.store.mixes import copy_losses, mixes, set_mixes
from csvcore.store.tables import table, tables

__all__ = [
    "Connection",
    "accuracies",
    "add_accuracies",
    "add_corpus",
    "add_fit",
    "add_losses",
    "add_models",
    "add_split",
    "add_tasks",
    "connect",
    "control",
    "copy_losses",
    "corpora",
    "corpus_of_sha256",
    "corpus_sha256",
    "coverage",
    "create",
    "documents",
    "fit",
    "fits",
    "has_fit",
    "loss_rows",
    "losses",
    "manifests",
    "mixes",
    "models",
    "predictions",
    "set_control",
    "set_mixes",
    "split",
    "splits",
    "table",
    "tables",
    "tasks",
    "weight_vector",
    "weights",
]
