"""Storage of the factors that tasks share, one set for each corpus and split."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise

import numpy as np

from csvcore.capability_records import Capabilities
from csvcore.records import FitUnits, Floats, Ints
from csvcore.store.rows import Connection, first, intact, stored_object

HERE = "WHERE corpus = ? AND split = ?"


def set_capabilities(
    db: Connection,
    found: Capabilities,
    doc_ids: Sequence[str],
    edges: Sequence[Ints],
    weight: Floats,
) -> None:
    """Store the factors of a corpus and a split, replacing earlier ones.

    Args:
        db: a connection that writes.
        found: the record.
        doc_ids: documents in corpus order.
        edges: for each document its (n_tokens + 1,) byte boundaries.
        weight: (n_factors, sum of n_tokens) of the tokens, mean 1 each.
    """
    key = [found.corpus, found.split]
    db.execute(f"DELETE FROM capabilities {HERE}", key)
    db.execute(f"DELETE FROM factor_weights {HERE}", key)
    db.execute(
        "INSERT INTO capabilities VALUES (?, ?, ?, ?, ?, ?)",
        [
            *key,
            json.dumps(found.to_json()),
            [row.task for row in found.tasks],
            [row.model for row in found.profiles],
            datetime.now(UTC).replace(tzinfo=None),
        ],
    )
    starts = np.cumsum([0, *(cuts.size - 1 for cuts in edges)])
    for number, row in enumerate(weight.astype(np.float32)):
        parts = [row[a:b].tolist() for a, b in pairwise(starts)]
        ends = [cuts[1:].tolist() for cuts in edges]
        db.execute(
            "INSERT INTO factor_weights SELECT ?, ?, ?, unnest(?), unnest(?), unnest(?)",
            [*key, number + 1, list(doc_ids), ends, parts],
        )


def capabilities(db: Connection, corpus: str, split: str) -> Capabilities | None:
    """Return the factors last found on a corpus and a split, None if none were."""
    row = first(db, f"SELECT found FROM capabilities {HERE}", [corpus, split])
    with intact(f"what is stored of the factors on {corpus} and {split}"):
        return Capabilities.from_json(stored_object(row[0])) if row else None


def factor_units(db: Connection, corpus: str, split: str, number: int) -> FitUnits:
    """Return the units of text of the factors, and the weights of one factor."""
    rows = db.execute(
        f"""
        SELECT byte_end, weight FROM factor_weights JOIN documents USING (corpus, doc_id)
        {HERE} AND factor = ? ORDER BY doc_index
        """,
        [corpus, split, number],
    ).fetchall()
    edges = [np.array([0, *ends], dtype=np.int64) for ends, _ in rows]
    weight = np.array([value for _, own in rows for value in own], dtype=np.float64)
    return FitUnits(edges, weight, {})


def revealed_capabilities(db: Connection, corpus: str, split: str) -> bool:
    """Return whether the factors last found are older than a reveal of the split's test set."""
    row = first(
        db,
        """
        SELECT 1 FROM capabilities c JOIN reveals r USING (corpus, split)
        WHERE c.corpus = ? AND c.split = ? AND r.moment >= c.created LIMIT 1
        """,
        [corpus, split],
    )
    return row is not None


def without_test(found: Capabilities) -> Capabilities:
    """Return the factors without errors on test models, and without these models' profiles."""
    tasks = tuple(replace(row, test_shared=None, test_separate=None) for row in found.tasks)
    few_shot = tuple(
        replace(row, shared=None, separate=None) if row.side == "test" else row
        for row in found.few_shot
    )
    return replace(found, tasks=tasks, few_shot=few_shot)


def remove_capabilities(db: Connection, column: str, names: Sequence[str]) -> None:
    """Remove the factors that used any of these names.

    Args:
        db: a connection that writes.
        column: corpus, split, tasks or models.
        names: as stored.
    """
    condition = f"list_has_any({column}, $names)"
    if column in ("corpus", "split"):
        condition = f"{column} IN (SELECT unnest($names))"
    gone = f"SELECT corpus, split FROM capabilities WHERE {condition}"
    given = {"names": list(names)}
    db.execute(f"DELETE FROM factor_weights WHERE (corpus, split) IN ({gone})", given)
    db.execute(f"DELETE FROM capabilities WHERE {condition}", given)
