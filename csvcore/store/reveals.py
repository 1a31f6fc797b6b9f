"""Reveals of test sets, and the test results already revealed."""

from collections.abc import Sequence
from datetime import UTC, datetime

from csvcore.store import measurements
from csvcore.store.rows import Connection, first


def add_reveal(db: Connection, corpus: str, split: str, who: str | None = None) -> None:
    """Store a reveal of the test results of all fits so far on a corpus and a split.

    Args:
        db: a connection that writes.
        corpus: whose fits.
        split: whose test models.
        who: the user, where users log in.

    Raises:
        InputError: there is no such split.
    """
    tested = [model for model, side in measurements.split(db, split).items() if side == "test"]
    now = datetime.now(UTC).replace(tzinfo=None)
    db.execute("INSERT INTO reveals VALUES (?, ?, ?, ?, ?)", [corpus, split, now, tested, who])


def revealers(db: Connection, corpus: str, split: str) -> list[str]:
    """Return who revealed a split's test set on a corpus, the last one first, each once."""
    rows = db.execute(
        """
        SELECT who FROM reveals WHERE corpus = ? AND split = ? AND who IS NOT NULL
        GROUP BY who ORDER BY max(moment) DESC
        """,
        [corpus, split],
    ).fetchall()
    return [row[0] for row in rows]


def n_reveals(db: Connection, corpus: str, split: str) -> int:
    """Return the number of reveals of a split's test set on a corpus."""
    query = "SELECT count(*) FROM reveals WHERE corpus = ? AND split = ?"
    row = first(db, query, [corpus, split])
    return int(row[0]) if row else 0


def revealed_fits(db: Connection) -> set[str]:
    """Return the ids of fits no newer than the last reveal of their corpus and split."""
    rows = db.execute(
        """
        SELECT fit FROM fits f WHERE EXISTS (
            SELECT 1 FROM reveals r
            WHERE r.corpus = f.corpus AND r.split = f.split AND r.moment >= f.created
        )
        """
    ).fetchall()
    return {row[0] for row in rows}


def revealed_models(db: Connection, corpus: str, split: str) -> set[str]:
    """Return the models revealed as test models of this split."""
    rows = db.execute(
        "SELECT DISTINCT unnest(models) FROM reveals WHERE corpus = ? AND split = ?",
        [corpus, split],
    ).fetchall()
    return {row[0] for row in rows}


def revealed_mixes(db: Connection, corpora: Sequence[str], split: str, task: str) -> bool:
    """Return whether a task's last mixes are older than a reveal on one of their corpora."""
    row = first(
        db,
        """
        SELECT 1 FROM mixes m JOIN reveals r USING (split)
        WHERE m.corpora = ? AND m.split = ? AND m.task = ? AND r.corpus IN (SELECT unnest(?))
              AND (m.created IS NULL OR r.moment >= m.created)
        LIMIT 1
        """,
        ["+".join(corpora), split, task, list(corpora)],
    )
    return row is not None
