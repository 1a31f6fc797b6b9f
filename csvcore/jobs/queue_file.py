"""The SQLite file of a queue: its tables, its transactions, and its errors in words."""

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from csvcore.errors import StoreError, no_space, reason

_SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs (
    job INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,                -- one of specs.KINDS
    params TEXT NOT NULL,              -- JSON
    status TEXT NOT NULL DEFAULT 'queued',
    step INTEGER NOT NULL DEFAULT 0,
    total INTEGER NOT NULL DEFAULT 0,
    message TEXT NOT NULL DEFAULT '',
    created REAL NOT NULL,             -- seconds since 1970, as all times here
    started REAL,
    ended REAL,
    cancel_asked REAL,
    pid INTEGER,
    pid_started REAL,
    who TEXT                           -- address of the user who was logged in
);
CREATE UNIQUE INDEX IF NOT EXISTS one_live_job
    ON jobs (kind, params) WHERE status IN ('queued', 'running');
CREATE TABLE IF NOT EXISTS workers (   -- the one that was started last and has not left
    pid INTEGER NOT NULL,
    pid_started REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS glimpses (  -- how far a running fit is; gone when it ends
    job INTEGER PRIMARY KEY,
    content TEXT NOT NULL              -- JSON, a list of records.Glimpse
);
"""
LEAST_FREE = 1 << 17  # bytes that SQLite needs beside a queue


@contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    """Open the queue for statements that are each a transaction of their own.

    Raises:
        StoreError: whatever SQLite refuses: a damaged file, a full disk, a lock held for long.
    """
    try:
        with closing(sqlite3.connect(path, timeout=10, isolation_level=None)) as queue:
            queue.row_factory = sqlite3.Row
            queue.execute("PRAGMA journal_mode = WAL")
            queue.executescript(_SCHEMA)
            if _lacks_who(queue):
                with transaction(queue):  # another process may be at it
                    if _lacks_who(queue):
                        queue.execute("ALTER TABLE jobs ADD COLUMN who TEXT")
            yield queue
    except sqlite3.Error as error:
        raise _explanation(path, error) from error


@contextmanager
def transaction(queue: sqlite3.Connection) -> Iterator[None]:
    """Make the statements of the block one transaction, against other processes too."""
    queue.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        if queue.in_transaction:  # not after what SQLite has undone by itself
            queue.execute("ROLLBACK")
        raise
    queue.execute("COMMIT")


def _lacks_who(queue: sqlite3.Connection) -> bool:
    """Return whether the queue was made before jobs had a user."""
    return "who" not in [row["name"] for row in queue.execute("PRAGMA table_info(jobs)")]


def _explanation(path: Path, error: sqlite3.Error) -> StoreError:
    match getattr(error, "sqlite_errorcode", 0) & 0xFF:  # the kind, without its details
        case sqlite3.SQLITE_FULL:
            return no_space(path)
        case sqlite3.SQLITE_IOERR if shutil.disk_usage(path.parent).free < LEAST_FREE:
            return no_space(path)  # for its shared memory
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
            return damaged(path, reason(error))
        case sqlite3.SQLITE_BUSY:
            return StoreError(f"{path} has been in use by another process for 10 s; try again")
    return StoreError(f"{path}, the list of jobs, cannot be used: {reason(error)}")


def damaged(path: Path, why: str) -> StoreError:
    """Return the error of a queue that cannot be read."""
    return StoreError(
        f"{path}, the list of jobs, is damaged ({why}); stop the dashboard and delete this file, "
        "results are not in it"
    )
