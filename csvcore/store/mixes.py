"""Storage of the mixes tried for a task, and of corpora made from them."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from csvcore import store, values
from csvcore.errors import InputError
from csvcore.formats.csv_tables import corpus_sha256
from csvcore.records import Document, Mix
from csvcore.store.rows import Connection, first, intact


def set_mixes(
    db: Connection, corpora: Sequence[str], split: str, task: str, mixes: Sequence[Mix]
) -> None:
    """Store the mixes tried for a task, the recommended one first, replacing earlier ones."""
    key = ["+".join(corpora), split, task]
    db.execute("DELETE FROM mixes WHERE corpora = ? AND split = ? AND task = ?", key)
    rows = json.dumps([asdict(mix) for mix in mixes])
    now = datetime.now(UTC).replace(tzinfo=None)
    db.execute("INSERT INTO mixes VALUES (?, ?, ?, ?, ?)", [*key, rows, now])


def mixes(db: Connection, corpora: Sequence[str], split: str, task: str) -> list[Mix]:
    """Return the mixes last tried for a task, the recommended one first; empty if none were."""
    row = first(
        db,
        "SELECT found FROM mixes WHERE corpora = ? AND split = ? AND task = ?",
        ["+".join(corpora), split, task],
    )
    with intact(f"the mixes of {task}"):
        rows = json.loads(row[0]) if row else []
        return [
            Mix(**fields | {key: tuple(fields.get(key, ())) for key in ("doc_ids", "errors")})
            for fields in rows
        ]


def copy_losses(db: Connection, corpus: str, other: str, doc_ids: Sequence[str]) -> None:
    """Copy all models' losses on these documents of a corpus to another corpus."""
    db.execute(
        """
        INSERT INTO losses BY NAME
        SELECT * REPLACE ($other AS corpus) FROM losses
        WHERE corpus = $corpus AND doc_id IN (SELECT unnest($ids))
        AND (model, doc_id) NOT IN (SELECT (model, doc_id) FROM losses WHERE corpus = $other)
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
        InputError: the name is empty, a document is in none of the corpora or in several, or
            another corpus has the name.
    """
    if not name.strip():
        raise InputError("a corpus needs a name; give the mix one")
    with store.connect(database) as db:
        home: dict[str, tuple[str, Document]] = {}
        for corpus in corpora:
            docs = store.documents(db, corpus)
            values.refuse_shared([doc.doc_id for doc in docs], home, corpus)
            home |= {doc.doc_id: (corpus, doc) for doc in docs}
        unknown = [doc_id for doc_id in doc_ids if doc_id not in home]
        if unknown:
            raise InputError(f"there is no document {unknown[0]!r} in {', '.join(corpora)}")
        docs = [home[doc_id][1] for doc_id in doc_ids]
        store.add_corpus(db, name, corpus_sha256(docs), docs)
        for corpus in corpora:
            corpus_doc_ids = [doc_id for doc_id in doc_ids if home[doc_id][0] == corpus]
            store.copy_losses(db, corpus, name, corpus_doc_ids)
    return f"corpus {name}: {len(docs)} documents, {len({doc.source for doc in docs})} sources"
