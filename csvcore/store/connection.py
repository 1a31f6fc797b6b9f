"""Connections to the results database: inter-process lock, schema version, one transaction.

No process keeps the file open, since one writer locks out every other process: `connect` takes an
inter-process lock, which readers share, opens the file, and closes it again. Where no lock file may
be made, in a folder or a process without the right to write, a reader does without and waits for
DuckDB's own lock.

A database is data, not code: a connection reaches no other file and loads no extension, and a file
that holds more than its tables is refused (see `catalogue`).
"""

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

import duckdb

from csvcore.errors import StoreError, no_space, reason
from csvcore.formats import atomic, rights
from csvcore.store import catalogue, fair_lock
from csvcore.store.rows import Connection, first

SCHEMA_VERSION = 9
# Statements that upgrade a database from each version to the next.
UPGRADES = {
    1: (
        "ALTER TABLE fits ADD COLUMN notes VARCHAR[] DEFAULT []",
        "ALTER TABLE fits ADD COLUMN choice VARCHAR",
        "ALTER TABLE fits ADD COLUMN control VARCHAR",
        "ALTER TABLE weights ADD COLUMN spread FLOAT[]",
    ),
    2: (
        "ALTER TABLE fits ADD COLUMN n_chars BIGINT",
        "ALTER TABLE fits ADD COLUMN residuals DOUBLE[] DEFAULT []",
        "CREATE TABLE IF NOT EXISTS mixes (corpora VARCHAR NOT NULL, split VARCHAR NOT NULL, "
        "task VARCHAR NOT NULL, found VARCHAR NOT NULL, PRIMARY KEY (corpora, split, task))",
    ),
    3: (
        "ALTER TABLE mixes ADD COLUMN created TIMESTAMP",
        "CREATE TABLE reveals (corpus VARCHAR NOT NULL, split VARCHAR NOT NULL, "
        "moment TIMESTAMP NOT NULL, models VARCHAR[] NOT NULL)",
    ),
    4: ("ALTER TABLE documents ADD COLUMN results INTEGER[2][] DEFAULT []",),
    5: (
        "ALTER TABLE models ADD COLUMN run VARCHAR",
        "CREATE TABLE item_results (model VARCHAR NOT NULL, task VARCHAR NOT NULL, "
        "item VARCHAR NOT NULL, correct DOUBLE NOT NULL)",
        "ALTER TABLE fits ADD COLUMN candidates VARCHAR",
        "ALTER TABLE fits ADD COLUMN interval_error DOUBLE",
        "ALTER TABLE weights ALTER COLUMN weight DROP NOT NULL",
        "CREATE TABLE unit_weights (fit VARCHAR NOT NULL, name VARCHAR NOT NULL, "
        "weight FLOAT[] NOT NULL, PRIMARY KEY (fit, name))",
    ),
    6: ("ALTER TABLE reveals ADD COLUMN who VARCHAR",),
    7: (
        "CREATE TABLE fit_labels (fit VARCHAR PRIMARY KEY, name VARCHAR, note VARCHAR, "
        "pinned BOOLEAN NOT NULL)",
        "CREATE TABLE capabilities (corpus VARCHAR NOT NULL, split VARCHAR NOT NULL, "
        "found VARCHAR NOT NULL, tasks VARCHAR[] NOT NULL, models VARCHAR[] NOT NULL, "
        "created TIMESTAMP NOT NULL, PRIMARY KEY (corpus, split))",
        "CREATE TABLE factor_weights (corpus VARCHAR NOT NULL, split VARCHAR NOT NULL, "
        "factor INTEGER NOT NULL, doc_id VARCHAR NOT NULL, byte_end INTEGER[] NOT NULL, "
        "weight FLOAT[] NOT NULL, PRIMARY KEY (corpus, split, factor, doc_id))",
    ),
    8: (
        "CREATE TABLE saved_views (name VARCHAR PRIMARY KEY, page VARCHAR NOT NULL, "
        "query VARCHAR NOT NULL)",
    ),
}
LOCK_SECONDS = 30.0
WAIT_SECONDS = 0.05  # between attempts of a reader without a lock file
# DuckDB's memory, and the threads that share it. What takes more, such as rows of an open
# transaction, is put in a folder beside the database meanwhile.
LIMITS: dict[str, Any] = {"memory_limit": "400MB", "threads": min(4, os.cpu_count() or 1)}
# DuckDB's settings of every connection; the last one keeps a statement from changing the others.
SETTINGS: dict[str, Any] = {
    "enable_external_access": "false",
    "autoload_known_extensions": "false",
    "autoinstall_known_extensions": "false",
    "allow_community_extensions": "false",
    "allow_extension_repositories": "forbidden",
    "allow_persistent_secrets": "false",
    "python_enable_replacements": "false",
    "lock_configuration": "true",
}
Stamp = tuple[tuple[int, int, int], ...]  # inode, size and time of change of a file and its log
# Words of DuckDB for a full disk, a damaged file and one in use; it has no exceptions of their own.
NO_SPACE = ("No space left", "not enough space", "ENOSPC")
NO_MEMORY = "failed to pin block"  # of a commit, which is not DuckDB's error for want of memory
DAMAGED = ("Corrupt", "corrupt", "replaying WAL", "Could not read", "deserializ", "checksum")
LOCKED = "Could not set lock"


@contextmanager
def connect(path: Path, *, read_only: bool = False) -> Iterator[Connection]:
    """Open the database for reads or one transaction; roll back if the block raises.

    Raises:
        StoreError: no such file, not a database of this program, another schema version, another
            process locks it for more than LOCK_SECONDS, it is to be written and may not, or
            whatever DuckDB refuses in the block: a damaged file, a full disk, too little memory.
    """
    if not path.is_file():
        raise StoreError(f"there is no database {path}; make one with `csvcore --db {path} init`")
    if not read_only and not writable(path):
        raise StoreError(_may_not_write(path, "is to be changed"))
    with explaining(path), ExitStack() as lock:
        lock.enter_context(locked(path, shared=read_only))
        db = open_checked(path, read_only)
        try:
            if _version(db, path) in UPGRADES:
                db.close()
                if not writable(path):
                    raise StoreError(_may_not_write(path, "is of an older version, to be upgraded"))
                lock.close()  # others may share it
                with locked(path):
                    _upgrade(path)
                lock.enter_context(locked(path, shared=read_only))
                db = open_checked(path, read_only)
            _check_version(db, path)
            if read_only:
                yield db
                return
            db.begin()
            try:
                yield db
            except BaseException:
                with suppress(duckdb.Error):  # it must not hide the cause
                    db.rollback()
                raise
            db.commit()
        finally:
            db.close()


def lock_path(path: Path) -> Path:
    """Return the path of the lock that a process holds while it has the database open."""
    return path.with_name(path.name + ".lock")


def log_path(path: Path) -> Path:
    """Return the path of DuckDB's log, which has what is committed and not yet in the file."""
    return path.with_name(path.name + ".wal")


def writable(path: Path) -> bool:
    """Return whether this user may write the database, and the files beside it that this needs."""
    return os.access(path, os.W_OK) and rights.may_write_beside(path)


def _may_not_write(path: Path, why: str) -> str:
    if rights.only_reads():
        return f"{path} {why}, and this process only reads; start it without --read-only"
    return (
        f"{path} {why}, and the file or its folder is read-only for this user; "
        "copy it to a folder of yours and name the copy with --db"
    )


def _may_lock(path: Path) -> bool:
    """Return whether this user may make or use the database's lock file."""
    lock = lock_path(path)
    if lock.exists() and not rights.only_reads():
        return os.access(lock, os.W_OK)
    return rights.may_write_beside(path)


@contextmanager
def locked(path: Path, shared: bool = False) -> Iterator[None]:
    """Hold the database's lock, in the order of arrival; none where no lock file may be made.

    Args:
        path: the database.
        shared: together with others who read.

    Raises:
        StoreError: others have it for more than LOCK_SECONDS.
    """
    with ExitStack() as lock:
        if _may_lock(path):
            try:
                lock.enter_context(fair_lock.held(lock_path(path), LOCK_SECONDS, shared))
            except TimeoutError as error:
                raise StoreError(in_use(path)) from error
        yield


@contextmanager
def explaining(path: Path) -> Iterator[None]:
    """Raise StoreError for an error of DuckDB in the block; the one place that reads its words."""
    try:
        yield
    except duckdb.Error as error:
        raise _explanation(path, error) from error


def _explanation(path: Path, error: duckdb.Error) -> StoreError:
    said = reason(error).removeprefix("TransactionContext Error: ")
    if any(words in said for words in NO_SPACE):
        return no_space(path)
    if isinstance(error, duckdb.OutOfMemoryException) or NO_MEMORY in said:
        return StoreError(f"{path} needs more memory than there is: {said}; nothing was changed")
    fatal = isinstance(error, duckdb.FatalException | duckdb.InternalException)
    if fatal or any(words in said for words in DAMAGED):
        return StoreError(
            f"{path} is damaged: {said}; see with `csvcore --db {path} doctor` what is whole, or "
            "restore a copy of the file and of its .wal, if it has one"
        )
    return StoreError(f"{path} does not do what is asked of it: {said}; nothing was changed")


def in_use(path: Path) -> str:
    """Return the message that another process has the database."""
    return f"{path} has been in use by another process for {LOCK_SECONDS:.0f} s; try again"


def open_checked(path: Path, read_only: bool) -> Connection:
    """Open a file that holds the tables of a results database, of any version, and nothing else."""
    _refuse_foreign(path, stamp(path))
    return _connection(path, read_only)


def _connection(path: Path, read_only: bool) -> Connection:
    _refuse_other_than_utf8(path)
    deadline = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            return duckdb.connect(str(path), read_only=read_only, config=LIMITS | SETTINGS)
        except duckdb.IOException as error:
            in_the_way = LOCKED in str(error)
            if in_the_way and time.monotonic() < deadline:
                time.sleep(WAIT_SECONDS)
                continue
            if any(words in str(error) for words in NO_SPACE):
                raise
            raise StoreError(in_use(path) if in_the_way else _not_opened(path, error)) from error


def _refuse_other_than_utf8(path: Path) -> None:
    try:
        os.fsencode(path).decode("utf-8")
    except UnicodeDecodeError as error:
        raise StoreError(
            f"{str(path)!r} is not UTF-8, and only files whose path is can be opened as a "
            "database; rename it"
        ) from error


def _not_opened(path: Path, error: duckdb.IOException) -> str:
    return (
        f"{path} cannot be opened as a results database: {reason(error)}; name another file, "
        "`csvcore --db NEW init` makes one"
    )


def foreign_contents(path: Path) -> list[str]:
    """Return all that a received file holds besides the tables of a results database, in words.

    Raises:
        StoreError: it is no results database.
    """
    with explaining(path), closing(_connection(path, True)) as db:
        if code := catalogue.code(db):
            return code
        version = _version(db, path)
        return catalogue.differences(db, older=version != SCHEMA_VERSION)


def stamp(path: Path) -> Stamp:
    """Return what tells one state of a file and its log from another; empty without either."""
    files = [path, log_path(path)]
    states = [file.stat() for file in files if file.exists()]
    return tuple((state.st_ino, state.st_size, state.st_mtime_ns) for state in states)


@lru_cache(maxsize=64)
def _refuse_foreign(path: Path, stamp: Stamp) -> None:
    """Refuse a file that is no results database, or holds more than one; once for each state of it.

    Listing DuckDB's functions takes as long as opening the file, hence the cache.
    """
    with closing(_connection(path, True)) as db:
        if code := catalogue.code(db):
            raise StoreError(
                f"{path} contains {code[0]}, and a results database contains tables alone; do not "
                "use it, ask its sender for a loss pack or exported tables "
                f"(`csvcore doctor --untrusted {path}` lists all that does not belong)"
            )
        if "schema_version" not in catalogue.tables(db).get("meta", {}):
            raise StoreError(f"{path} is a DuckDB file but not a results database")
        version = _version(db, path)
        known = version == SCHEMA_VERSION or version in UPGRADES
        if known and (found := catalogue.differences(db, older=version != SCHEMA_VERSION)):
            raise StoreError(
                f"{path} does not have the tables of schema version {version}: {found[0]}; "
                "make a new database with `csvcore --db NEW init` and import the files again"
            )


def _version(db: Connection, path: Path) -> int | None:
    try:
        row = first(db, "SELECT schema_version FROM meta", [])
    except (duckdb.CatalogException, duckdb.BinderException) as error:
        raise StoreError(f"{path} is a DuckDB file but not a results database") from error
    return None if row is None else int(row[0])


def _check_version(db: Connection, path: Path) -> None:
    version = _version(db, path)
    if version != SCHEMA_VERSION:
        raise StoreError(
            f"{path} has schema version {version or 'none'}, this program reads {SCHEMA_VERSION}; "
            "make a new database and import the files again"
        )


def _upgrade(path: Path) -> None:
    """Upgrade an older database to this schema, in one transaction; keep all stored rows."""
    with closing(open_checked(path, False)) as db:
        db.begin()
        while (version := _version(db, path)) in UPGRADES:
            for statement in UPGRADES[version]:
                db.execute(statement)
            db.execute("UPDATE meta SET schema_version = ?", [version + 1])
        db.commit()


def create(path: Path) -> bool:
    """Create an empty database; return False if a valid one exists already.

    Raises:
        StoreError: there is no such folder, or the file is no database of this program.
    """
    _refuse_other_than_utf8(path)
    if not path.absolute().parent.is_dir():
        raise StoreError(
            f"there is no folder {path.absolute().parent} for {path.name}; make it first"
        )
    with locked(path), explaining(path):
        if path.exists():
            with closing(open_checked(path, True)) as db:
                version = _version(db, path)
            if version in UPGRADES:
                _upgrade(path)
            else:
                with closing(open_checked(path, True)) as db:
                    _check_version(db, path)
            return False
        with atomic.file(path) as building:
            try:
                with closing(_connection(building, False)) as db:
                    db.execute(Path(__file__).with_name("schema.sql").read_text())
                    db.execute("INSERT INTO meta VALUES (?)", [SCHEMA_VERSION])
                    db.execute("CHECKPOINT")  # closing would keep silent about a full disk
            finally:
                log_path(building).unlink(missing_ok=True)
        return True
