"""Who may change something: not with a read-only database, and not without the role."""

from csvcore import store
from csvcore.errors import InputError
from csvcore.formats import rights
from dashboard.queries import roles
from dashboard.queries.database import Database


def why_not(db: Database) -> str | None:
    """Return why the user may change nothing, as a sentence; None if the user may."""
    if rights.only_reads():
        return "The dashboard was started with --read-only; start it without to change something."
    if not store.writable(db.path):
        return "The database is read-only; its file or folder cannot be written."
    if roles.role() != "editor":
        return "Viewers start no jobs and change nothing; ask an editor."
    return None


def may_upload() -> bool:
    """Return whether the user may send files, which the server keeps in memory: viewers may not."""
    return roles.role() == "editor"


def locked(db: Database) -> bool:
    """Return whether the user may change nothing."""
    return why_not(db) is not None


def editor(db: Database) -> str | None:
    """Return the user who is about to change something, None where nobody logs in.

    Raises:
        InputError: the user may change nothing.
    """
    if (reason := why_not(db)) is not None:
        raise InputError(f"nothing was changed: {reason}")
    return roles.who()
