"""Files into the database; each import is all or nothing."""

from collections.abc import Sequence
from pathlib import Path

from csvcore import inputs, packs, splits, store
from csvcore.errors import InputError, StoreError
from csvcore.records import Document
from csvcore.store import Connection

# In an installed package the zoo lies inside it, in a checkout beside it.
_INSTALLED = Path(__file__).parents[1] / "zoo"
ZOO = _INSTALLED if _INSTALLED.is_dir() else Path(__file__).parents[2] / "data" / "zoo"
ZOO_CORPORA = {"zoo": "documents.jsonl", "zoo-prose": "prose.jsonl"}


def init(database: Path, zoo: bool = False) -> str:
    """Make the database, with `zoo` loaded with the bundled measurements; says what was done.

    Doing it again changes nothing.
    """
    made = store.create(database)
    done = f"{database} made" if made else f"{database} was there"
    if not zoo:
        return f"{done}; next: csvcore import corpus FILE --name NAME"
    with store.connect(database) as db:
        if "zoo" in store.corpora(db)["corpus"].tolist():
            if store.corpus_sha256(db, "zoo") == inputs.corpus_sha256(_zoo_corpora()["zoo"]):
                return f"{done}, with the bundled zoo"
            raise StoreError(
                f"{database} holds another version of the bundled zoo; take a new file, "
                "`csvcore --db NEW init --zoo` or `make app DB=NEW`"
            )
        _load_zoo(db)
        n_models = len(store.models(db))
    return f"{done}, the bundled zoo loaded: {n_models} models"


def _zoo_corpora() -> dict[str, list[Document]]:
    missing = [file for file in ZOO_CORPORA.values() if not (ZOO / file).is_file()]
    if missing:
        raise InputError(f"the bundled zoo is not at {ZOO}; install csvcore again")
    return {name: inputs.read_corpus(ZOO / file) for name, file in ZOO_CORPORA.items()}


def _load_zoo(db: Connection) -> None:
    for name, docs in _zoo_corpora().items():
        store.add_corpus(db, name, inputs.corpus_sha256(docs), docs)
    store.add_models(db, inputs.read_models(ZOO / "models.csv"))
    store.add_tasks(db, inputs.read_tasks(ZOO / "tasks.csv"))
    store.add_accuracies(db, inputs.read_accuracies([ZOO / "accuracies.csv"]))
    for split in sorted((ZOO / "splits").glob("*.csv")):
        _add_split(db, split.stem, split)
    for pack in sorted(ZOO.glob("losses/*/*.parquet")):
        _add_losses(db, pack, pack.parent.name)


def import_corpus(database: Path, file: Path, name: str) -> str:
    """Store a `documents.jsonl` under a name."""
    docs = inputs.read_corpus(file)
    with store.connect(database) as db:
        store.add_corpus(db, name, inputs.corpus_sha256(docs), docs)
    return f"corpus {name}: {len(docs)} documents, {len({d.source for d in docs})} sources"


def import_models(database: Path, file: Path) -> str:
    """Store model cards."""
    cards = inputs.read_models(file)
    with store.connect(database) as db:
        store.add_models(db, cards)
    return f"{len(cards)} models of {len({card.family for card in cards})} families"


def import_tasks(database: Path, file: Path) -> str:
    """Store tasks and their chance levels."""
    tasks = inputs.read_tasks(file)
    with store.connect(database) as db:
        store.add_tasks(db, tasks)
    return f"{len(tasks)} tasks"


def import_accuracies(database: Path, files: Sequence[Path]) -> str:
    """Store accuracies of known models on known tasks."""
    entries = inputs.read_accuracies(files)
    with store.connect(database) as db:
        store.add_accuracies(db, entries)
    return f"{len(entries)} accuracies"


def import_split(database: Path, file: Path, name: str) -> str:
    """Store a split of known models."""
    with store.connect(database) as db:
        _add_split(db, name, file)
        sides = list(store.split(db, name).values())
    counts = ", ".join(f"{sides.count(side)} {side}" for side in dict.fromkeys(sides))
    return f"split {name}: {counts}"


def _add_split(db: Connection, name: str, file: Path) -> None:
    known = [card.model for card in store.models(db)]
    store.add_split(db, name, splits.check_split(inputs.read_split(file), known))


def import_losses(database: Path, files: Sequence[Path], corpus: str | None = None) -> str:
    """Store loss packs; the manifest's hash finds the corpus, without one it must be named."""
    n_rows = 0
    with store.connect(database) as db:
        for file in files:
            n_rows += _add_losses(db, file, corpus)
    return f"{n_rows} documents' losses from {len(files)} packs"


def _add_losses(db: Connection, file: Path, corpus: str | None) -> int:
    pack = packs.read(file)
    name = _corpus_of(db, file.name, pack.manifest, corpus)
    n_bytes = {doc.doc_id: len(doc.text.encode()) for doc in store.documents(db, name)}
    packs.check_documents(file.name, pack.table, n_bytes)
    manifests = (pack.manifest or {}).get("models", {})
    store.add_losses(db, name, pack.table, manifests)
    return len(pack.table)


def _corpus_of(
    db: Connection, pack: str, manifest: dict[str, object] | None, corpus: str | None
) -> str:
    if manifest is None:
        if corpus is None:
            raise InputError(f"{pack} has no manifest; say with --corpus which corpus it scores")
        store.corpus_sha256(db, corpus)
        return corpus
    sha256 = str(manifest.get("corpus_sha256"))
    found = store.corpus_of_sha256(db, sha256)
    if found is None or (corpus is not None and sha256 != store.corpus_sha256(db, corpus)):
        raise InputError(
            f"{pack} was made on a corpus with hash {sha256[:12]}, "
            f"{'which is not stored' if corpus is None else f'not on {corpus}'}; "
            "import the corpus it was made on first"
        )
    return found if corpus is None else corpus
