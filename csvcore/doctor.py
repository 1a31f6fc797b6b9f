"""Looks for what is wrong: in the installation, the database and every stored loss."""

import hashlib
import importlib.metadata
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from filelock import FileLock, Timeout
from packaging.requirements import Requirement

from csvcore import alignment, store
from csvcore.alignment import Aligner
from csvcore.errors import CsvcoreError
from csvcore.formats import csv_tables, loss_packs
from csvcore.jobs import queue
from csvcore.records import Document

State = Literal["ok", "note", "wrong"]
MASS_TOLERANCE = 1e-9


@dataclass(frozen=True, slots=True)
class Check:
    """One finding: what was looked at, and one line of what was found.

    A note is worth knowing and stops nothing; of what is wrong, results cannot be trusted.
    """

    what: str
    state: State
    said: str


def look(database: Path) -> Iterator[Check]:
    """Everything that is checked, in turn; an older database is brought up to date as always."""
    yield from _packages()
    yield _torch()
    yield from _database(database)


# The installation --------------------------------------------------------------------------------


def _packages() -> Iterator[Check]:
    yield Check("python", "ok", platform.python_version())
    try:
        required = [Requirement(text) for text in importlib.metadata.requires("csvcore") or []]
    except importlib.metadata.PackageNotFoundError:
        yield Check("packages", "note", "csvcore is not installed, versions were not compared")
        return
    wanted = [one for one in required if one.marker is None or one.marker.evaluate({"extra": ""})]
    good = 0
    for one in wanted:
        try:
            found = importlib.metadata.version(one.name)
        except importlib.metadata.PackageNotFoundError:
            yield Check(one.name, "wrong", f"is missing; pip install '{one}'")
            continue
        if one.specifier.contains(found, prereleases=True):
            good += 1
        else:
            yield Check(one.name, "note", f"is {found}, tested with {one.specifier}")
    yield Check("packages", "ok", f"{good} of {len(wanted)} in the versions that are tested")


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
    on = ", ".join(devices)
    return Check("torch", "ok", f"{torch.__version__} on {on}, {torch.get_num_threads()} threads")


# The database ------------------------------------------------------------------------------------


def _database(database: Path) -> Iterator[Check]:
    if not database.exists():
        yield Check("database", "note", f"there is no {database}; csvcore init makes it")
        return
    yield from _locks(database)
    try:
        with store.connect(database, read_only=True) as db:
            size = database.stat().st_size / 1e6
            said = f"{database}, schema version {store.SCHEMA_VERSION}, {size:.1f} MB"
            yield Check("database", "ok", said)
            for name in store.corpora(db)["corpus"]:
                yield from _corpus(db, str(name))
    except CsvcoreError as error:
        yield Check("database", "wrong", str(error))
    except store.DatabaseError as error:
        reason = str(error).splitlines()[0]
        yield Check("database", "wrong", f"{database} cannot be read to its end: {reason}")


def _locks(database: Path) -> Iterator[Check]:
    held = {
        "database lock": (store.lock_path(database), "another process has the database open"),
        "worker": (queue.worker_lock_path(database), "a worker is at its queue"),
    }
    for what, (path, said) in held.items():
        if path.exists():
            try:
                with FileLock(path, timeout=0):
                    continue
            except Timeout:
                yield Check(what, "note", said)


def _corpus(db: store.Connection, name: str) -> Iterator[Check]:
    docs = store.documents(db, name)
    if csv_tables.corpus_sha256(docs) != store.corpus_sha256(db, name):
        yield Check(f"corpus {name}", "wrong", "its documents are not those it was stored with")
    made = store.manifests(db, name)
    if not made:
        said = f"{len(docs)} documents and no losses; bring them by `csvcore import losses`"
        yield Check(f"corpus {name}", "note", said)
        return
    audit = _Audit(docs)
    n_good = 0
    for model, covered in store.coverage(db, name).items():
        found = list(audit.model(store.loss_rows(db, name, [model]), model, covered))
        if made.get(model) is None:
            found.append(("note", "the pack did not say how the losses were made"))
        for state, said in found:
            yield Check(f"{model} on {name}", state, said)
        n_good += not found
    yield Check(
        f"corpus {name}",
        "ok",
        f"{len(docs)} documents; {n_good} of {len(made)} models without a finding: every document "
        "covered, bytes tiled, nll finite and not negative; mass conserved to "
        f"{audit.worst_mass:.0e}",
    )


class _Audit:
    """Checks models on one corpus; what tokenizers share is looked at once."""

    def __init__(self, docs: list[Document]) -> None:
        self.docs = docs
        self.worst_mass = 0.0
        self._texts = {doc.doc_id: doc.text for doc in docs}
        self._unspelt: dict[bytes, int] = {}
        texts = list(self._texts.values())
        self._aligner = Aligner(texts, [alignment.character_edges(text) for text in texts])

    def model(self, table: pa.Table, model: str, covered: int) -> Iterator[tuple[State, str]]:
        """What there is to say of the stored rows of one model; nothing if all is well."""
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
