"""Audits of stored losses: coverage, missing and broken losses, fingerprints."""

import pandas as pd

from csvcore.store.measurements import manifests
from csvcore.store.rows import Connection


def coverage_by_source(db: Connection, corpus: str) -> pd.DataFrame:
    """Return the number of documents with losses per model and source, zeros included.

    Columns: model, source, stored, wanted.
    """
    return db.execute(
        """
        SELECT model, source, coalesce(stored, 0) AS stored, wanted
        FROM models
        CROSS JOIN (SELECT source, count(*) AS wanted, min(doc_index) AS place FROM documents
                    WHERE corpus = $corpus GROUP BY source)
        LEFT JOIN (SELECT model, source, count(*) AS stored
                   FROM losses JOIN documents USING (corpus, doc_id)
                   WHERE corpus = $corpus GROUP BY model, source) USING (model, source)
        ORDER BY model, place
        """,
        {"corpus": corpus},
    ).df()


def missing_losses(db: Connection, corpus: str) -> pd.DataFrame:
    """Return the pairs of model and document without losses. Columns: model, source, doc_id."""
    return db.execute(
        """
        SELECT model, source, doc_id FROM models CROSS JOIN documents
        WHERE corpus = $corpus AND NOT EXISTS (
            SELECT 1 FROM losses l
            WHERE l.corpus = $corpus AND l.model = models.model AND l.doc_id = documents.doc_id
        )
        ORDER BY model, doc_index
        """,
        {"corpus": corpus},
    ).df()


def broken_losses(db: Connection, corpus: str) -> pd.DataFrame:
    """Return losses that do not tile their text, or are negative or not finite.

    Columns: model, doc_id. Imports refuse such losses, so any found were damaged later.
    """
    return db.execute(
        """
        SELECT model, doc_id FROM losses JOIN documents USING (corpus, doc_id)
        WHERE corpus = ? AND NOT coalesce(
            len(nll) = len(byte_end) AND len(byte_start) = len(byte_end)
            AND byte_start[1] = 0 AND byte_end[-1] = strlen(text)
            AND byte_start[2:] = byte_end[:-2]
            AND list_min(nll) >= 0 AND isfinite(list_sum(nll)), false)
        ORDER BY model, doc_index
        """,
        [corpus],
    ).df()


def loss_fingerprints(db: Connection, corpus: str) -> dict[str, str]:
    """Return a hash of each model's losses on a corpus; equal losses have equal hashes."""
    rows = db.execute(
        """
        SELECT model, count(*) || '-' || bit_xor(hash(doc_id, byte_start, byte_end, nll))
        FROM losses WHERE corpus = ? GROUP BY model ORDER BY model
        """,
        [corpus],
    ).fetchall()
    return dict(rows)


def weight_fingerprints(db: Connection, corpus: str) -> dict[str, str]:
    """Return the hash of each model's weights, from the manifests of a corpus that have one."""
    return {
        model: manifest.weights_sha256
        for model, manifest in manifests(db, corpus).items()
        if manifest and manifest.weights_sha256
    }


def have_one_unit(db: Connection, corpus: str) -> bool:
    """Return whether a corpus has losses, and all with the same token boundaries per document."""
    rows = db.execute(
        """
        SELECT count(DISTINCT hash(byte_end)) FROM losses
        WHERE corpus = ? GROUP BY doc_id
        """,
        [corpus],
    ).fetchall()
    return bool(rows) and all(number == 1 for (number,) in rows)


def n_losses(db: Connection, corpus: str) -> int:
    """Return the number of token losses on a corpus, over all models."""
    rows = db.execute(
        "SELECT coalesce(sum(len(nll)), 0) FROM losses WHERE corpus = ?", [corpus]
    ).fetchall()
    return int(rows[0][0])
