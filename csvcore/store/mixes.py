"""Mixes that were tried for a task, and corpora made of them, in and out of DuckDB."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from csvcore import store
from csvcore.errors import InputError
from csvcore.formats.csv_tables import corpus_sha256
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


def save_mix(database: Path, corpora: Sequence[str], doc_ids: Sequence[str], name: str) -> str:
    """Store some documents of these corpora, with all models' losses on them, as a new corpus.

    Raises:
        InputError: the name is empty, a document is in none of the corpora, or the name is taken by
            another corpus.
    """
    if not name.strip():
        raise InputError("a corpus needs a name; give the mix one")
    with store.connect(database) as db:
        home = {
            doc.doc_id: (corpus, doc) for corpus in corpora for doc in store.documents(db, corpus)
        }
        unknown = [doc_id for doc_id in doc_ids if doc_id not in home]
        if unknown:
            raise InputError(f"there is no document {unknown[0]!r} in {', '.join(corpora)}")
        docs = [home[doc_id][1] for doc_id in doc_ids]
        store.add_corpus(db, name, corpus_sha256(docs), docs)
        for corpus in corpora:
            own = [doc_id for doc_id in doc_ids if home[doc_id][0] == corpus]
            store.copy_losses(db, corpus, name, own)
    return f"corpus {name}: {len(docs)} documents, {len({doc.source for doc in docs})} sources"
