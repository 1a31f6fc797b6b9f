"""Labs on a database that is stored, and on files and tables that become one."""

from collections.abc import Sequence
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import Literal
from weakref import finalize

from csvcore import store
from csvcore.errors import InputError
from csvcore.formats.dataframes import File, Table, as_file, as_files
from csvcore.lab import Lab
from csvcore.pipeline import imports


def open(
    database: File = "csvcore.duckdb",
    corpus: str | None = None,
    split: str | None = None,
    scorer: str | None = None,
) -> Lab:
    """Open a results database made by `csvcore init --zoo` or `csvcore import`.

    Args:
        database: its file.
        corpus: name of a stored corpus; may be left out where there is one only.
        split: likewise of a split.
        scorer: see `Lab`.

    Raises:
        StoreError: there is no such database.
        InputError: the name is not stored, or there are several and none is given.
    """
    path = Path(database)
    with store.connect(path, read_only=True) as db:
        corpora, splits = store.corpora(db)["corpus"].tolist(), store.splits(db)
    return Lab(path, _one("corpus", corpus, corpora), _one("split", split, splits), scorer)


def _one(what: str, name: str | None, stored: Sequence[str]) -> str:
    chosen = stored[0] if name is None and len(stored) == 1 else name
    if chosen is None or chosen not in stored:
        raise InputError(
            f"say which {what}: {', '.join(stored) or 'none'} "
            f"{'is' if len(stored) == 1 else 'are'} stored, got {name!r}"
        )
    return chosen


def load(
    *,
    corpus: Table,
    models: Table,
    tasks: Table,
    accuracies: Table | Sequence[File],
    losses: Table | Sequence[File],
    split: Table,
    database: File | None = None,
    scorer: str | None = None,
    results: Literal["csv", "lm-eval", "opencompass"] = "csv",
) -> Lab:
    """Make a new results database of files (docs/formats.md) or DataFrames, all or nothing.

    A DataFrame has the columns of its file. Losses are a row per document with lists, as in a loss
    pack, or a row per token with numbers. The corpus and the split are named after their files, or
    "corpus" and "split". The parameters mirror the files of `csvcore import`, and are keyword-only
    for that reason.

    Args:
        corpus: documents, one JSON object a line.
        models: model cards.
        tasks: tasks with their chance levels.
        accuracies: one or more files, or folders of lm-evaluation-harness.
        losses: one or more loss packs; one without a manifest counts as of this corpus.
        split: sides of the models.
        database: file to keep it in; by default a temporary folder that is deleted with the Lab.
        scorer: see `Lab`.
        results: format of the accuracies.

    Raises:
        InputError: a file is not valid, or the database exists already.
        OffsetsError: losses do not tile their documents.
    """
    path = None if database is None else Path(database)
    if path is not None and path.exists():
        raise InputError(f"{path} is there already; csvcore.open({str(path)!r}) reads it")
    folder = Path(mkdtemp(prefix=".csvcore-", dir=None if path is None else path.parent))
    building = folder / "results.duckdb"
    try:
        texts, sides = as_file(corpus, folder, "corpus"), as_file(split, folder, "split")
        lab = Lab(path or building, texts.stem, sides.stem, scorer)
        imports.init(building)
        imports.import_corpus(building, texts, lab.corpus)
        imports.import_models(building, as_file(models, folder, "models"))
        imports.import_tasks(building, as_file(tasks, folder, "tasks"))
        imports.import_accuracies(building, as_files(accuracies, folder, "accuracies"), results)
        imports.import_split(building, sides, lab.split)
        imports.import_losses(building, as_files(losses, folder, "losses"), lab.corpus)
        if path is not None:
            building.replace(path)
    except BaseException:
        rmtree(folder)
        raise
    if path is None:
        finalize(lab, rmtree, folder, ignore_errors=True)
    else:
        rmtree(folder)
    return lab
