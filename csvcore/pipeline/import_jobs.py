"""Uploaded files, as jobs: what their import would change, and the import itself."""

import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import astuple
from pathlib import Path
from typing import Any

from csvcore import store
from csvcore.errors import Cancelled, ChangedError, DifferentError, InputError, explained
from csvcore.formats import archives, csv_tables
from csvcore.jobs import uploads
from csvcore.jobs.specs import CONTENTS, ExamineJob, ImportJob
from csvcore.pipeline import importers
from csvcore.store import Edit
from csvcore.store.changes import counted

Report = Callable[[int, int, str], None]
# Files that are taken out of a zip, by the content of the upload or the format of accuracies.
IN_ZIP = {
    "lm-eval": ["results*.json", "samples_*.jsonl"],
    "opencompass": ["summary*.csv"],
    "corpus": ["*.txt"],
}


def examine(database: Path, job: ExamineJob, report: Report) -> str:
    """Store what the import of an upload would change as its preview; return it in a sentence.

    Raises:
        InputError: the import would be refused; the upload is deleted, as by a cancel.
    """
    file = uploads.own(database, job.file, job.content)
    try:
        report(0, 2, f"reading {job.name}")
        with _edit_of(database, file, job) as edit:
            changes = store.rehearse(database, edit, _in_place(job.content, job.settings))
        report(1, 2, "listing what changes")
        _write_preview(file, job, changes)
    except (InputError, Cancelled) as error:
        uploads.forget(database, file)
        raise _told(error, file) from error
    except Exception as error:
        raise _told(error, file) from error
    return f"{_sentence(changes)}; nothing is imported before its list is confirmed"


def take(database: Path, job: ImportJob, report: Report) -> str:
    """Import an upload and delete it; return what was imported in a sentence.

    An upload whose import may succeed later stays: the database was in use or had changed, no space
    was left, or the job was cancelled.

    Raises:
        StoreError: it would change something else than was listed; the new list takes its place.
        InputError: the import is refused; the upload is deleted.
    """
    file = uploads.own(database, job.file, job.content)
    try:
        report(0, 2, f"importing {job.name}")
        with _edit_of(database, file, job) as edit:
            in_place = _in_place(job.content, job.settings)
            try:
                changes = store.perform(database, edit, job.expected, in_place)
            except ChangedError:
                again = ExamineJob(job.content, job.name, job.file, job.settings)
                _write_preview(file, again, store.rehearse(database, edit, in_place))
                raise
    except InputError as error:
        uploads.forget(database, file)
        raise _told(error, file) from error
    except Exception as error:
        raise _told(error, file) from error
    uploads.forget(database, file)
    return f"{changes.message}: {_sentence(changes)}"


def _write_preview(file: Path, job: ExamineJob, changes: store.Changes) -> None:
    rows = [astuple(row) for row in changes.rows[: uploads.SHOWN]]
    uploads.write_preview(
        file,
        uploads.preview_of(
            job,
            message=changes.message,
            counts=changes.counts(),
            rows=rows,
            n_unchanged=changes.n_unchanged,
            fingerprint=changes.fingerprint,
        ),
    )


def _sentence(changes: store.Changes) -> str:
    told = [f"{counted(what, number)} {effect}" for effect, what, number in changes.counts()]
    if changes.n_unchanged:
        told.append(f"{changes.n_unchanged:,} unchanged")
    return ", ".join(told) or "nothing changes"


def _told(error: BaseException, file: Path) -> BaseException:
    """Return an error for whoever sees the queue: the upload's own name, and no stored values."""
    if isinstance(error, DifferentError):
        return InputError(error.without_values)
    told = explained(error)
    if told is None or str(file.parent) not in str(told):
        return error
    return type(told)(str(told).replace(f"{file.parent}/", ""))


def _in_place(content: str, settings: Mapping[str, Any]) -> bool:
    """Return whether stored losses may change without a change of their number."""
    return content == "losses" and bool(settings.get("replace"))


@contextmanager
def _edit_of(database: Path, file: Path, job: ExamineJob | ImportJob) -> Iterator[Edit]:
    """Yield the import of an upload; a zip is unpacked during the block."""
    form = str(job.settings.get("form", "csv"))
    patterns = IN_ZIP.get(form if job.content == "accuracies" else job.content)
    if patterns is None or not zipfile.is_zipfile(file):
        yield _importer(database, file, job.content, job.settings)
        return
    with archives.unpacked(file, patterns) as folder:
        yield _importer(database, folder, job.content, job.settings)


def _importer(database: Path, file: Path, content: str, settings: Mapping[str, Any]) -> Edit:
    replace = bool(settings.get("replace"))
    match content:
        case "corpus":
            return importers.corpus(file, settings.get("name", ""))
        case "models":
            return importers.models(file, replace)
        case "tasks":
            return importers.tasks(file)
        case "accuracies":
            return importers.accuracies(database, [file], _evaluations(settings), replace)
        case "split":
            return importers.split(file, settings.get("name", ""), replace=True)  # it is listed
        case "losses":
            return importers.losses(database, [file], settings.get("corpus"), replace)
        case "items":
            return importers.items(file)
    raise InputError(f"a job imports {', '.join(CONTENTS)}, got {content!r}")


def _evaluations(settings: Mapping[str, Any]) -> importers.Evaluations:
    """Return how accuracies are read, from the settings of a job."""
    pairs = [str(task).split("=", 1) for task in settings.get("tasks", ())]
    return importers.Evaluations(
        form=str(settings.get("form", "csv")),
        metrics=[str(metric) for metric in settings.get("metrics", ())],
        tasks={pair[-1]: pair[0] for pair in pairs},
        new_tasks=csv_tables.chance_levels([str(one) for one in settings.get("chances", ())]),
    )
