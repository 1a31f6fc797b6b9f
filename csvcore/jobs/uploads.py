"""Files that were uploaded on a page and wait beside the database for the worker.

Each has a folder of its own in the folder of uploads, with the file, and once the worker has looked
at it with a preview: what its import would change. Folders go with their import, or are discarded.
"""

import json
import re
import secrets
import shutil
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path, PurePath
from typing import Any, BinaryIO

from csvcore.errors import InputError
from csvcore.formats import atomic
from csvcore.jobs import queue
from csvcore.jobs.specs import ExamineJob

PREVIEW = ".preview.json"  # no upload has this name
CHUNK = 2**20
LONGEST = 100  # bytes of a file name
LEFT_SECONDS = 86_400.0  # after which a file that nobody wanted is deleted
SHOWN = 300  # changes that a preview names


@dataclass(frozen=True, slots=True)
class Preview:
    """Preview of an import: all that it would change.

    folder: of the upload. job: that looked at it. message: of the import. counts: effect, kind of
    thing, number. rows: what, name, effect, before, after of the first SHOWN changes. n_unchanged,
    fingerprint: see `store.Changes`.
    """

    folder: Path
    job: ExamineJob
    message: str
    counts: list[tuple[str, str, int]]
    rows: list[tuple[str, str, str, str, str]]
    n_unchanged: int
    fingerprint: str


def keep(database: Path, name: str, source: BinaryIO) -> Path:
    """Write an upload to a folder of its own, part by part; return the file."""
    folder = queue.uploads_path(database) / secrets.token_hex(8)
    folder.mkdir(parents=True)
    file = folder / safe_name(name)
    try:
        with atomic.file(file) as building, building.open("wb") as stream:
            shutil.copyfileobj(source, stream, CHUNK)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return file


def keep_path(database: Path, path: Path) -> Path:
    """Copy a file of this machine to a folder of its own; return the copy.

    Raises:
        InputError: there is no such file, or it is a folder.
    """
    if not path.is_file():
        raise InputError(f"there is no file {path}; give the whole path of a file, zip a folder")
    with path.open("rb") as stream:
        return keep(database, path.name, stream)


def safe_name(name: str) -> str:
    """Return a file's name without folders and odd characters; its ending is kept."""
    plain = re.sub(r"[^\w.\- ]", "_", PurePath(name.replace("\\", "/")).name).strip(". ")
    return plain.encode()[-LONGEST:].decode(errors="ignore").strip(". ") or "file"


def own(database: Path, file: str, content: str) -> Path:
    """Return the file of a job after checking that it is an upload to this database.

    Raises:
        InputError: it is another file; a queue may have come from elsewhere.
    """
    path, folder = Path(file).resolve(), queue.uploads_path(database).resolve()
    if folder not in (path.parent, path.parent.parent):
        raise InputError(
            f"a job imports files of {queue.uploads_path(database)} alone, got {file}; "
            f"use `csvcore import {content}`"
        )
    return path


def forget(database: Path, file: Path) -> None:
    """Delete an upload with its preview."""
    if file.parent == queue.uploads_path(database).resolve():
        file.unlink(missing_ok=True)  # of an older version, without a folder
    else:
        shutil.rmtree(file.parent, ignore_errors=True)


def folders(uploaded: Path) -> list[Path]:
    """Return the folders of single uploads in the folder of all; none without it."""
    if not uploaded.is_dir():
        return []
    return [path for path in uploaded.iterdir() if path.is_dir() and not path.is_symlink()]


def write_preview(file: Path, preview: dict[str, Any]) -> None:
    """Store the preview of an upload."""
    with atomic.file(file.with_name(PREVIEW)) as building:
        building.write_text(json.dumps(preview), encoding="utf-8")


def previews(database: Path) -> list[Preview]:
    """Return the previews of all uploads that no live job works on, the oldest first."""
    busy = _folders(job.params for job in queue.recent(database) if job.live)
    found = queue.uploads_path(database).glob(f"*/{PREVIEW}")
    waiting = [path for path in found if path.parent.resolve() not in busy]
    waiting.sort(key=lambda path: path.stat().st_mtime)
    return [preview for path in waiting if (preview := _read(path)) is not None]


def _read(path: Path) -> Preview | None:
    """Return a preview; None if it is just being deleted, or is not written as previews are."""
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        for key in ("counts", "rows"):
            stored[key] = [tuple(row) for row in stored[key]]
        return Preview(folder=path.parent, job=ExamineJob(**stored.pop("job")), **stored)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


def preview_of(job: ExamineJob, **changes: Any) -> dict[str, Any]:
    """Return a preview as it is stored."""
    return {"job": asdict(job), **changes}


def sweep(database: Path) -> None:
    """Delete uploads that no live job works on and that have no preview, or an old one."""
    uploaded = folders(queue.uploads_path(database))
    if not uploaded:
        return
    recent = queue.recent(database, limit=200)
    busy = _folders(job.params for job in recent if job.live)
    ended = _folders(job.params for job in recent if not job.live)
    for path in uploaded:
        if path.resolve() in busy:
            continue
        old = time.time() - path.stat().st_mtime > LEFT_SECONDS
        given_up = path.resolve() in ended and not (path / PREVIEW).exists()
        if old or given_up:
            shutil.rmtree(path, ignore_errors=True)


def _folders(params: Iterable[dict[str, Any]]) -> set[Path]:
    return {Path(str(entry["file"])).resolve().parent for entry in params if "file" in entry}
