"""What the side bar chooses for all pages: corpus, split, task, and which fit of CSV is shown."""

import pandas as pd
import streamlit as st

from dashboard import controls, data, links
from dashboard.data import Database

NEXT = "side bar next"  # of the session's state
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


def show() -> None:
    """Corpus, split, task and fit, chosen once for all pages.

    The address always names corpus, split and task, so that it shows the same tomorrow. Where it
    does not yet, corpus and split are those of the newest fit.
    """
    source = data.database()
    choices = {
        "corpus": data.corpora(source)["corpus"].tolist(),
        "split": data.splits(source),
        "task": [task.task for task in data.tasks(source)],
    }
    choices = {key: names for key, names in choices.items() if names}
    _name_all(choices, data.newest_place(source))
    st.session_state.update(st.session_state.pop(NEXT, {}))
    with st.sidebar:
        for key, names in choices.items():
            links.choose(
                *(st.selectbox, key.capitalize(), names),
                key=key, index=None, required=True, help=HELP[key],
            )  # fmt: skip
        newest = _fit(source)
        links.copy_button({} if newest is None else {"fit": newest})


def fits(source: Database) -> pd.DataFrame:
    """Of every task and method the newest fit on the side bar's corpus and split, as it is now.

    Of CSV on the side bar's task it is the fit chosen there. Columns: see `data.fits`.
    """
    table = data.fits(source)
    corpus, split = controls.chosen("corpus"), controls.chosen("split")
    if corpus is None or split is None:
        return table.head(0)
    return data.newest_fits(source, corpus, split, controls.chosen("fit"))


def _name_all(choices: dict[str, list[str]], usual: dict[str, str]) -> None:
    """Write into the address what it does not name, or names in vain, and begin anew with that."""
    lacking = {}
    for key, names in choices.items():
        links.missed(key, names.__contains__)  # noted before it is written over
        if controls.chosen(key) is None and st.query_params.get(key) not in names:
            lacking[key] = usual[key] if usual.get(key) in names else names[0]
    if lacking:
        st.query_params.update(lacking)
        st.rerun()


def _fit(source: Database) -> str | None:
    """The choice among the fits of CSV, and how the chosen one was made; returns the newest."""
    corpus, split, task = (controls.chosen(key) for key in ("corpus", "split", "task"))
    table = data.fits(source)
    own = table[
        (table["corpus"] == corpus)
        & (table["split"] == split)
        & (table["task"] == task)
        & (table["method"] == "csv")
        & ~table["stale"]
    ]
    if own.empty:
        st.session_state.pop("fit", None)
        return None
    names = [str(name) for name in own["fit"]]
    chosen = links.choose(st.selectbox, "Fit", [NEWEST, *names], key="fit", help=HELP["fit"])
    shown = names[0] if chosen == NEWEST else str(chosen)
    when = own["created"].iloc[names.index(shown)].strftime("%Y-%m-%d %H:%M")
    st.caption(controls.plain(f"{controls.how_made(data.fit(source, shown))}; {when} UTC"))
    return names[0]
