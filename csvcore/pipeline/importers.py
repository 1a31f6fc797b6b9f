"""Importers, one for each kind of file; each returns a function of an open database.

What needs no stored names is read first, outside of any transaction. An import runs the function in
a transaction of its own; `store.rehearse` runs it to see what it would change.
"""

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from csvcore import splits, store, values
from csvcore.errors import InputError
from csvcore.formats import (
    checked_packs,
    corpora,
    csv_tables,
    evaluations,
    item_results,
    loss_packs,
)
from csvcore.formats.checked_packs import CheckedPack
from csvcore.formats.lm_eval import Result
from csvcore.formats.lm_eval_samples import SampleSet
from csvcore.records import Task
from csvcore.store import Connection, Edit, Stored


def corpus(file: Path, name: str) -> Edit:
    """Return the import of a corpus under a name: JSON lines, CSV, Parquet, or a folder."""
    name = values.name(name, "the name of a corpus")
    docs = corpora.read_corpus(file)

    def edit(db: Connection) -> Stored:
        store.add_corpus(db, name, csv_tables.corpus_sha256(docs), docs)
        n_sources = len({doc.source for doc in docs})
        return Stored(f"corpus {name}: {len(docs)} documents, {n_sources} sources", "corpus", 1)

    return edit


def models(file: Path, replace: bool = False) -> Edit:
    """Return the import of model cards; replace: a stored card loses what the file lacks."""
    cards = csv_tables.read_models(file)

    def edit(db: Connection) -> Stored:
        (store.replace_models if replace else store.add_models)(db, cards)
        n_families = len({card.family for card in cards})
        return Stored(f"{len(cards)} models of {n_families} families", "model", len(cards))

    return edit


def tasks(file: Path) -> Edit:
    """Return the import of tasks and their chance levels."""
    entries = csv_tables.read_tasks(file)

    def edit(db: Connection) -> Stored:
        store.add_tasks(db, entries)
        return Stored(f"{len(entries)} tasks", "task", len(entries))

    return edit


@dataclass(frozen=True, slots=True)
class Evaluations:
    """Settings for reading accuracies from files.

    form: `csv`, `lm-eval` or `opencompass`. metrics: in order of preference, for result files,
    METRIC for all tasks or TASK=METRIC for one, as it is stored; without any,
    `evaluations.METRICS`. tasks: what the files call a task, to the name it is stored under;
    without any, every stored task that result files have by its own name, and every one of CSV
    files. names: a file of what models are called in the files and stored as. new_tasks: stored
    first, unless they are there with the same chance level.
    """

    form: str = "csv"
    metrics: Sequence[str] = ()
    tasks: Mapping[str, str] | None = None
    names: Path | None = None
    new_tasks: Sequence[Task] = ()


def accuracies(
    database: Path, files: Sequence[Path], how: Evaluations, replace: bool = False
) -> Edit:
    """Return the import of accuracies of known models on known tasks, read and checked before.

    Item results are imported with them where lm-evaluation-harness wrote its samples.

    Args:
        database: whose models and tasks they are of.
        files: CSV files, long or wide, or files or folders of an evaluation program.
        how: to read them.
        replace: stored accuracies of other values give way, see `store.replace_accuracies`.
    """
    with store.connect(database, read_only=True) as db:
        known = {card.model for card in store.models(db)}
        stored = [task.task for task in store.tasks(db)]
        stored += [task.task for task in _new_tasks(db, how.new_tasks)]
    chosen = _chosen(files, how, stored)
    mapping = {} if how.names is None else evaluations.read_names(how.names)
    entries = evaluations.matched(chosen.accuracies, mapping, known)
    if not entries:
        raise InputError(
            f"there are 0 accuracies in {', '.join(map(str, files))}; every cell is empty, or "
            "--names leaves every model out"
        )
    samples = _samples(chosen, mapping, known)
    parts = list(samples.tables())
    entries = [
        dataclasses.replace(e, n_items=samples.n_items.get((e.model, e.task), e.n_items))
        for e in entries
    ]

    def edit(db: Connection) -> Stored:
        if new := _new_tasks(db, how.new_tasks):
            store.add_tasks(db, new)
        (store.replace_accuracies if replace else store.add_accuracies)(db, entries)
        n_items = store.add_item_results(db, parts) if parts else 0
        told = f" and {n_items} item results" if parts else ""
        message = f"{len(entries)} accuracies{told}{_message(chosen)}{samples.message()}"
        return Stored(message, "accuracy", len(entries))

    return edit


def _chosen(files: Sequence[Path], how: Evaluations, stored: Sequence[str]) -> evaluations.Chosen:
    wanted = how.tasks or {}
    if how.form != "csv":
        return _results(files, how.form, how.metrics, wanted, stored)
    chosen = evaluations.read_tables(files, wanted, stored)
    _refuse_absent(chosen, wanted)
    return chosen


def _samples(
    chosen: evaluations.Chosen, names: Mapping[str, str], known: Collection[str]
) -> SampleSet:
    """Return the samples of the chosen results under stored names, one result a model and task."""
    by_name: dict[tuple[str, str], Result] = {}
    for entry, result in zip(chosen.accuracies, chosen.results, strict=False):
        model = evaluations.stored_name(entry.model, names, known)
        if model is not None and model != evaluations.LEFT_OUT:
            by_name.setdefault((model, entry.task), result)
    return SampleSet([(*key, result) for key, result in by_name.items()])


def _new_tasks(db: Connection, tasks: Sequence[Task]) -> list[Task]:
    """Return which of these tasks are not stored.

    Raises:
        InputError: one is stored with another chance level.
    """
    stored = {task.task: task.chance for task in store.tasks(db)}
    for task in tasks:
        if stored.get(task.task, task.chance) != task.chance:
            raise InputError(
                f"{task.task} is stored with the chance level {stored[task.task]:g}, not "
                f"{task.chance:g}; `csvcore import tasks` changes it"
            )
    return [task for task in tasks if task.task not in stored]


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


def items(file: Path) -> Edit:
    """Return the import of item results; accuracies that are not stored are made from them.

    The file is read twice: to refuse a wrong one before any transaction, and part by part in it.
    """
    for _ in item_results.read(file):
        pass

    def edit(db: Connection) -> Stored:
        n_before = len(store.accuracies(db))
        n_new = store.add_item_results(db, item_results.read(file))
        n_made = len(store.accuracies(db)) - n_before
        made = f"; {n_made} accuracies made from them" if n_made else ""
        return Stored(f"{n_new} item results{made}")

    return edit


def split(file: Path, name: str, replace: bool = False) -> Edit:
    """Return the import of a split of known models; replace: in place of another of this name."""
    name = values.name(name, "the name of a split")
    read = csv_tables.read_split(file, name)

    def edit(db: Connection) -> Stored:
        models = splits.check_split(read, [card.model for card in store.models(db)])
        if not replace and name in store.splits(db) and store.split(db, name) != models:
            raise InputError(
                f"another split {name!r} is stored; choose a new name, or see what changes with "
                f"`csvcore replace split {file.name} --name {name}`"
            )
        store.add_split(db, name, models)
        sides = list(models.values())
        counts = ", ".join(f"{sides.count(side)} {side}" for side in dict.fromkeys(sides))
        return Stored(f"split {name}: {counts}", "side in a split", len(sides))

    return edit


def losses(
    database: Path, files: Sequence[Path], corpus: str | None = None, replace: bool = False
) -> Edit:
    """Return the import of loss packs, which are checked before any transaction.

    Args:
        database: whose corpora they score.
        files: packs, which may overlap: equal losses count once.
        corpus: name of the corpus of packs without a manifest, whose hash finds it otherwise.
        replace: a pack's losses take the place of all of its models on its corpus.
    """
    if replace and len(files) > 1:
        raise InputError(
            f"one pack at a time replaces losses, got {len(files)}: each takes the place of all "
            "losses of its models; run it for each"
        )
    manifests = [loss_packs.read_manifest(file) for file in files]
    with store.connect(database, read_only=True) as db:
        scored = [
            store.corpus_of_manifest(db, file.name, manifest, corpus)
            for file, manifest in zip(files, manifests, strict=True)
        ]
    packs = map(checked_packs.check, files, scored, manifests)
    return checked_losses(list(packs), replace)


def checked_losses(packs: Sequence[CheckedPack], replace: bool = False) -> Edit:
    """Return the import of loss packs that were checked, see `losses`."""

    def edit(db: Connection) -> Stored:
        n_new = 0
        for pack in packs:
            if store.corpus_sha256(db, pack.corpus) != pack.corpus_sha256:
                raise InputError(f"the corpus {pack.corpus} changed meanwhile; repeat the import")
            if replace:
                store.replace_losses(db, pack.corpus, pack)
                n_new = pack.n_rows
            else:
                n_new += store.add_loss_parts(
                    db, pack.corpus, pack.models, pack.parts(), pack.made_how
                )
        n_rows = sum(pack.n_rows for pack in packs)
        skipped = f"; {n_rows - n_new} were stored already" if n_new < n_rows else ""
        message = f"{n_new} documents' losses from {len(packs)} packs{skipped}"
        models = {model for pack in packs for model in pack.models}
        return Stored(message, "set of losses", len(models))

    return edit
