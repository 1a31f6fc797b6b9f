"""Import of files into the database; each import is all or nothing."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from csvcore import store
from csvcore.errors import InputError, StoreError
from csvcore.formats import checked_packs, csv_tables, loss_packs
from csvcore.formats.bundled import ZOO, ZOO_CORPORA
from csvcore.pipeline import importers
from csvcore.pipeline.importers import Evaluations
from csvcore.records import Corpus, Task
from csvcore.store import Connection, Edit, Stored


def init(database: Path, zoo: bool = False) -> str:
    """Create the database, with `zoo` including the bundled measurements; return a message.

    A second call changes nothing.
    """
    made = store.create(database)
    done = f"{database} made" if made else f"{database} was there"
    if not zoo:
        return f"{done}; next: csvcore import corpus FILE --name NAME"
    corpora = _zoo_corpora()
    with store.connect(database, read_only=True) as db:
        names = store.corpora(db)["corpus"].tolist()
        stored = store.corpus_sha256(db, "zoo") if "zoo" in names else None
    if stored == corpora["zoo"].sha256:
        return f"{done}, with the bundled zoo"
    if stored is not None:
        raise StoreError(
            f"{database} holds another version of the bundled zoo; take a new file, "
            "`csvcore --db NEW init --zoo` or `make app DB=NEW`"
        )
    edits = _zoo_edits(corpora)
    with store.connect(database) as db:
        for edit in edits:
            edit(db)
        n_models = len(store.models(db))
    return f"{done}, the bundled zoo loaded: {n_models} models"


def _zoo_corpora() -> dict[str, Corpus]:
    missing = [file for file in ZOO_CORPORA.values() if not (ZOO / file).is_file()]
    if missing:
        raise InputError(f"the bundled zoo is not at {ZOO}; install csvcore again")
    read = {name: csv_tables.read_corpus(ZOO / file) for name, file in ZOO_CORPORA.items()}
    return {name: Corpus(name, csv_tables.corpus_sha256(docs), docs) for name, docs in read.items()}


def _zoo_edits(corpora: Mapping[str, Corpus]) -> list[Edit]:
    """Return the imports of the bundled files, all read and checked."""
    accuracies = csv_tables.read_accuracies([ZOO / "accuracies.csv"])
    packs = [
        checked_packs.check(pack, corpora[pack.parent.name], loss_packs.read_manifest(pack))
        for pack in sorted(ZOO.glob("losses/*/*.parquet"))
    ]

    def add_texts_and_accuracies(db: Connection) -> Stored:
        for corpus in corpora.values():
            store.add_corpus(db, corpus.name, corpus.sha256, corpus.docs)
        store.add_accuracies(db, accuracies)
        return Stored(f"{len(accuracies)} accuracies")

    items = ZOO / "items.parquet"
    return [
        importers.models(ZOO / "models.csv"),
        importers.tasks(ZOO / "tasks.csv"),
        add_texts_and_accuracies,
        *([importers.items(items)] if items.is_file() else []),
        *(importers.split(file, file.stem) for file in sorted((ZOO / "splits").glob("*.csv"))),
        importers.checked_losses(packs),
    ]


def import_corpus(database: Path, file: Path, name: str) -> str:
    """Store a corpus under a name: JSON lines, CSV, Parquet, or a folder of plain texts."""
    return _store(database, importers.corpus(file, name))


def _store(database: Path, edit: Edit) -> str:
    with store.connect(database) as db:
        return edit(db).message


def import_models(database: Path, file: Path) -> str:
    """Store model cards."""
    return _store(database, importers.models(file))


def import_tasks(database: Path, file: Path) -> str:
    """Store tasks and their chance levels."""
    return _store(database, importers.tasks(file))


def import_accuracies(
    database: Path,
    files: Sequence[Path],
    form: str = "csv",
    metrics: Sequence[str] = (),
    tasks: Mapping[str, str] | None = None,
    names: Path | None = None,
    new_tasks: Sequence[Task] = (),
) -> str:
    """Store accuracies of known models on known tasks; return a message naming the metrics.

    Args:
        database: the results database.
        files: CSV files, long or wide, or files or folders of an evaluation program.
        form: see `importers.Evaluations`, as all that follow.
        metrics: of result files.
        tasks: stored name by the files' name.
        names: a file of model names.
        new_tasks: stored first.

    Raises:
        InputError: a file that does not say what it must, models or tasks that are not stored, or
            an accuracy that is stored with another value; nothing is imported then.
    """
    how = Evaluations(form, metrics, tasks, names, new_tasks)
    return _store(database, importers.accuracies(database, files, how))


def import_items(database: Path, file: Path) -> str:
    """Store item results; accuracies that are not stored are made from them."""
    return _store(database, importers.items(file))


def import_split(database: Path, file: Path, name: str) -> str:
    """Store a split of known models; refuse one whose name another split has."""
    return _store(database, importers.split(file, name))


def import_losses(database: Path, files: Sequence[Path], corpus: str | None = None) -> str:
    """Store loss packs; the corpus is found by the manifest's hash, or must be named.

    Losses that are stored already are skipped if equal, so packs may overlap.
    """
    return _store(database, importers.losses(database, files, corpus))
