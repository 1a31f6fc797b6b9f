"""The side bar's choices for all pages: corpus, split, task and CSV fit."""

from dataclasses import dataclass

import pandas as pd
import streamlit as st

from dashboard.queries import database
from dashboard.queries.database import Database
from dashboard.widgets import address, login, state, text

NEWEST = "newest"
HELP = {
    state.CORPUS: "Sets the documents whose losses every page uses.",
    state.SPLIT: "Sets the train, validation and test models on every page.",
    state.TASK: "Sets the benchmark whose accuracy every page predicts.",
    state.FIT: "Sets the CSV fit of this task that every page shows; newest first.",
}


@dataclass(frozen=True, slots=True)
class Choices:
    """Corpus, split and task; None where nothing of the kind is stored."""

    corpus: str | None
    split: str | None
    task: str | None


def choices() -> Choices:
    """Return the choices of this run."""
    return Choices(state.CORPUS.find(), state.SPLIT.find(), state.TASK.find())


def choose_next(key: state.Key[str], name: str) -> None:
    """Set another corpus, split or task from the next run on."""
    state.SIDEBAR_NEXT.keep({})[key.name] = name


def rewrite_address() -> None:
    """Write the choices into the address again in the next run.

    A switch of the page empties it, and cannot name what is bound to a control.
    """
    state.REWRITE_ADDRESS.set(True)


def show() -> dict[str, str]:
    """Draw corpus, split, task and fit; the address line restores them.

    Returns their values as parameters of an address, the newest fit by its id.

    Where the address names none, corpus and split are those of the newest fit. They are listed
    first, since an address without a name means the first option; tasks keep the order of import.
    """
    db = database.database()
    options = {
        state.CORPUS: database.corpora(db)["corpus"].tolist(),
        state.SPLIT: database.splits(db),
        state.TASK: database.imported_tasks(db),
    }
    defaults = database.newest_corpus_and_split(db)
    if state.SIDEBAR_DEFAULTS.get(defaults) != defaults:
        rewrite_address()  # the first options have changed
    state.SIDEBAR_DEFAULTS.set(defaults)
    if state.REWRITE_ADDRESS.pop(False):
        for key in state.SIDEBAR:
            key.rewrite()
    for name, value in state.SIDEBAR_NEXT.pop({}).items():
        state.Key[str](name).set(value)
    with st.sidebar:
        for key, names in options.items():
            if names:
                address.choose(
                    st.selectbox, key.name.capitalize(), text.first(names, defaults.get(key.name)),
                    key=key, help=HELP[key],
                )  # fmt: skip
        parameters = {key.name: key.find() for key in options} | {state.FIT.name: _fit(db)}
    login.show(db)
    return {key: value for key, value in parameters.items() if value is not None}


def fits(db: Database) -> pd.DataFrame:
    """Return the newest fit of each task and method on the chosen corpus and split.

    For CSV on the chosen task it is the chosen fit. Columns: see `database.fits`.
    """
    chosen = choices()
    if chosen.corpus is None or chosen.split is None:
        return database.fits(db).head(0)
    return database.newest_fits(db, chosen.corpus, chosen.split, state.FIT.find())


def csv_fits(db: Database) -> pd.DataFrame:
    """Return all CSV fits on the chosen corpus and split as it is now, newest first."""
    table, chosen = database.fits(db), choices()
    current = (table["corpus"] == chosen.corpus) & (table["split"] == chosen.split)
    return table[current & (table["method"] == "csv") & ~table["stale"]]


def _fit(db: Database) -> str | None:
    """Choose a fit of the task and show its settings; return the id of the newest."""
    table = csv_fits(db)
    table = table[table["task"] == state.TASK.find()].set_index("fit")
    if table.empty:
        state.FIT.drop()
        return None
    newest, *_ = names = [str(name) for name in table.index]
    if state.FIT.get(NEWEST) not in (NEWEST, *names):
        state.FIT.set(NEWEST)  # of another task: set here, it leaves the address too
    options = [NEWEST, *names]
    chosen = address.choose(st.selectbox, "Fit", options, key=state.FIT, help=HELP[state.FIT])
    row = table.iloc[names.index(newest if chosen == NEWEST else chosen)]
    settings = text.settings_of(row["config"])
    st.caption(text.plain(f"{settings}; {row['created'].strftime('%Y-%m-%d %H:%M')} UTC"))
    return newest
