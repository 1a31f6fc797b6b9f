"""Files left beside a database by processes that ended early, and their removal.

A file that a living process may use is never listed: an unfinished file has the id of its process
in its name and has not changed for an hour, since the process may be another machine's; a job names
its upload; and whoever collects holds a lock in the folder of shards.
"""

import re
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from csvcore.collection.shards import Shards
from csvcore.formats import rights
from csvcore.jobs import queue, uploads
from csvcore.jobs.specs import ExamineJob, ImportJob

UNFINISHED = re.compile(r"\..+\.(\d+)\.part(\.wal)?")
UNFINISHED_STATES = re.compile(r".+\.(\d+)\.raw")  # hidden states, in the cache alone
QUIET_SECONDS = 3600.0
UPLOAD_SECONDS = 60.0  # an upload is this old before its job is missed


@dataclass(frozen=True, slots=True)
class Leftover:
    """A file that no living process uses: its kind, path, size in bytes and time of change."""

    kind: str
    path: Path
    n_bytes: int
    changed: int


def find(database: Path) -> list[Leftover]:
    """Return all left-overs beside a database, by kind; none for a process that only reads."""
    if not rights.may_write_beside(database):
        return []  # nor could they be removed
    return [
        Leftover(kind, path, state.st_size, state.st_mtime_ns)
        for kind, paths in (
            ("unfinished files", _unfinished(database)),
            ("uploads", _uploads(database)),
            ("memory", _memory(database)),
            ("shards", _shards(database)),
        )
        for path in sorted(paths)
        for state in [path.stat()]
    ]


def remove(leftovers: Iterable[Leftover]) -> Iterator[Leftover]:
    """Remove left-overs and yield each that was; one that changed meanwhile is in use again."""
    for leftover in leftovers:
        try:
            if leftover.path.stat().st_mtime_ns == leftover.changed:
                leftover.path.unlink()
                if leftover.kind == "uploads":
                    with suppress(OSError):  # other files are in it, or of other uploads
                        leftover.path.parent.rmdir()
                yield leftover
        except FileNotFoundError:
            continue


def _unfinished(database: Path) -> Iterator[Path]:
    uploaded = queue.uploads_path(database)
    cache = database.with_name(f"{database.name}.cache")
    folders = [database.absolute().parent, shards_path(database), cache, uploaded]
    folders += uploads.folders(uploaded)
    for folder in folders:
        for path in _files(folder):
            match = UNFINISHED.fullmatch(path.name)
            if folder == cache:
                match = match or UNFINISHED_STATES.fullmatch(path.name)
            quiet = time.time() - path.stat().st_mtime > QUIET_SECONDS
            if match and quiet and not psutil.pid_exists(int(match[1])):
                yield path


def _uploads(database: Path) -> Iterator[Path]:
    """Yield uploads that no living job names and nobody is asked about.

    One with a preview waits on the Import page for its decision, for a day.
    """
    specs = [job.spec for job in queue.live(database)]
    used = {Path(spec.file).resolve() for spec in specs if isinstance(spec, ImportJob | ExamineJob)}
    folder = queue.uploads_path(database)
    for path in _files(folder):  # of an older version, without a folder
        if _age(path) > UPLOAD_SECONDS and path.suffix == ".parquet" and path.resolve() not in used:
            yield path
    for upload in uploads.folders(folder):
        files = _files(upload)
        in_use = any(path.resolve() in used for path in files)
        waits = (upload / uploads.PREVIEW).exists()
        rest = uploads.LEFT_SECONDS if waits else UPLOAD_SECONDS
        if not in_use and all(_age(path) > rest for path in files):
            yield from (path for path in files if not UNFINISHED.fullmatch(path.name))


def _age(path: Path) -> float:
    return time.time() - path.stat().st_mtime


def _memory(database: Path) -> Iterator[Path]:
    """Yield what DuckDB put beside the database for want of memory and did not take back."""
    for path in _files(database.with_name(f"{database.name}.tmp")):
        if _age(path) > QUIET_SECONDS:
            yield path


def _shards(database: Path) -> Iterator[Path]:
    folder = shards_path(database)
    if folder.is_dir() and not Shards(str(folder)).collected_now():
        for path in _files(folder):
            if path.suffix in (".parquet", ".lock"):
                yield path


def shards_path(database: Path) -> Path:
    """Return the folder of a database's shards, unless a collection names another."""
    return database.with_name(f"{database.name}.shards")


def _files(folder: Path) -> list[Path]:
    """Return the plain files of a folder; none without it."""
    if not folder.is_dir():
        return []
    return [path for path in folder.iterdir() if path.is_file() and not path.is_symlink()]
