"""Diagnostics of the installation, the database and every stored loss."""

import hashlib
import importlib.metadata
import os
import platform
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from filelock import FileLock, Timeout
from packaging.requirements import Requirement

from csvcore import alignment, leftovers, store
from csvcore.alignment import Aligner
from csvcore.errors import CsvcoreError, InputError
from csvcore.formats import csv_tables, loss_packs
from csvcore.jobs import queue
from csvcore.records import Document
from csvcore.store import fair_lock, soundness

State = Literal["ok", "note", "wrong"]
MASS_TOLERANCE = 1e-9
SHOWN = 3  # left-overs of a kind that are named
LEFT = {
    "unfinished files": "of processes that died",
    "uploads": "of imports that ended early",
    "shards": "of collections that are over; of those not stored the next `collect` begins anew",
}


@dataclass(frozen=True, slots=True)
class Check:
    """One finding: the item checked (`what`) and a one-line result (`said`).

    A note is for information only; with a wrong item results cannot be trusted.
    """

    what: str
    state: State
    said: str


def look(database: Path, clean: bool = False) -> Iterator[Check]:
    """Yield all checks in turn; an older database is upgraded first.

    Args:
        database: the results database.
        clean: remove what ended work left beside it.
    """
    yield from _packages()
    yield _torch()
    yield from _database(database)
    yield from _leftovers(database, clean)


def look_at_untrusted(database: Path) -> Iterator[Check]:
    """Yield all checks of a database from elsewhere; it is copied, never written or locked.

    Raises:
        InputError: there is no such file.
    """
    database = database.resolve()  # its log lies beside the file, not beside a link to it
    if not database.is_file():
        raise InputError(f"there is no file {database}; name the database to check")
    for beside in sorted(database.parent.glob(f"{database.name}.*")):
        if beside.name != f"{database.name}.wal":
            said = "was not checked; a received database comes alone, remove this"
            yield Check(str(beside), "note", said)
    with tempfile.TemporaryDirectory(prefix="csvcore-") as folder:
        copy = Path(folder) / database.name
        for ending in ("", ".wal"):
            if (part := database.with_name(database.name + ending)).exists():
                shutil.copyfile(part, copy.with_name(part.name))
        for check in _untrusted(copy):
            yield replace(check, said=check.said.replace(str(copy), str(database)))


def _untrusted(copy: Path) -> Iterator[Check]:
    try:
        foreign = store.foreign_contents(copy)
    except CsvcoreError as error:
        yield Check("contents", "wrong", str(error))
        return
    for found in foreign:
        yield Check("contents", "wrong", f"{copy} contains {found}; do not use it")
    if not foreign:
        said = "tables alone: no view, macro or trigger, nothing that refers to another file"
        yield Check("contents", "ok", said)
        yield from _database(copy)


# The installation --------------------------------------------------------------------------------


def _packages() -> Iterator[Check]:
    yield Check("python", "ok", platform.python_version())
    try:
        required = [Requirement(text) for text in importlib.metadata.requires("csvcore") or []]
    except importlib.metadata.PackageNotFoundError:
        yield Check("packages", "note", "csvcore is not installed, versions were not compared")
        return
    wanted = [
        requirement
        for requirement in required
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""})
    ]
    n_tested = 0
    for requirement in wanted:
        try:
            version = importlib.metadata.version(requirement.name)
        except importlib.metadata.PackageNotFoundError:
            yield Check(requirement.name, "wrong", f"is missing; pip install '{requirement}'")
            continue
        if requirement.specifier.contains(version, prereleases=True):
            n_tested += 1
        else:
            yield Check(
                requirement.name, "note", f"is {version}, tested with {requirement.specifier}"
            )
    yield Check("packages", "ok", f"{n_tested} of {len(wanted)} in the versions that are tested")


def _torch() -> Check:
    try:
        import torch
    except (ImportError, OSError) as error:  # a build for another machine fails with OSError
        return Check("torch", "wrong", f"cannot be imported: {str(error).splitlines()[0]}")
    devices = ["cpu"]
    if torch.cuda.is_available():
        devices += [
            f"cuda:{i} ({torch.cuda.get_device_name(i)})" for i in range(torch.cuda.device_count())
        ]
    if torch.backends.mps.is_available():
        devices.append("mps")
    device_list = ", ".join(devices)
    return Check(
        "torch", "ok", f"{torch.__version__} on {device_list}, {torch.get_num_threads()} threads"
    )


def _leftovers(database: Path, clean: bool) -> Iterator[Check]:
    found = leftovers.find(database)
    for kind, said in LEFT.items():
        of_kind = [one for one in found if one.kind == kind]
        if clean:
            of_kind = list(leftovers.remove(of_kind))
        if of_kind:
            size = sum(one.n_bytes for one in of_kind) / 1e6
            then = "were removed" if clean else "`csvcore doctor --clean` removes them"
            names = ", ".join(one.path.name for one in of_kind[:SHOWN])
            more = f" and {len(of_kind) - SHOWN} more" if len(of_kind) > SHOWN else ""
            message = f"{names}{more}, {size:.1f} MB, {said}; {then}"
            yield Check(f"left-over {kind}", "note", message)


# The database ------------------------------------------------------------------------------------


def _database(database: Path) -> Iterator[Check]:
    if not database.exists():
        yield Check("database", "note", f"there is no {database}; csvcore init makes it")
        return
    yield from _locks(database)
    try:
        with store.connect(database, read_only=True) as db:
            size = database.stat().st_size / 1e6
            message = f"{database}, schema version {store.SCHEMA_VERSION}, {size:.1f} MB"
            yield Check("database", "ok", message)
            for what, said in soundness.unsound(db):
                yield Check(what, "wrong", said)
            for name in store.corpora(db)["corpus"]:
                yield from _corpus(db, str(name))
    except CsvcoreError as error:
        yield Check("database", "wrong", str(error))


def _locks(database: Path) -> Iterator[Check]:
    lock, worker = store.lock_path(database), queue.worker_lock_path(database)
    if os.access(lock, os.W_OK) and fair_lock.is_held(lock):
        yield Check("database lock", "note", "another process has the database open")
    if os.access(worker, os.W_OK):
        try:
            with FileLock(worker, timeout=0):
                pass
        except Timeout:
            yield Check("worker", "note", "a worker is at its queue")


def _corpus(db: store.Connection, name: str) -> Iterator[Check]:
    docs = store.documents(db, name)
    if csv_tables.corpus_sha256(docs) != store.corpus_sha256(db, name):
        yield Check(f"corpus {name}", "wrong", "its documents are not those it was stored with")
    manifests = store.manifests(db, name)
    if not manifests:
        message = f"{len(docs)} documents and no losses; bring them by `csvcore import losses`"
        yield Check(f"corpus {name}", "note", message)
        return
    audit = _Audit(docs)
    n_good = 0
    for model, covered in store.coverage(db, name).items():
        findings = list(audit.model(store.loss_rows(db, name, [model]), model, covered))
        if manifests.get(model) is None:
            findings.append(("note", "the pack did not say how the losses were made"))
        for state, message in findings:
            yield Check(f"{model} on {name}", state, message)
        n_good += not findings
    yield Check(
        f"corpus {name}",
        "ok",
        f"{len(docs)} documents; {n_good} of {len(manifests)} models without a finding: every "
        "document covered, bytes tiled, nll finite and not negative; mass conserved to "
        f"{audit.worst_mass:.0e}",
    )


class _Audit:
    """Audit of models on one corpus, with results per tokenization cached."""

    def __init__(self, docs: list[Document]) -> None:
        self.docs = docs
        self.worst_mass = 0.0
        self._texts = {doc.doc_id: doc.text for doc in docs}
        self._unspelt: dict[bytes, int] = {}
        texts = list(self._texts.values())
        self._aligner = Aligner(texts, [alignment.character_edges(text) for text in texts])

    def model(self, table: pa.Table, model: str, covered: int) -> Iterator[tuple[State, str]]:
        """Yield the findings on the stored rows of one model; none if all are valid."""
        if len(table) != covered:
            yield "wrong", f"{covered - len(table)} documents with losses are not in the corpus"
        try:
            loss_packs.check_rows("the database", table)
            n_bytes = {doc_id: len(text.encode()) for doc_id, text in self._texts.items()}
            loss_packs.check_documents("the database", table, n_bytes)
        except CsvcoreError as error:
            yield "wrong", str(error)
            return
        if len(table) < len(self.docs):
            yield (
                "note",
                f"losses on {len(table)} of {len(self.docs)} documents; collect the others",
            )
            return
        [losses] = loss_packs.model_losses("the database", table, list(self._texts))
        lost = alignment.lost_share(losses, self._aligner)
        self.worst_mass = max(self.worst_mass, lost)
        if lost > MASS_TOLERANCE:
            yield "wrong", f"alignment loses or adds {lost:.1e} of the total nll"
        unspelt = self._unspelt_bytes(table, losses.n_tokens, losses.byte_end)
        if unspelt:
            total = sum(len(text.encode()) for text in self._texts.values())
            yield (
                "note",
                f"{unspelt} of {total} bytes are of tokens that do not spell them (unknown or "
                "changed characters); their loss means little",
            )

    def _unspelt_bytes(self, table: pa.Table, n_tokens: Any, byte_end: Any) -> int:
        if table["token_id"].null_count:
            return 0  # other units than tokens spell their text by definition
        token_id = np.asarray(loss_packs.flat(table, "token_id"), dtype=np.int64)
        key = hashlib.sha256(byte_end.tobytes() + token_id.tobytes()).digest()
        if key not in self._unspelt:
            texts = [text.encode() for text in self._texts.values()]
            self._unspelt[key] = alignment.unspelt_bytes(texts, n_tokens, byte_end, token_id)
        return self._unspelt[key]
