"""Storage of measurements over those that are stored with other values.

What was made from a replaced accuracy or loss, fits and mix searches, is removed with it.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict

import pyarrow as pa

from csvcore.formats.checked_packs import CheckedPack
from csvcore.records import Accuracy, ModelCard
from csvcore.store.items import has_item_results
from csvcore.store.losses import add_loss_parts, hashes_of_parts, stored_hashes
from csvcore.store.measurements import (
    CARD_FIELDS,
    accuracies,
    add_accuracies,
    is_rounded,
    manifests,
)
from csvcore.store.removal import forget_accuracies, forget_losses
from csvcore.store.rows import Connection, insert


def replace_models(db: Connection, cards: Sequence[ModelCard]) -> None:
    """Store model cards as they are, also where they lack what a stored card has."""
    updates = ", ".join(f"{name} = excluded.{name}" for name in ("family", *CARD_FIELDS))
    rows = pa.Table.from_pylist([asdict(card) for card in cards])
    insert(db, "models", rows, f"ON CONFLICT (model) DO UPDATE SET {updates}")


def replace_accuracies(db: Connection, entries: Sequence[Accuracy]) -> None:
    """Store accuracies over others of the same model and task.

    With a replaced accuracy go its item results, and the fits and mix searches made with it.

    Raises:
        InputError: an unknown model or task.
    """
    stored = {(e.model, e.task): e for e in accuracies(db)}
    itemised = has_item_results(db)
    other = [
        key
        for entry in entries
        if (key := (entry.model, entry.task)) in stored
        and entry != stored[key]
        and not (key in itemised and is_rounded(entry, stored[key]))
    ]
    if other:
        db.execute("CREATE OR REPLACE TEMP TABLE chosen (model VARCHAR, task VARCHAR)")
        db.executemany("INSERT INTO chosen VALUES (?, ?)", [list(key) for key in other])
        forget_accuracies(db)
    add_accuracies(db, entries)


def replace_losses(db: Connection, corpus: str, pack: CheckedPack) -> None:
    """Store a loss pack in place of all losses of its models on a corpus.

    With replaced losses go the fits and mix searches made with them. Equal losses stay as they are.

    Raises:
        InputError: a model has no card.
    """
    stored = manifests(db, corpus)
    before, after = stored_hashes(db, corpus), hashes_of_parts(db, pack.parts())
    other = [model for model in after if model in before and before[model] != after[model]]
    db.execute("CREATE OR REPLACE TEMP TABLE chosen (corpus VARCHAR, model VARCHAR)")
    if other:
        db.executemany("INSERT INTO chosen VALUES (?, ?)", [[corpus, model] for model in other])
    forget_losses(db)
    for name in pack.models:
        if name in stored and name in pack.made_how:
            db.execute(
                "UPDATE manifests SET manifest = ? WHERE corpus = ? AND model = ?",
                [json.dumps(pack.made_how[name].to_json()), corpus, name],
            )
    add_loss_parts(db, corpus, pack.models, pack.parts(), pack.made_how)
