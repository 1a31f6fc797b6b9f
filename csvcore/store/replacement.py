"""Storage of measurements over those that are stored with other values.

What was made from a replaced accuracy or loss, fits and mix searches, is removed with it.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict

import pyarrow as pa

from csvcore.formats.manifest import Manifest
from csvcore.records import Accuracy, ModelCard
from csvcore.store.connection import Connection, insert
from csvcore.store.items import has_item_results
from csvcore.store.measurements import (
    CARD_FIELDS,
    accuracies,
    add_accuracies,
    add_losses,
    is_rounded,
    manifests,
)
from csvcore.store.removal import forget_accuracies, forget_losses


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


def replace_losses(
    db: Connection, corpus: str, table: pa.Table, made_how: Mapping[str, Manifest]
) -> None:
    """Store checked rows of a loss pack in place of all losses of its models on a corpus.

    With replaced losses go the fits and mix searches made with them. Equal losses stay as they are.

    Raises:
        InputError: a model has no card.
    """
    names = sorted(set(table["model"].to_pylist()))
    stored = manifests(db, corpus)
    db.register("pack", table)
    db.execute(
        """
        CREATE OR REPLACE TEMP TABLE chosen AS
        SELECT $corpus AS corpus, model
        FROM (SELECT model, count(*) AS n, bit_xor(hash(doc_id, byte_start, byte_end, nll)) AS h
              FROM losses WHERE corpus = $corpus GROUP BY model) s
        JOIN (SELECT model, count(*) AS n, bit_xor(hash(doc_id, byte_start, byte_end, nll)) AS h
              FROM pack GROUP BY model) p USING (model)
        WHERE s.n != p.n OR s.h != p.h
        """,
        {"corpus": corpus},
    )
    db.unregister("pack")
    forget_losses(db)
    for name in names:
        if name in stored and name in made_how:
            db.execute(
                "UPDATE manifests SET manifest = ? WHERE corpus = ? AND model = ?",
                [json.dumps(made_how[name].to_json()), corpus, name],
            )
    add_losses(db, corpus, table, made_how)
