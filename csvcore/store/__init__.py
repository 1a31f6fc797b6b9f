"""The results database: one DuckDB file, and all SQL on it.

No process keeps the file open, since one writer locks out every other process. Invalid input raises
before anything is written, and related rows are written in one transaction.
"""

from csvcore.store.audit import (
    broken_losses,
    coverage_by_source,
    have_one_unit,
    loss_fingerprints,
    missing_losses,
    n_losses,
    weight_fingerprints,
)
from csvcore.store.backup import backup
from csvcore.store.changes import Change, Changes
from csvcore.store.connection import (
    SCHEMA_VERSION,
    Connection,
    connect,
    create,
    foreign_contents,
    lock_path,
    writable,
)
from csvcore.store.evidence import evidence, item_statistics
from csvcore.store.fits import (
    add_fit,
    control,
    fit,
    fit_units,
    fits,
    has_fit,
    newest,
    predictions,
    set_control,
    spread_vector,
    timings,
    weight_vector,
    weights,
)
from csvcore.store.items import (
    add_item_results,
    has_item_results,
    item_results,
)
from csvcore.store.losses import (
    add_loss_parts,
    add_losses,
    complete_models,
    coverage,
    each_models_losses,
    loss_rows,
    losses,
)
from csvcore.store.measurements import (
    accuracies,
    add_accuracies,
    add_corpus,
    add_models,
    add_split,
    add_tasks,
    corpora,
    corpus,
    corpus_of_sha256,
    corpus_sha256,
    documents,
    manifests,
    models,
    split,
    splits,
    tasks,
)
from csvcore.store.mixes import copy_losses, mixes, set_mixes
from csvcore.store.packs import corpus_of_manifest
from csvcore.store.rehearsal import Edit, Stored, perform, rehearse
from csvcore.store.removal import Target, removal
from csvcore.store.replacement import replace_accuracies, replace_losses, replace_models
from csvcore.store.reveals import (
    add_reveal,
    n_reveals,
    revealed_fits,
    revealed_mixes,
    revealed_models,
    revealers,
)
from csvcore.store.stale import refuse_stale
from csvcore.store.tables import table, tables
from csvcore.store.trained import trained

__all__ = [
    "SCHEMA_VERSION",
    "Change",
    "Changes",
    "Connection",
    "Edit",
    "Stored",
    "Target",
    "accuracies",
    "add_accuracies",
    "add_corpus",
    "add_fit",
    "add_item_results",
    "add_loss_parts",
    "add_losses",
    "add_models",
    "add_reveal",
    "add_split",
    "add_tasks",
    "backup",
    "broken_losses",
    "complete_models",
    "connect",
    "control",
    "copy_losses",
    "corpora",
    "corpus",
    "corpus_of_manifest",
    "corpus_of_sha256",
    "corpus_sha256",
    "coverage",
    "coverage_by_source",
    "create",
    "documents",
    "each_models_losses",
    "evidence",
    "fit",
    "fit_units",
    "fits",
    "foreign_contents",
    "has_fit",
    "has_item_results",
    "have_one_unit",
    "item_results",
    "item_statistics",
    "lock_path",
    "loss_fingerprints",
    "loss_rows",
    "losses",
    "manifests",
    "missing_losses",
    "mixes",
    "models",
    "n_losses",
    "n_reveals",
    "newest",
    "perform",
    "predictions",
    "refuse_stale",
    "rehearse",
    "removal",
    "replace_accuracies",
    "replace_losses",
    "replace_models",
    "revealed_fits",
    "revealed_mixes",
    "revealed_models",
    "revealers",
    "set_control",
    "set_mixes",
    "split",
    "splits",
    "spread_vector",
    "table",
    "tables",
    "tasks",
    "timings",
    "trained",
    "weight_fingerprints",
    "weight_vector",
    "weights",
    "writable",
]
