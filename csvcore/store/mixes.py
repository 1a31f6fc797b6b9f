"""Mixes that were tried for a task, and corpora made of them, in and out of DuckDB."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime

from csvcore.records import Mix
from csvcore.store.connection import Connection, first


def set_mixes(
    db: Connection, corpora: Sequence[str], split: str, task: str, found: Sequence[Mix]
) -> None:
    """Store the mixes tried for a task, the recommended one first, in place of earlier ones."""
    key = ["+".join(corpora), split, task]
    db.execute("DELETE FROM mixes WHERE corpora = ? AND split = ? AND task = ?", key)
    rows = json.dumps([asdict(mix) for mix in found])
    now = datetime.now(UTC).replace(tzinfo=None)
    db.execute("INSERT INTO mixes VALUES (?, ?, ?, ?, ?)", [*key, rows, now])


def mixes(db: Connection, corpora: Sequence[str], split: str, task: str) -> list[Mix]:
    """The mixes last tried for a task, the recommended one first; none if it was not done."""
    found = first(
        db,
        "SELECT found FROM mixes WHERE corpora = ? AND split = ? AND task = ?",
        ["+".join(corpora), split, task],
    )
    rows = json.loads(found[0]) if found else []
    return [
        Mix(**row | {key: tuple(row.get(key, ())) for key in ("doc_ids", "errors")}) for row in rows
    ]


def copy_losses(db: Connection, corpus: str, other: str, doc_ids: Sequence[str]) -> None:
    """Give another corpus the losses of all models on these documents of a corpus."""
    db.execute(
        """
        INSERT OR IGNORE INTO losses BY NAME
        SELECT * REPLACE ($other AS corpus) FROM losses
        WHERE corpus = $corpus AND doc_id IN (SELECT unnest($ids))
        """,
        {"corpus": corpus, "other": other, "ids": list(doc_ids)},
    )
    db.execute(
        """
        INSERT OR IGNORE INTO manifests BY NAME
        SELECT * REPLACE ($other AS corpus) FROM manifests WHERE corpus = $corpus
        """,
        {"corpus": corpus, "other": other},
    )
