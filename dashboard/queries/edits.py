"""Every change that a page can make; each is for editors alone and keeps who made it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

from csvcore import store
from csvcore.errors import InputError
from csvcore.jobs import queue, uploads
from csvcore.jobs.specs import ExamineJob, ImportJob, Spec
from csvcore.jobs.uploads import Preview
from csvcore.records import Mix, Side
from csvcore.store import Changes, FitLabel, SavedView
from csvcore.store.mixes import save_mix
from dashboard.queries import access, changes
from dashboard.queries.database import Database


def submit(db: Database, spec: Spec) -> int:
    """Queue a job; see `queue.submit_spec`."""
    return queue.submit_spec(db.path, spec, access.editor(db))


def submit_compares(db: Database, corpus: str, split: str, tasks: Sequence[str]) -> None:
    """Queue a job for each task; see `queue.submit_compares`."""
    queue.submit_compares(db.path, corpus, split, tasks, access.editor(db))


def cancel(db: Database, job: int) -> None:
    """Cancel a job; see `queue.cancel`."""
    access.editor(db)
    queue.cancel(db.path, job)


def reveal(db: Database, corpus: str, splits: Sequence[str]) -> None:
    """Store a reveal of the test sets of these splits."""
    user = access.editor(db)
    with store.connect(db.path) as con:
        for name in splits:
            store.add_reveal(con, corpus, name, user)


def label_fit(db: Database, fit: str, name: str, note: str, pinned: bool) -> None:
    """Store name, note and pin of a fit; see `store.label_fit`."""
    access.editor(db)
    with store.connect(db.path) as con:
        store.label_fit(con, fit, FitLabel(name, note, pinned))


def save_view(db: Database, name: str, page: str, query: str) -> None:
    """Store a view of these `SavedView` fields; see `store.add_saved_view`."""
    access.editor(db)
    with store.connect(db.path) as con:
        store.add_saved_view(con, SavedView(name, page, query))


def remove_view(db: Database, name: str) -> None:
    """Remove a saved view."""
    access.editor(db)
    with store.connect(db.path) as con:
        store.remove_saved_view(con, name)


def save_split(db: Database, name: str, split: dict[str, Side]) -> None:
    """Store a split; see `store.add_split`."""
    access.editor(db)
    with store.connect(db.path) as con:
        store.add_split(con, name, split)


def store_mix(db: Database, corpora: Sequence[str], mix: Mix, name: str) -> str:
    """Store a mix as a corpus; see `store.mixes.save_mix`."""
    access.editor(db)
    return save_mix(db.path, corpora, mix.doc_ids, name)


def upload(
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
    user = access.editor(db)
    uploads.sweep(db.path)
    if isinstance(source, Path):
        if not changes.takes_paths():
            raise InputError("paths are for a browser on the server's machine; upload the file")
        file = uploads.keep_path(db.path, source)
    else:
        file = uploads.keep(db.path, name, source)
    return queue.submit_spec(db.path, ExamineJob(content, name, str(file), settings), user)


def confirm(db: Database, preview: Preview) -> int:
    """Queue the import of a file whose changes were listed; return the job."""
    job = preview.job
    spec = ImportJob("", job.name, job.file, job.content, job.settings, preview.fingerprint)
    return submit(db, spec)


def discard(db: Database, preview: Preview) -> None:
    """Delete a file that is not to be imported."""
    access.editor(db)
    uploads.forget(db.path, uploads.own(db.path, preview.job.file, preview.job.content))


def remove(db: Database, kind: str, names: tuple[str, ...], expected: str) -> Changes:
    """Remove what was listed, with all that depends on it; see `store.perform`."""
    access.editor(db)
    return store.perform(db.path, store.removal(changes.target(kind, names)), expected)
