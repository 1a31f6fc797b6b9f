"""Import of files into the database; each import is all or nothing."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from csvcore import splits, store, values
from csvcore.errors import InputError, StoreError
from csvcore.formats import corpora, csv_tables, evaluations, item_results, loss_packs
from csvcore.formats.bundled import ZOO, ZOO_CORPORA
from csvcore.records import Document, Task
from csvcore.store import Connection


def init(database: Path, zoo: bool = False) -> str:
    """Create the database, with `zoo` including the bundled measurements; return a message.

    A second call changes nothing.
    """
    made = store.create(database)
    done = f"{database} made" if made else f"{database} was there"
    if not zoo:
        return f"{done}; next: csvcore import corpus FILE --name NAME"
    with store.connect(database) as db:
        if "zoo" in store.corpora(db)["corpus"].tolist():
            if store.corpus_sha256(db, "zoo") == csv_tables.corpus_sha256(_zoo_corpora()["zoo"]):
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
    return {name: csv_tables.read_corpus(ZOO / file) for name, file in ZOO_CORPORA.items()}


def _load_zoo(db: Connection) -> None:
    for name, docs in _zoo_corpora().items():
        store.add_corpus(db, name, csv_tables.corpus_sha256(docs), docs)
    store.add_models(db, csv_tables.read_models(ZOO / "models.csv"))
    store.add_tasks(db, csv_tables.read_tasks(ZOO / "tasks.csv"))
    store.add_accuracies(db, csv_tables.read_accuracies([ZOO / "accuracies.csv"]))
    if (ZOO / "items.parquet").is_file():
        store.add_item_results(db, item_results.read(ZOO / "items.parquet"))
    for split in sorted((ZOO / "splits").glob("*.csv")):
        _add_split(db, split.stem, split)
    for pack in sorted(ZOO.glob("losses/*/*.parquet")):
        _add_losses(db, pack, pack.parent.name)


def import_corpus(database: Path, file: Path, name: str) -> str:
    """Store a corpus under a name: JSON lines, CSV, Parquet, or a folder of plain texts."""
    name = values.name(name, "the name of a corpus")
    docs = corpora.read_corpus(file)
    with store.connect(database) as db:
        store.add_corpus(db, name, csv_tables.corpus_sha256(docs), docs)
    return f"corpus {name}: {len(docs)} documents, {len({d.source for d in docs})} sources"


def import_models(database: Path, file: Path) -> str:
    """Store model cards."""
    cards = csv_tables.read_models(file)
    with store.connect(database) as db:
        store.add_models(db, cards)
    return f"{len(cards)} models of {len({card.family for card in cards})} families"


def import_tasks(database: Path, file: Path) -> str:
    """Store tasks and their chance levels."""
    tasks = csv_tables.read_tasks(file)
    with store.connect(database) as db:
        store.add_tasks(db, tasks)
    return f"{len(tasks)} tasks"


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
        form: `csv`, `lm-eval` or `opencompass`.
        metrics: in order of preference, for result files, METRIC for all tasks or TASK=METRIC for
            one, as it is stored; without any, `evaluations.METRICS`.
        tasks: what the files call a task, to the name it is stored under; without any, every
            stored task that result files have by its own name, and every one of CSV files.
        names: a file of what models are called in the files and stored as.
        new_tasks: stored first, unless they are there with the same chance level.

    Raises:
        InputError: a file that does not say what it must, models or tasks that are not stored, or
            an accuracy that is stored with another value; nothing is imported then.
    """
    with store.connect(database) as db:
        _add_new(db, new_tasks)
        known = {card.model for card in store.models(db)}
        stored = [task.task for task in store.tasks(db)]
        if form == "csv":
            chosen = evaluations.read_tables(files, tasks or {}, stored)
            _refuse_absent(chosen, tasks or {})
        else:
            chosen = _results(files, form, metrics, tasks or {}, stored)
        mapping = {} if names is None else evaluations.read_names(names)
        entries = evaluations.matched(chosen.accuracies, mapping, known)
        if not entries:
            raise InputError(
                f"there are 0 accuracies in {', '.join(map(str, files))}; every cell is empty, or "
                "--names leaves every model out"
            )
        store.add_accuracies(db, entries)
    return f"{len(entries)} accuracies{_message(chosen)}"


def _add_new(db: Connection, tasks: Sequence[Task]) -> None:
    stored = {task.task: task.chance for task in store.tasks(db)}
    for task in tasks:
        if stored.get(task.task, task.chance) != task.chance:
            raise InputError(
                f"{task.task} is stored with the chance level {stored[task.task]:g}, not "
                f"{task.chance:g}; `csvcore import tasks` changes it"
            )
    new = [task for task in tasks if task.task not in stored]
    if new:
        store.add_tasks(db, new)


def _results(
    files: Sequence[Path],
    form: str,
    metrics: Sequence[str],
    tasks: Mapping[str, str],
    stored: Sequence[str],
) -> evaluations.Chosen:
    wanted = tasks or {task: task for task in stored}
    plain, by_task = evaluations.metrics_by_task(metrics)
    unknown = [task for task in by_task if task not in wanted.values()]
    if unknown:
        raise InputError(
            f"--metric names the task {unknown[0]!r}, which is not one to import; those are "
            f"{', '.join(wanted.values()) or 'none, so store it first with --chance TASK=LEVEL'}"
        )
    chosen = evaluations.chosen(
        evaluations.read(files, form), wanted, plain or evaluations.METRICS[form], by_task
    )
    _refuse_absent(chosen, tasks)
    if not chosen.accuracies:
        raise InputError(
            f"the files have results on {', '.join(chosen.left_aside) or 'no task'}, and none of "
            "these is a stored task; say with --chance TASK=LEVEL how often guessing is right, or "
            "with --task STORED=THEIRS what they are called"
        )
    return chosen


def _refuse_absent(chosen: evaluations.Chosen, tasks: Mapping[str, str]) -> None:
    there = {entry.task for entry in chosen.accuracies}
    absent = [theirs for theirs, task in tasks.items() if task not in there]
    if absent:
        raise InputError(
            f"the files have no result on {', '.join(absent)}, but on "
            f"{', '.join([*sorted(there), *chosen.left_aside]) or 'none else'}"
        )


def _message(chosen: evaluations.Chosen) -> str:
    taken = ", ".join(f"{task} by {' or '.join(names)}" for task, names in chosen.metrics.items())
    aside = f"; left aside: {', '.join(chosen.left_aside)}" if chosen.left_aside else ""
    return f": {taken}{aside}" if taken else aside


def import_items(database: Path, file: Path) -> str:
    """Store item results; accuracies that are not stored are made from them."""
    with store.connect(database) as db:
        n_before = len(store.accuracies(db))
        n_new = store.add_item_results(db, item_results.read(file))
        n_made = len(store.accuracies(db)) - n_before
    made = f"; {n_made} accuracies made from them" if n_made else ""
    return f"{n_new} item results{made}"


def import_split(database: Path, file: Path, name: str) -> str:
    """Store a split of known models."""
    name = values.name(name, "the name of a split")
    with store.connect(database) as db:
        _add_split(db, name, file)
        sides = list(store.split(db, name).values())
    counts = ", ".join(f"{sides.count(side)} {side}" for side in dict.fromkeys(sides))
    return f"split {name}: {counts}"


def _add_split(db: Connection, name: str, file: Path) -> None:
    known = [card.model for card in store.models(db)]
    store.add_split(db, name, splits.check_split(csv_tables.read_split(file, name), known))


def import_losses(database: Path, files: Sequence[Path], corpus: str | None = None) -> str:
    """Store loss packs; the corpus is found by the manifest's hash, or must be named.

    Losses that are stored already are skipped if equal, so packs may overlap.
    """
    n_new = n_rows = 0
    with store.connect(database) as db:
        for file in files:
            new, rows = _add_losses(db, file, corpus)
            n_new, n_rows = n_new + new, n_rows + rows
    skipped = f"; {n_rows - n_new} were stored already" if n_new < n_rows else ""
    return f"{n_new} documents' losses from {len(files)} packs{skipped}"


def _add_losses(db: Connection, file: Path, corpus: str | None) -> tuple[int, int]:
    """Store a pack; return its numbers of new rows and of all rows."""
    pack = loss_packs.read(file)
    home = store.corpus_of_pack(db, file.name, pack, corpus)
    return store.add_losses(db, home.name, pack.table, pack.models), len(pack.table)
