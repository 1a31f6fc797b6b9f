"""When somebody looked at the test set of a split, and so which test figures are no secret."""

from collections.abc import Sequence
from datetime import UTC, datetime

from csvcore.store import measurements
from csvcore.store.connection import Connection, first


def add_reveal(db: Connection, corpus: str, split: str) -> None:
    """Note that the test figures of all fits made so far on a corpus and a split were looked at.

    Raises:
        InputError: there is no such split.
    """
    tested = [model for model, side in measurements.split(db, split).items() if side == "test"]
    now = datetime.now(UTC).replace(tzinfo=None)
    db.execute("INSERT INTO reveals VALUES (?, ?, ?, ?)", [corpus, split, now, tested])


def n_reveals(db: Connection, corpus: str, split: str) -> int:
    """How often the test set of a split was looked at."""
    query = "SELECT count(*) FROM reveals WHERE corpus = ? AND split = ?"
    found = first(db, query, [corpus, split])
    return int(found[0]) if found else 0


def revealed_fits(db: Connection) -> set[str]:
    """Ids of the fits that are not newer than the last reveal of their corpus and split."""
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
    """Models whose accuracies were shown as test models of this split."""
    rows = db.execute(
        "SELECT DISTINCT unnest(models) FROM reveals WHERE corpus = ? AND split = ?",
        [corpus, split],
    ).fetchall()
    return {row[0] for row in rows}


def revealed_mixes(db: Connection, corpora: Sequence[str], split: str, task: str) -> bool:
    """Whether the mixes last tried for a task are older than a reveal on one of their corpora."""
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
