"""What the side bar chooses for all pages: corpus, split, task, and which fit of CSV is shown."""

import pandas as pd
import streamlit as st

from dashboard.queries import database
from dashboard.queries.database import Database
from dashboard.widgets import address, text

# Of the session's state: choices to come, those of the newest fit, whether the address lacks any.
NEXT, USUAL, ANEW = "side bar next", "usual place", "address anew"
NEWEST = "newest"
HELP = {
    "corpus": "The documents whose losses are weighed, on every page.",
    "split": "Which models train, validate and test, on every page.",
    "task": "The benchmark whose accuracy is predicted, on every page.",
    "fit": "Which fit by CSV is shown of this task, on every page; the newest is listed first.",
}


def choose_next(key: str, name: str) -> None:
    """Let the side bar show another corpus, split or task from the next run on."""
    st.session_state.setdefault(NEXT, {})[key] = name


def write_anew() -> None:
    """Let the choices be written into the address again in the next run.

    A switch of the page empties it, and cannot name what is bound to a control.
    """
    st.session_state[ANEW] = True


def show() -> None:
    """Corpus, split, task and fit, chosen once for all pages; the address line restores them.

    Where the address names none, corpus and split are those of the newest fit: they are listed
    first, since what stands first is what an address without a name means.
    """
    source = database.database()
    choices = {
        "corpus": database.corpora(source)["corpus"].tolist(),
        "split": database.splits(source),
        "task": [task.task for task in database.tasks(source)],
    }
    usual = database.newest_place(source)
    if st.session_state.get(USUAL, usual) != usual:
        write_anew()  # what was listed first is not any more
    st.session_state[USUAL] = usual
    if st.session_state.pop(ANEW, False):
        for key in HELP:
            if key in st.session_state:  # a control writes its value where that is set
                st.session_state[key] = st.session_state[key]
    st.session_state.update(st.session_state.pop(NEXT, {}))
    with st.sidebar:
        for key, names in choices.items():
            if names:
                address.choose(
                    *(st.selectbox, key.capitalize(), text.first(names, usual.get(key))),
                    key=key, help=HELP[key],
                )  # fmt: skip
        newest = _fit(source)
        named = {key: text.chosen(key) for key in choices} | {"fit": newest}
        address.copy_button({key: value for key, value in named.items() if value is not None})


def fits(db: Database) -> pd.DataFrame:
    """Of every task and method the newest fit on the side bar's corpus and split, as it is now.

    Of CSV on the side bar's task it is the fit chosen there. Columns: see `data.fits`.
    """
    table = database.fits(db)
    corpus, split = text.chosen("corpus"), text.chosen("split")
    if corpus is None or split is None:
        return table.head(0)
    return database.newest_fits(db, corpus, split, text.chosen("fit"))


def csv_fits(db: Database) -> pd.DataFrame:
    """Every fit by CSV on the side bar's corpus and split as it is now, newest first."""
    table = database.fits(db)
    here = (table["corpus"] == text.chosen("corpus")) & (table["split"] == text.chosen("split"))
    return table[here & (table["method"] == "csv") & ~table["stale"]]


def _fit(db: Database) -> str | None:
    """The choice among the fits of the task, and how the chosen one was made; the newest's id."""
    table = csv_fits(db)
    table = table[table["task"] == text.chosen("task")].set_index("fit")
    if table.empty:
        st.session_state.pop("fit", None)
        return None
    newest, *_ = names = [str(name) for name in table.index]
    if st.session_state.get("fit", NEWEST) not in (NEWEST, *names):
        st.session_state["fit"] = NEWEST  # of another task: set here, it leaves the address too
    chosen = address.choose(st.selectbox, "Fit", [NEWEST, *names], key="fit", help=HELP["fit"])
    at = names.index(newest if chosen == NEWEST else chosen)
    how = text.how_made(table["config"].iloc[at])
    when = table["created"].iloc[at].strftime("%Y-%m-%d %H:%M")
    st.caption(text.plain(f"{how}; {when} UTC"))
    return newest
