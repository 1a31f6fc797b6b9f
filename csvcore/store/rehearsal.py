"""Imports and removals that are first rehearsed: run in a transaction, compared, taken back."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from csvcore.errors import ChangedError
from csvcore.store.changes import Changes, differences, state
from csvcore.store.connection import connect
from csvcore.store.replays import replay_path
from csvcore.store.rows import Connection


@dataclass(frozen=True, slots=True)
class Stored:
    """Outcome of an import or a removal: a sentence, the kind of its entries and their number."""

    message: str
    what: str = ""
    n_entries: int = 0


Edit = Callable[[Connection], Stored]  # an import or a removal; may run more than once


class _TakenBack(Exception):
    """Ends a rehearsal, so that its transaction is rolled back."""


def rehearse(database: Path, edit: Edit, whole_losses: bool = False) -> Changes:
    """Return what an import or a removal would change; the database stays as it is.

    Args:
        database: the results database.
        edit: the import or removal, in a transaction.
        whole_losses: losses may change in place, so all are compared.

    Raises:
        CsvcoreError: whatever the edit itself refuses.
    """
    changes = Changes("", ())
    try:
        with connect(database) as db:
            changes = _run(db, edit, whole_losses)
            raise _TakenBack
    except _TakenBack:
        return changes


def perform(database: Path, edit: Edit, expected: str, whole_losses: bool = False) -> Changes:
    """Run an import or a removal in one transaction and return what it changed.

    Args:
        database: the results database.
        edit: as of `rehearse`.
        expected: fingerprint of the changes that were listed.
        whole_losses: as of `rehearse`.

    Raises:
        StoreError: it would change something else than was listed; nothing is changed then.
        CsvcoreError: whatever the edit itself refuses.
    """
    with connect(database) as db:
        changes = _run(db, edit, whole_losses)
        if changes.fingerprint != expected:
            raise ChangedError(
                f"{database} has changed since the list of changes was made, so nothing was done; "
                "look at the new list and repeat"
            )
    for fit in changes.names("fit", "removed"):
        replay_path(database, fit).unlink(missing_ok=True)
    return changes


def _run(db: Connection, edit: Edit, whole_losses: bool) -> Changes:
    before = state(db, whole_losses)
    stored = edit(db)
    rows = differences(before, state(db, whole_losses))
    n_touched = sum(row.effect != "removed" and row.what == stored.what for row in rows)
    return Changes(stored.message, rows, max(stored.n_entries - n_touched, 0))
