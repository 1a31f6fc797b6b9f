"""Cached, read-only reads through `csvcore.store`; tables are cached, connections never.

Every read is keyed by the database file and its time of change, so a new fit shows at once.
"""

import os
import re
import shlex
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
    """The results database; changed tells one state of its file and log from another."""

    path: Path
    changed: store.Stamp


def database() -> Database:
    """Return the dashboard's database: $CSVCORE_DB, else csvcore.duckdb in the working folder.

    Raises:
        StoreError: it does not exist.
    """
    path = Path(os.environ.get(DATABASE_VARIABLE, "csvcore.duckdb")).resolve()
    stamp = store.stamp(path)
    if not stamp:
        raise StoreError(f"there is no database {path}; `csvcore --db {path} init --zoo` makes one")
    return Database(path, stamp)


def command(db: Database, words: str) -> str:
    """Return a command on this database as Markdown, for copying into a terminal."""
    line = f"csvcore --db {shlex.quote(str(db.path))} {words}"
    fence = "`" * (1 + max(map(len, re.findall("`+", line)), default=0))
    return f"{fence}{line}{fence}"


def model_folders() -> list[Path]:
    """Return the model folders named by $CSVCORE_MODELS, for collection from the page.

    These are named folders, and their subfolders, that have config.json and safetensors.
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
    """Return the entries of a folder; none if it cannot be read."""
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


@st.cache_data(max_entries=8, show_spinner=False)
def corpora(db: Database) -> pd.DataFrame:
    """Return `store.corpora`."""
    with store.connect(db.path, read_only=True) as con:
        return store.corpora(con)


@st.cache_data(max_entries=8, show_spinner=False)
def splits(db: Database) -> list[str]:
    """Return `store.splits`."""
    with store.connect(db.path, read_only=True) as con:
        return store.splits(con)


@st.cache_data(max_entries=16, show_spinner=False)
def split(db: Database, name: str) -> dict[str, Side]:
    """Return `store.split`."""
    with store.connect(db.path, read_only=True) as con:
        return store.split(con, name)


@st.cache_data(max_entries=8, show_spinner=False)
def tasks(db: Database) -> list[Task]:
    """Return `store.tasks`."""
    with store.connect(db.path, read_only=True) as con:
        return store.tasks(con)


@st.cache_data(max_entries=8, show_spinner=False)
def imported_tasks(db: Database) -> list[str]:
    """Return `store.imported_tasks`."""
    with store.connect(db.path, read_only=True) as con:
        return store.imported_tasks(con)


@st.cache_data(max_entries=8, show_spinner=False)
def cards(db: Database) -> list[ModelCard]:
    """Return `store.models`."""
    with store.connect(db.path, read_only=True) as con:
        return store.models(con)


@st.cache_data(max_entries=8, show_spinner=False)
def models(db: Database, hidden: frozenset[str]) -> pd.DataFrame:
    """Return `frames.models_table`, without the accuracies of hidden models (`hidden_models`)."""
    with store.connect(db.path, read_only=True) as con:
        return frames.models_table(store.models(con), test_set.accuracies(con, hidden))


@st.cache_data(max_entries=8, show_spinner=False)
def coverage(db: Database, corpus: str) -> dict[str, int]:
    """Return `store.coverage`."""
    with store.connect(db.path, read_only=True) as con:
        return store.coverage(con, corpus)


@st.cache_data(max_entries=8, show_spinner=False)
def complete_models(db: Database, corpus: str) -> list[str]:
    """Return `store.complete_models`."""
    with store.connect(db.path, read_only=True) as con:
        return store.complete_models(con, corpus)


def complete_runs(db: Database, corpus: str) -> dict[str, list[str]]:
    """Return the models with losses on every document by training run, in order of steps."""
    complete = set(complete_models(db, corpus))
    runs: dict[str, list[str]] = {}
    for card in sorted(cards(db), key=lambda card: (card.step or 0, card.model)):
        if card.model in complete:
            runs.setdefault(run_name(card), []).append(card.model)
    return dict(sorted(runs.items()))


def n_runs(db: Database) -> int:
    """Return the number of training runs."""
    return len({run_name(card) for card in cards(db)})


@st.cache_data(max_entries=8, show_spinner=False)
def manifests(db: Database, corpus: str) -> pd.DataFrame:
    """Return the collection settings of each model; a cell is empty where its pack has no manifest.

    Columns: model, documents, engine, dtype, prefix, rows, context, weights, created.
    """
    with store.connect(db.path, read_only=True) as con:
        stored, covered = store.manifests(con, corpus), store.coverage(con, corpus)
    return pd.DataFrame(
        [
            {
                "model": model,
                "documents": covered.get(model, 0),
                "engine": manifest.engine,
                "dtype": manifest.dtype,
                "prefix": manifest.prefix_token,
                "rows": manifest.rows,
                "context": str(manifest.context or WHOLE),
                "weights": manifest.short_weights,
                "created": manifest.created,
            }
            for model, manifest in ((model, entry or Manifest()) for model, entry in stored.items())
        ]
    )


@st.cache_data(max_entries=8, show_spinner=False)
def have_one_unit(db: Database, corpus: str) -> bool:
    """Return `store.have_one_unit`."""
    with store.connect(db.path, read_only=True) as con:
        return store.have_one_unit(con, corpus)


@st.cache_resource(max_entries=4, show_spinner=False)
def documents(db: Database, corpus: str) -> list[Document]:
    """Return `store.documents`."""
    with store.connect(db.path, read_only=True) as con:
        return store.documents(con, corpus)


@st.cache_data(max_entries=8, show_spinner=False)
def fits(db: Database) -> pd.DataFrame:
    """Return `test_set.fits`."""
    with store.connect(db.path, read_only=True) as con:
        return test_set.fits(con)


@st.cache_data(max_entries=32, show_spinner=False)
def fit(db: Database, name: str) -> Fit:
    """Return `test_set.fit`."""
    with store.connect(db.path, read_only=True) as con:
        return test_set.fit(con, name)


@st.cache_data(max_entries=32, show_spinner=False)
def predictions(db: Database, name: str) -> pd.DataFrame:
    """Return `test_set.predictions`."""
    with store.connect(db.path, read_only=True) as con:
        return test_set.predictions(con, name)


def predictions_with_error(db: Database, name: str) -> pd.DataFrame:
    """Return `predictions` with a column error, predicted less observed accuracy."""
    table = predictions(db, name)
    return table.assign(error=table["predicted"] - table["accuracy"])


@st.cache_data(max_entries=16, show_spinner=False)
def replay(db: Database, fit: str) -> Replay | None:
    """Return the replay of a fit; see `replays.read`."""
    return replays.read(db.path, fit)


@st.cache_data(max_entries=16, show_spinner=False)
def hidden_models(db: Database, corpus: str, split: str) -> frozenset[str]:
    """Return `test_set.models`."""
    with store.connect(db.path, read_only=True) as con:
        return test_set.models(con, corpus, split)


@st.cache_data(max_entries=16, show_spinner=False)
def revealed_models(db: Database, corpus: str, split: str) -> frozenset[str]:
    """Return `store.revealed_models`."""
    with store.connect(db.path, read_only=True) as con:
        return frozenset(store.revealed_models(con, corpus, split))


@st.cache_data(max_entries=32, show_spinner=False)
def n_reveals(db: Database, corpus: str, split: str) -> int:
    """Return `store.n_reveals`."""
    with store.connect(db.path, read_only=True) as con:
        return store.n_reveals(con, corpus, split)


@st.cache_data(max_entries=32, show_spinner=False)
def revealers(db: Database, corpus: str, split: str) -> list[str]:
    """Return `store.revealers`."""
    with store.connect(db.path, read_only=True) as con:
        return store.revealers(con, corpus, split)


def newest_fits(db: Database, corpus: str, split: str, before: str | None = None) -> pd.DataFrame:
    """Return `store.newest`, with the fit `before` as the newest of all."""
    table = fits(db)
    first = table["fit"] == before
    return store.newest(pd.concat([table[first], table[~first]]), corpus, split)


def newest_corpus_and_split(db: Database) -> dict[str, str]:
    """Return corpus and split of the newest fit that leaves no family out; empty without fits."""
    table = fits(db)
    table = table[~table["stale"] & ~table["split"].str.startswith(WITHOUT)]
    return {} if table.empty else {key: str(table.iloc[0][key]) for key in ("corpus", "split")}


def report(db: Database, name: str) -> str:
    """Return the report of a fit; see `test_set.report`."""
    return test_set.report(db.path, name)


def family_of(db: Database) -> dict[str, str]:
    """Return the family of each model."""
    return {card.model: card.family for card in cards(db)}


def hover_models(db: Database, names: list[str], limit: int) -> list[str]:
    """Return a few models to compare: the largest of each family, trained longest.

    Then the smallest of each, up to the limit.
    """
    by_name = {card.model: card for card in cards(db)}

    def size(name: str) -> tuple[int, int]:
        card = by_name[name]
        return card.n_params or 0, card.train_tokens or 0

    chosen: list[str] = []
    for pick in (max, min):
        for family in sorted({by_name[name].family for name in names}):
            chosen.append(pick((n for n in names if by_name[n].family == family), key=size))
    return list(dict.fromkeys(chosen))[:limit]
