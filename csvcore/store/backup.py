"""Consistent copies of a database that is in use."""

import shutil
import time
from contextlib import closing
from pathlib import Path

from csvcore.errors import StoreError
from csvcore.formats import atomic
from csvcore.store import connection


def backup(path: Path, out: Path) -> None:
    """Write a copy of a database, whole or not at all; the database may be in use meanwhile.

    Its processes open it for one transaction each, so the copy is the state between two of them.

    Raises:
        StoreError: there is no such database, it is none, out or its log is there already, another
            process keeps it in use for more than LOCK_SECONDS, or the disk is full.
    """
    path = path.resolve()  # the log lies beside the file, not beside a link to it
    if not path.is_file():
        raise StoreError(f"there is no database {path}; nothing was copied")
    _refuse_taken(out)
    with (
        connection.locked(path, shared=True),
        connection.explaining(out),
        atomic.file(out) as building,
    ):
        try:
            _copy(path, building)
            with closing(connection.open_checked(building, read_only=False)) as db:
                db.execute("CHECKPOINT")  # the log's changes become part of the file
            _refuse_taken(out)  # by another backup, meanwhile
        finally:
            connection.log_path(building).unlink(missing_ok=True)


def _refuse_taken(out: Path) -> None:
    """Raise StoreError if a file is there, or a log that would be taken for its own."""
    for one in (out, connection.log_path(out)):
        if one.exists() or one.is_symlink():
            raise StoreError(f"{one} is there already and a backup replaces no file; name another")


def _copy(path: Path, building: Path) -> None:
    """Copy the file and its log; again if a process without our lock changed them meanwhile."""
    deadline = time.monotonic() + connection.LOCK_SECONDS
    while time.monotonic() < deadline:
        before = connection.stamp(path)
        shutil.copyfile(path, building)
        if (log := connection.log_path(path)).exists():
            shutil.copyfile(log, connection.log_path(building))
        if connection.stamp(path) == before:
            return
    raise StoreError(connection.in_use(path))
