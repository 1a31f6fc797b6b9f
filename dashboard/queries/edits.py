"""Every change that a page can make; each is for editors alone and keeps who made it."""

import hashlib
from collections.abc import Sequence
from pathlib import PurePath

from csvcore import store
from csvcore.formats import atomic
from csvcore.jobs import queue
from csvcore.jobs.specs import ImportJob, Spec
from csvcore.records import Mix, Side
from csvcore.store.mixes import save_mix
from dashboard.queries import access
from dashboard.queries.database import Database


def submit(db: Database, spec: Spec) -> int:
    """Queue a job; see `queue.submit_spec`."""
    return queue.submit_spec(db.path, spec, access.editor(db))


def submit_compares(db: Database, corpus: str, split: str, tasks: Sequence[str]) -> None:
    """Queue a job for each task; see `queue.submit_compares`."""
    queue.submit_compares(db.path, corpus, split, tasks, access.editor(db))


def submit_import(
    db: Database, corpus: str, name: str, content: bytes, what: str = "losses"
) -> int:
    """Queue the import of losses or items; the file waits beside the database for the worker."""
    access.editor(db)
    folder = queue.uploads_path(db.path)
    folder.mkdir(exist_ok=True)
    file = folder / f"{hashlib.sha256(content).hexdigest()[:16]}.parquet"
    with atomic.file(file) as building:
        building.write_bytes(content)
    return submit(db, ImportJob(corpus, PurePath(name).name, str(file), what))


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


def save_split(db: Database, name: str, split: dict[str, Side]) -> None:
    """Store a split; see `store.add_split`."""
    access.editor(db)
    with store.connect(db.path) as con:
        store.add_split(con, name, split)


def store_mix(db: Database, corpora: Sequence[str], mix: Mix, name: str) -> str:
    """Store a mix as a corpus; see `store.mixes.save_mix`."""
    access.editor(db)
    return save_mix(db.path, corpora, mix.doc_ids, name)
