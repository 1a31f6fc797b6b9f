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
from csvcore.formats import loss_packs
from csvcore.records import Document, Fit, ModelCard, Replay, Split, Task
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


def command(source: Database, words: str) -> str:
    """A command on this database as Markdown, to be copied into a terminal."""
    return f"`csvcore --db {shlex.quote(str(source.path))} {words}`"


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
def corpora(source: Database) -> pd.DataFrame:
    """See `store.corpora`."""
    with store.connect(source.path, read_only=True) as db:
        return store.corpora(db)


@st.cache_data(max_entries=8, show_spinner=False)
def splits(source: Database) -> list[str]:
    """See `store.splits`."""
    with store.connect(source.path, read_only=True) as db:
        return store.splits(db)


@st.cache_data(max_entries=16, show_spinner=False)
def split(source: Database, name: str) -> dict[str, Split]:
    """See `store.split`."""
    with store.connect(source.path, read_only=True) as db:
        return store.split(db, name)


@st.cache_data(max_entries=8, show_spinner=False)
def tasks(source: Database) -> list[Task]:
    """See `store.tasks`."""
    with store.connect(source.path, read_only=True) as db:
        return store.tasks(db)


@st.cache_data(max_entries=8, show_spinner=False)
def cards(source: Database) -> list[ModelCard]:
    """See `store.models`."""
    with store.connect(source.path, read_only=True) as db:
        return store.models(db)


@st.cache_data(max_entries=8, show_spinner=False)
def models(source: Database, unseen: frozenset[str] = frozenset()) -> pd.DataFrame:
    """See `tables.models_table`; accuracies of models in `unseen` are missing (`hidden_models`)."""
    with store.connect(source.path, read_only=True) as db:
        found = store.models(db)
        scores = [entry for entry in store.accuracies(db) if entry.model not in unseen]
    return frames.models_table(found, scores)


@st.cache_data(max_entries=8, show_spinner=False)
def coverage(source: Database, corpus: str) -> dict[str, int]:
    """See `store.coverage`."""
    with store.connect(source.path, read_only=True) as db:
        return store.coverage(db, corpus)


def complete_runs(source: Database, corpus: str) -> dict[str, list[str]]:
    """Models with losses on every document, by their training run, in the order of their steps."""
    n_docs = len(documents(source, corpus))
    covered = coverage(source, corpus)
    found: dict[str, list[str]] = {}
    for card in sorted(cards(source), key=lambda one: (one.step or 0, one.model)):
        if covered.get(card.model) == n_docs:
            found.setdefault(run_name(card), []).append(card.model)
    return dict(sorted(found.items()))


@st.cache_data(max_entries=8, show_spinner=False)
def manifests(source: Database, corpus: str) -> pd.DataFrame:
    """How each model's losses on a corpus were made; a cell is empty where its pack did not say.

    Columns: model, documents, engine, dtype, prefix, rows, context, weights, created.
    """
    with store.connect(source.path, read_only=True) as db:
        found, covered = store.manifests(db, corpus), store.coverage(db, corpus)
    return pd.DataFrame(
        [
            {
                "model": model,
                "documents": covered.get(model, 0),
                "engine": made.get("engine"),
                "dtype": made.get("dtype"),
                "prefix": loss_packs.prefix_token(made),
                "rows": made.get("rows"),
                "context": str(made.get("context", "whole")),
                "weights": str(made.get("weights_sha256", ""))[:12],
                "created": made.get("created"),
            }
            for model, made in ((model, made or {}) for model, made in found.items())
        ]
    )


@st.cache_data(max_entries=8, show_spinner=False)
def have_one_unit(source: Database, corpus: str) -> bool:
    """See `store.have_one_unit`."""
    with store.connect(source.path, read_only=True) as db:
        return store.have_one_unit(db, corpus)


@st.cache_data(max_entries=4, show_spinner=False)
def documents(source: Database, corpus: str) -> list[Document]:
    """See `store.documents`."""
    with store.connect(source.path, read_only=True) as db:
        return store.documents(db, corpus)


@st.cache_data(max_entries=8, show_spinner=False)
def fits(source: Database) -> pd.DataFrame:
    """See `store.fits` and `hidden.fits`."""
    with store.connect(source.path, read_only=True) as db:
        return test_set.fits(db)


@st.cache_data(max_entries=32, show_spinner=False)
def fit(source: Database, name: str) -> Fit:
    """See `store.fit` and `hidden.fit`."""
    with store.connect(source.path, read_only=True) as db:
        return test_set.fit(db, name)


@st.cache_data(max_entries=32, show_spinner=False)
def predictions(source: Database, name: str) -> pd.DataFrame:
    """See `store.predictions` and `hidden.predictions`."""
    with store.connect(source.path, read_only=True) as db:
        return test_set.predictions(db, name)


@st.cache_data(max_entries=16, show_spinner=False)
def replay(source: Database, fit: str) -> Replay | None:
    """See `replays.read`."""
    return replays.read(source.path, fit)


@st.cache_data(max_entries=16, show_spinner=False)
def hidden_models(source: Database, corpus: str, split: str) -> frozenset[str]:
    """See `hidden.models`."""
    with store.connect(source.path, read_only=True) as db:
        return test_set.models(db, corpus, split)


@st.cache_data(max_entries=16, show_spinner=False)
def revealed_models(source: Database, corpus: str, split: str) -> frozenset[str]:
    """See `store.revealed_models`."""
    with store.connect(source.path, read_only=True) as db:
        return frozenset(store.revealed_models(db, corpus, split))


@st.cache_data(max_entries=32, show_spinner=False)
def n_reveals(source: Database, corpus: str, split: str) -> int:
    """See `store.n_reveals`."""
    with store.connect(source.path, read_only=True) as db:
        return store.n_reveals(db, corpus, split)


def reveal(source: Database, corpus: str, splits: Sequence[str]) -> None:
    """Note that the test sets of these splits are looked at from now on."""
    with store.connect(source.path) as db:
        for name in splits:
            store.add_reveal(db, corpus, name)


def save_split(source: Database, name: str, split: dict[str, Split]) -> None:
    """See `store.add_split`."""
    with store.connect(source.path) as db:
        store.add_split(db, name, split)


def newest_fits(
    source: Database, corpus: str, split: str, before: str | None = None
) -> pd.DataFrame:
    """See `store.newest`; the fit `before` counts as the newest of all."""
    table = fits(source)
    first = table["fit"] == before
    return store.newest(pd.concat([table[first], table[~first]]), corpus, split)


def newest_place(source: Database) -> dict[str, str]:
    """Corpus and split of the newest fit that leaves no family out; empty where there is none."""
    table = fits(source)
    table = table[~table["stale"] & ~table["split"].str.startswith(WITHOUT)]
    return {} if table.empty else {key: str(table.iloc[0][key]) for key in ("corpus", "split")}


@st.cache_data(max_entries=16, show_spinner=False)
def weights(source: Database, name: str) -> pd.DataFrame:
    """Salience by document. Columns: doc_id, byte_end, weight (lists, one entry a token)."""
    with store.connect(source.path, read_only=True) as db:
        table = store.weights(db, name)
    frame: pd.DataFrame = table.to_pandas()
    return frame


def family_of(source: Database) -> dict[str, str]:
    """Family of each model."""
    return {card.model: card.family for card in cards(source)}


def hover_models(source: Database, names: list[str], limit: int) -> list[int]:
    """Indices of a few models to compare at a glance: of each family the largest, trained longest.

    Then the smallest of each, as far as the limit goes.
    """
    known = {card.model: card for card in cards(source)}

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
