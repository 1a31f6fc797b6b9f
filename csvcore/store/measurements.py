"""Storage of measurements: corpora, models, tasks, accuracies, splits and manifests."""

from collections.abc import Sequence
from dataclasses import asdict

import pandas as pd
import pyarrow as pa

from csvcore import values
from csvcore.errors import DifferentError, InputError
from csvcore.formats.manifest import Manifest, from_json
from csvcore.records import Accuracy, Corpus, Document, ModelCard, Side, Task
from csvcore.store.capabilities import remove_capabilities
from csvcore.store.items import TOLERANCE, has_item_results
from csvcore.store.rows import Connection, first, insert, intact, stored_object

CARD_FIELDS = ("n_params", "train_tokens", "stage", "step", "license", "origin", "run")  # optional


def add_corpus(db: Connection, name: str, sha256: str, docs: Sequence[Document]) -> None:
    """Store a corpus; storing the same documents again replaces their answer and result spans.

    Raises:
        InputError: another corpus with other documents has the name, or `values.name` refuses it.
    """
    name = values.name(name, "the name of a corpus")
    stored = first(db, "SELECT sha256 FROM corpora WHERE corpus = ?", [name])
    if stored is not None:
        if stored[0] != sha256:
            raise InputError(f"a corpus {name!r} with other documents is stored; choose a new name")
        db.execute("DELETE FROM corpora WHERE corpus = ?", [name])
        db.execute("DELETE FROM documents WHERE corpus = ?", [name])
    db.execute(
        "INSERT INTO corpora VALUES (?, ?, ?)", [name, sha256, sum(len(doc.text) for doc in docs)]
    )
    rows = pa.table(
        {
            "corpus": [name] * len(docs),
            "doc_index": pa.array(range(len(docs)), pa.int32()),
            "doc_id": [doc.doc_id for doc in docs],
            "source": [doc.source for doc in docs],
            "text": [doc.text for doc in docs],
            "answers": _span_column([doc.answers for doc in docs]),
            "results": _span_column([doc.results for doc in docs]),
        }
    )
    insert(db, "documents", rows)


def _span_column(spans: Sequence[Sequence[tuple[int, int]]]) -> pa.Array:
    """Return the character spans of each document as an Arrow column."""
    return pa.array(
        [[list(span) for span in of_doc] for of_doc in spans], pa.list_(pa.list_(pa.int32(), 2))
    )


def corpora(db: Connection) -> pd.DataFrame:
    """Return all corpora by name.

    Columns: corpus, sha256, n_chars, n_docs, n_sources, n_models.
    """
    return db.execute(
        """
        SELECT corpus, sha256, n_chars, n_docs, n_sources, coalesce(n_models, 0) AS n_models
        FROM corpora
        JOIN (SELECT corpus, count(*) AS n_docs, count(DISTINCT source) AS n_sources
              FROM documents GROUP BY corpus) USING (corpus)
        LEFT JOIN (SELECT corpus, count(*) AS n_models FROM manifests GROUP BY corpus)
              USING (corpus)
        ORDER BY corpus
        """
    ).df()


def corpus_sha256(db: Connection, name: str) -> str:
    """Return the hash of a stored corpus; refuse an unknown name."""
    row = first(db, "SELECT sha256 FROM corpora WHERE corpus = ?", [name])
    if row is None:
        names = [r[0] for r in db.execute("SELECT corpus FROM corpora ORDER BY 1").fetchall()]
        raise InputError(f"there is no corpus {name!r}; stored: {', '.join(names) or 'none'}")
    return str(row[0])


def corpus_of_sha256(db: Connection, sha256: str) -> str | None:
    """Return the name of the stored corpus with this hash, or None."""
    row = first(db, "SELECT corpus FROM corpora WHERE sha256 = ?", [sha256])
    return None if row is None else str(row[0])


def corpus(db: Connection, name: str) -> Corpus:
    """Return a corpus with its documents; refuse an unknown name."""
    return Corpus(name, corpus_sha256(db, name), documents(db, name))


def documents(db: Connection, corpus: str) -> list[Document]:
    """Return the documents of a corpus in its order; refuse an unknown name."""
    corpus_sha256(db, corpus)
    rows = db.execute(
        """
        SELECT doc_id, source, text, answers, results
        FROM documents WHERE corpus = ? ORDER BY doc_index
        """,
        [corpus],
    ).fetchall()
    return [
        Document(
            doc_id,
            source,
            text,
            tuple((span[0], span[1]) for span in answers),
            tuple((span[0], span[1]) for span in results),
        )
        for doc_id, source, text, answers, results in rows
    ]


# Models, tasks, accuracies, splits -------------------------------------------------------------


def add_models(db: Connection, cards: Sequence[ModelCard]) -> None:
    """Store model cards; a stored card is updated with the new card's known fields."""
    updates = ", ".join(f"{name} = coalesce(excluded.{name}, {name})" for name in CARD_FIELDS)
    rows = pa.Table.from_pylist([asdict(card) for card in cards])
    conflict = f"ON CONFLICT (model) DO UPDATE SET family = excluded.family, {updates}"
    insert(db, "models", rows, conflict)


def models(db: Connection) -> list[ModelCard]:
    """Return all model cards, by family, size and step."""
    rows = db.execute(
        """
        SELECT model, family, n_params, train_tokens, stage, step, license, origin, run
        FROM models ORDER BY family, n_params NULLS LAST, step NULLS LAST, model
        """
    ).fetchall()
    return [ModelCard(*row) for row in rows]


def add_tasks(db: Connection, tasks: Sequence[Task]) -> None:
    """Store tasks; a stored task keeps its title and sources where the new one has none."""
    db.executemany(
        "INSERT INTO tasks VALUES (?, ?, ?, ?) ON CONFLICT (task) DO UPDATE SET "
        "chance = excluded.chance, title = coalesce(nullif(excluded.title, ''), title), "
        "sources = CASE WHEN len(excluded.sources) > 0 THEN excluded.sources ELSE sources END",
        [[t.task, t.chance, t.title, list(t.sources)] for t in tasks],
    )


def tasks(db: Connection) -> list[Task]:
    """Return all tasks by name."""
    rows = db.execute("SELECT task, chance, title, sources FROM tasks ORDER BY task").fetchall()
    return [Task(task, chance, title, tuple(sources)) for task, chance, title, sources in rows]


def imported_tasks(db: Connection) -> list[str]:
    """Return the names of all tasks in the order in which they were imported."""
    return [row[0] for row in db.execute("SELECT task FROM tasks ORDER BY rowid").fetchall()]


def add_accuracies(db: Connection, entries: Sequence[Accuracy]) -> None:
    """Store accuracies.

    An accuracy with stored item results may differ from their mean by rounding; theirs is kept.

    Raises:
        InputError: an unknown model or task, or a stored accuracy with another value.
    """
    known_models = {row[0] for row in db.execute("SELECT model FROM models").fetchall()}
    known_tasks = {row[0] for row in db.execute("SELECT task FROM tasks").fetchall()}
    stored = {(e.model, e.task): e for e in accuracies(db)}
    itemised = has_item_results(db)
    for entry in entries:
        for what, name, known in (
            ("model", entry.model, known_models),
            ("task", entry.task, known_tasks),
        ):
            if name not in known:
                chance = f", or tell its chance level with --chance {name}=LEVEL"
                raise InputError(
                    f"accuracies name the {what} {name!r}, which is not stored; "
                    f"`csvcore import {what}s` first{chance if what == 'task' else ''}"
                )
        old = stored.get((entry.model, entry.task), entry)
        if old != entry and not ((entry.model, entry.task) in itemised and is_rounded(entry, old)):
            raise DifferentError(
                f"{entry.model} on {entry.task} is stored as {old.accuracy:g}"
                f"{_items(old)}, the file says {entry.accuracy:g}{_items(entry)}; name the task "
                "otherwise, or bring it into another database",
                f"{entry.model} on {entry.task} is stored with another accuracy; name the task "
                "otherwise, or replace the stored accuracies",
            )
    rows = pa.Table.from_pylist([asdict(entry) for entry in entries])
    insert(db, "accuracies", rows, "ON CONFLICT DO NOTHING")


def is_rounded(entry: Accuracy, exact: Accuracy) -> bool:
    """Return whether an accuracy is another one after rounding, of the same items if known."""
    same_items = entry.n_items in (None, exact.n_items)
    return same_items and abs(entry.accuracy - exact.accuracy) <= TOLERANCE


def _items(entry: Accuracy) -> str:
    return "" if entry.n_items is None else f" ({entry.n_items} items)"


def accuracies(db: Connection) -> list[Accuracy]:
    """Return all accuracies."""
    rows = db.execute("SELECT model, task, accuracy, n_items FROM accuracies").fetchall()
    return [Accuracy(*row) for row in rows]


def add_split(db: Connection, name: str, split: dict[str, Side]) -> None:
    """Store a split checked by `splits.check_split`, replacing one of the same name.

    If its sides change, mix searches and factors on the earlier ones are removed. Fits stay, and
    are told to be older than the split.
    """
    name = values.name(name, "the name of a split")
    stored = db.execute("SELECT model, side FROM splits WHERE split = ?", [name]).fetchall()
    if stored and dict(stored) != split:
        db.execute("DELETE FROM mixes WHERE split = ?", [name])
        remove_capabilities(db, "split", [name])
    db.execute("DELETE FROM splits WHERE split = ?", [name])
    rows = [{"split": name, "model": model, "side": side} for model, side in split.items()]
    insert(db, "splits", pa.Table.from_pylist(rows))


def splits(db: Connection) -> list[str]:
    """Return the names of all splits."""
    return [row[0] for row in db.execute("SELECT DISTINCT split FROM splits ORDER BY 1").fetchall()]


def split(db: Connection, name: str) -> dict[str, Side]:
    """Return the side of each model in a split; refuse an unknown name."""
    rows = db.execute(
        "SELECT model, side FROM splits WHERE split = ? ORDER BY model", [name]
    ).fetchall()
    if not rows:
        names = ", ".join(splits(db)) or "none"
        raise InputError(f"there is no split {name!r}; stored: {names}")
    return dict(rows)


def manifests(db: Connection, corpus: str) -> dict[str, Manifest | None]:
    """Return the manifest of each model's losses on a corpus; None if the pack had none."""
    rows = db.execute(
        "SELECT model, manifest FROM manifests WHERE corpus = ? ORDER BY model", [corpus]
    ).fetchall()
    found: dict[str, Manifest | None] = {}
    for model, text in rows:
        with intact(f"how the losses of {model} were made"):
            found[model] = None if text is None else from_json(stored_object(text))
    return found
