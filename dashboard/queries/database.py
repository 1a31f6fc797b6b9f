"""Cached, read-only reads through `csvcore.store`; tables are cached, connections never.

Every read is keyed by the database file and its time of change, so a new fit shows at once.
"""

import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import streamlit as st

from csvcore import frames, store
from csvcore.errors import StoreError
from csvcore.formats.manifest import WHOLE, Manifest
from csvcore.records import Document, Fit, ModelCard, Replay, Side, Task
from csvcore.splits import WITHOUT, run_name
from csvcore.store import replays
from dashboard.queries import test_set

DATABASE_VARIABLE = "CSVCORE_DB"
MODELS_VARIABLE = "CSVCORE_MODELS"


@dataclass(frozen=True, slots=True)
class Database:
    """The results database as it is now; changed is its modification time in nanoseconds."""

    path: Path
    changed: int


def database() -> Database:
    """The database the dashboard shows: $CSVCORE_DB, else csvcore.duckdb in the working folder.

    Raises:
        StoreError: it does not exist.
    """
    path = Path(os.environ.get(DATABASE_VARIABLE, "csvcore.duckdb")).resolve()
    try:
        return Database(path, path.stat().st_mtime_ns)
    except FileNotFoundError as error:
        raise StoreError(
            f"there is no database {path}; `csvcore --db {path} init --zoo` makes one"
        ) from error


def command(db: Database, words: str) -> str:
    """A command on this database as Markdown, to be copied into a terminal."""
    return f"`csvcore --db {shlex.quote(str(db.path))} {words}`"


def model_folders() -> list[Path]:
    """Model folders that may be collected from the page, as $CSVCORE_MODELS names them.

    A folder counts that has config.json and safetensors, named itself or lying in a named one.
    """
    named = [Path(part) for part in os.environ.get(MODELS_VARIABLE, "").split(os.pathsep) if part]
    inside = [child for folder in named for child in _children(folder)]
    models = [
        folder.resolve()
        for folder in [*named, *inside]
        if (folder / "config.json").is_file() and any(folder.glob("*.safetensors"))
    ]
    return list(dict.fromkeys(models))


def _children(folder: Path) -> list[Path]:
    """What lies in a folder; nothing if it cannot be read."""
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


@st.cache_data(max_entries=8, show_spinner=False)
def corpora(db: Database) -> pd.DataFrame:
    """See `store.corpora`."""
    with store.connect(db.path, read_only=True) as con:
        return store.corpora(con)


@st.cache_data(max_entries=8, show_spinner=False)
def splits(db: Database) -> list[str]:
    """See `store.splits`."""
    with store.connect(db.path, read_only=True) as con:
        return store.splits(con)


@st.cache_data(max_entries=16, show_spinner=False)
def split(db: Database, name: str) -> dict[str, Side]:
    """See `store.split`."""
    with store.connect(db.path, read_only=True) as con:
        return store.split(con, name)


@st.cache_data(max_entries=8, show_spinner=False)
def tasks(db: Database) -> list[Task]:
    """See `store.tasks`."""
    with store.connect(db.path, read_only=True) as con:
        return store.tasks(con)


@st.cache_data(max_entries=8, show_spinner=False)
def cards(db: Database) -> list[ModelCard]:
    """See `store.models`."""
    with store.connect(db.path, read_only=True) as con:
        return store.models(con)


@st.cache_data(max_entries=8, show_spinner=False)
def models(db: Database, unseen: frozenset[str] = frozenset()) -> pd.DataFrame:
    """See `tables.models_table`; accuracies of models in `unseen` are missing (`hidden_models`)."""
    with store.connect(db.path, read_only=True) as con:
        found = store.models(con)
        scores = [entry for entry in store.accuracies(con) if entry.model not in unseen]
    return frames.models_table(found, scores)


@st.cache_data(max_entries=8, show_spinner=False)
def coverage(db: Database, corpus: str) -> dict[str, int]:
    """See `store.coverage`."""
    with store.connect(db.path, read_only=True) as con:
        return store.coverage(con, corpus)


@st.cache_data(max_entries=8, show_spinner=False)
def complete_models(db: Database, corpus: str) -> list[str]:
    """See `store.complete_models`."""
    with store.connect(db.path, read_only=True) as con:
        return store.complete_models(con, corpus)


def complete_runs(db: Database, corpus: str) -> dict[str, list[str]]:
    """Models with losses on every document, by their training run, in the order of their steps."""
    complete = set(complete_models(db, corpus))
    found: dict[str, list[str]] = {}
    for card in sorted(cards(db), key=lambda one: (one.step or 0, one.model)):
        if card.model in complete:
            found.setdefault(run_name(card), []).append(card.model)
    return dict(sorted(found.items()))


@st.cache_data(max_entries=8, show_spinner=False)
def manifests(db: Database, corpus: str) -> pd.DataFrame:
    """How each model's losses on a corpus were made; a cell is empty where its pack did not say.

    Columns: model, documents, engine, dtype, prefix, rows, context, weights, created.
    """
    with store.connect(db.path, read_only=True) as con:
        found, covered = store.manifests(con, corpus), store.coverage(con, corpus)
    return pd.DataFrame(
        [
            {
                "model": model,
                "documents": covered.get(model, 0),
                "engine": made.engine,
                "dtype": made.dtype,
                "prefix": made.prefix_token,
                "rows": made.rows,
                "context": str(made.context or WHOLE),
                "weights": made.short_weights,
                "created": made.created,
            }
            for model, made in ((model, made or Manifest()) for model, made in found.items())
        ]
    )


@st.cache_data(max_entries=8, show_spinner=False)
def have_one_unit(db: Database, corpus: str) -> bool:
    """See `store.have_one_unit`."""
    with store.connect(db.path, read_only=True) as con:
        return store.have_one_unit(con, corpus)


@st.cache_data(max_entries=4, show_spinner=False)
def documents(db: Database, corpus: str) -> list[Document]:
    """See `store.documents`."""
    with store.connect(db.path, read_only=True) as con:
        return store.documents(con, corpus)


@st.cache_data(max_entries=8, show_spinner=False)
def fits(db: Database) -> pd.DataFrame:
    """See `store.fits` and `hidden.fits`."""
    with store.connect(db.path, read_only=True) as con:
        return test_set.fits(con)


@st.cache_data(max_entries=32, show_spinner=False)
def fit(db: Database, name: str) -> Fit:
    """See `store.fit` and `hidden.fit`."""
    with store.connect(db.path, read_only=True) as con:
        return test_set.fit(con, name)


@st.cache_data(max_entries=32, show_spinner=False)
def predictions(db: Database, name: str) -> pd.DataFrame:
    """See `store.predictions` and `hidden.predictions`."""
    with store.connect(db.path, read_only=True) as con:
        return test_set.predictions(con, name)


@st.cache_data(max_entries=16, show_spinner=False)
def replay(db: Database, fit: str) -> Replay | None:
    """See `replays.read`."""
    return replays.read(db.path, fit)


@st.cache_data(max_entries=16, show_spinner=False)
def hidden_models(db: Database, corpus: str, split: str) -> frozenset[str]:
    """See `hidden.models`."""
    with store.connect(db.path, read_only=True) as con:
        return test_set.models(con, corpus, split)


@st.cache_data(max_entries=16, show_spinner=False)
def revealed_models(db: Database, corpus: str, split: str) -> frozenset[str]:
    """See `store.revealed_models`."""
    with store.connect(db.path, read_only=True) as con:
        return frozenset(store.revealed_models(con, corpus, split))


@st.cache_data(max_entries=32, show_spinner=False)
def n_reveals(db: Database, corpus: str, split: str) -> int:
    """See `store.n_reveals`."""
    with store.connect(db.path, read_only=True) as con:
        return store.n_reveals(con, corpus, split)


def reveal(db: Database, corpus: str, splits: Sequence[str]) -> None:
    """Note that the test sets of these splits are looked at from now on."""
    with store.connect(db.path) as con:
        for name in splits:
            store.add_reveal(con, corpus, name)


def save_split(db: Database, name: str, split: dict[str, Side]) -> None:
    """See `store.add_split`."""
    with store.connect(db.path) as con:
        store.add_split(con, name, split)


def newest_fits(db: Database, corpus: str, split: str, before: str | None = None) -> pd.DataFrame:
    """See `store.newest`; the fit `before` counts as the newest of all."""
    table = fits(db)
    first = table["fit"] == before
    return store.newest(pd.concat([table[first], table[~first]]), corpus, split)


def newest_place(db: Database) -> dict[str, str]:
    """Corpus and split of the newest fit that leaves no family out; empty where there is none."""
    table = fits(db)
    table = table[~table["stale"] & ~table["split"].str.startswith(WITHOUT)]
    return {} if table.empty else {key: str(table.iloc[0][key]) for key in ("corpus", "split")}


@st.cache_data(max_entries=16, show_spinner=False)
def weights(db: Database, name: str) -> pd.DataFrame:
    """Salience by document. Columns: doc_id, byte_end, weight (lists, one entry a token)."""
    with store.connect(db.path, read_only=True) as con:
        table = store.weights(con, name)
    frame: pd.DataFrame = table.to_pandas()
    return frame


def family_of(db: Database) -> dict[str, str]:
    """Family of each model."""
    return {card.model: card.family for card in cards(db)}


def hover_models(db: Database, names: list[str], limit: int) -> list[int]:
    """Indices of a few models to compare at a glance: of each family the largest, trained longest.

    Then the smallest of each, as far as the limit goes.
    """
    known = {card.model: card for card in cards(db)}

    def size(i: int) -> tuple[int, int]:
        card = known[names[i]]
        return card.n_params or 0, card.train_tokens or 0

    chosen: list[int] = []
    for pick in (max, min):
        for family in sorted({known[name].family for name in names}):
            chosen.append(
                pick((i for i, n in enumerate(names) if known[n].family == family), key=size)
            )
    return list(dict.fromkeys(chosen))[:limit]
