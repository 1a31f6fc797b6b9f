"""Every change of stored data that the Import page makes."""

from pathlib import Path
from typing import Any, BinaryIO

from csvcore import store
from csvcore.errors import InputError
from csvcore.jobs import queue, uploads
from csvcore.jobs.specs import ExamineJob, ImportJob
from csvcore.jobs.uploads import Preview
from csvcore.store import Changes
from dashboard.queries import brought
from dashboard.queries.database import Database


def bring(
    db: Database, name: str, source: BinaryIO | Path, content: str, settings: dict[str, Any]
) -> int:
    """Keep a file beside the database and queue a look at it; return the job.

    Args:
        db: the database.
        name: of the file.
        source: what was uploaded, or a path on this machine.
        content: one of `specs.CONTENTS`.
        settings: see `specs.ExamineJob`.

    Raises:
        InputError: there is no such file, or paths are not taken here.
    """
    uploads.sweep(db.path)
    if isinstance(source, Path):
        if not brought.takes_paths():
            raise InputError("paths are for a browser on the server's machine; upload the file")
        file = uploads.keep_path(db.path, source)
    else:
        file = uploads.keep(db.path, name, source)
    return queue.submit_spec(db.path, ExamineJob(content, name, str(file), settings))


def confirm(db: Database, preview: Preview) -> int:
    """Queue the import of a file whose changes were listed; return the job."""
    job = preview.job
    spec = ImportJob("", job.name, job.file, job.content, job.settings, preview.fingerprint)
    return queue.submit_spec(db.path, spec)


def discard(db: Database, preview: Preview) -> None:
    """Delete a file that is not to be imported."""
    uploads.forget(db.path, uploads.own(db.path, preview.job.file, preview.job.content))


def remove(db: Database, kind: str, names: tuple[str, ...], expected: str) -> Changes:
    """Remove what was listed, with all that depends on it; see `store.perform`."""
    return store.perform(db.path, store.removal(brought.target(kind, names)), expected)
