"""The button that reveals a test set, and the number of reveals."""

from collections.abc import Mapping

import pandas as pd
import streamlit as st

from csvcore.records import Fit, Side
from dashboard.queries import access, database, edits
from dashboard.queries.database import Database
from dashboard.widgets import state, text

WHY = (
    "Choosing by test error overfits the test set: choose by validation error first. Every reveal "
    "is counted and cannot be taken back; it holds for this corpus and split and the fits so far."
)
SHOWN_USERS = 5  # who revealed a test set, the last ones
SHOWS = "Shows errors, points and accuracies of the test models on every page."


def gate(db: Database, corpus: str, split: str, fits: pd.DataFrame) -> None:
    """Draw the button that reveals the test set of a split to these fits, or the count of reveals.

    Args:
        db: the database.
        corpus: whose fits.
        split: whose test models.
        fits: rows of `database.fits`; nothing is drawn if none of them has test models.
    """
    tested = fits[fits["n_test"].fillna(0) > 0]
    if tested.empty:
        return
    count = _count(db, corpus, split)
    if tested["revealed"].all():
        st.caption(f":material/visibility: {count}")
        return
    n_models, n_fits = int(tested["n_test"].max()), int((~tested["revealed"]).sum())
    _ask(
        db,
        corpus,
        [split],
        f"The {n_models} test models of split {text.plain(split)} are hidden for {n_fits} "
        f"fit{'s' * (n_fits > 1)}. {count}",
        "Reveal the test set",
    )


def gate_families(db: Database, corpus: str, table: pd.DataFrame) -> None:
    """Draw the same for leave-one-family-out splits; table from `comparisons.left_out`."""
    waiting = sorted(table.loc[~table["revealed"], "split"].unique())
    counts = {split: database.n_reveals(db, corpus, split) for split in table["split"].unique()}
    total = f"Their test sets were revealed {sum(counts.values())} times in total."
    if not waiting:
        st.caption(f":material/visibility: {total}")
        return
    message = (
        f"The families left out are the test sets of {len(waiting)} splits, hidden too. {total}"
    )
    _ask(db, corpus, waiting, message, "Reveal the families left out")


def gate_mixes(db: Database, corpus: str, split: str) -> None:
    """Draw the same for mixes that are newer than the last reveal."""
    count = _count(db, corpus, split)
    message = f"The test errors of these mixes are hidden. {count}"
    _ask(db, corpus, [split], message, "Reveal the test errors")


def gate_capabilities(db: Database, corpus: str, split: str) -> None:
    """Draw the same for factors that are newer than the last reveal."""
    message = f"The test errors of these factors are hidden. {_count(db, corpus, split)}"
    _ask(db, corpus, [split], message, "Reveal the test errors")


def error_metrics(fit: Fit) -> None:
    """Draw error and noise floor of a fit, on test or, while hidden, validation models."""
    side = "test" if "test" in fit.mse else "validation"
    st.metric(
        f"{side.capitalize()} MSE",
        text.scientific(fit.mse.get(side)),
        help=f"Shows the mean squared error of the accuracy predicted for the {side} models.",
    )
    st.metric(
        "Noise floor",
        text.scientific(fit.noise_floor.get(side)),
        help="Shows the error that binomial noise of the accuracies alone leaves.",
    )


def _count(db: Database, corpus: str, split: str) -> str:
    times = database.n_reveals(db, corpus, split)
    how_often = {0: "never revealed", 1: "revealed once"}
    often = how_often.get(times, f"revealed {times} times")
    users = database.revealers(db, corpus, split)
    by = f", by {', '.join(users[:SHOWN_USERS])}" if users else ""
    return f"Test set of this split: {often}{text.plain(by)}."


def _ask(db: Database, corpus: str, splits: list[str], message: str, label: str) -> None:
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        st.markdown(f":material/visibility_off: {message} {WHY}", width="stretch")
        if st.button(label, key=f"reveal-{label}", icon=":material/visibility:", help=SHOWS,
            disabled=access.locked(db)):  # fmt: skip
            edits.reveal(db, corpus, splits)
            st.rerun()


def hidden(
    db: Database, corpus: str | None, sides: Mapping[str, Side], name: str
) -> frozenset[str]:
    """Return the models whose accuracies are hidden: test models of a split and of the side bar's.

    Args:
        db: the database.
        corpus: of the side bar.
        sides: the split that the page shows, stored or not.
        name: of that split; models revealed under it are shown.
    """
    tested = frozenset(model for model, side in sides.items() if side == "test")
    if corpus is None:
        return tested
    revealed = database.revealed_models(db, corpus, name)
    chosen = state.SPLIT.find()
    others = database.hidden_models(db, corpus, chosen) if chosen else frozenset()
    return (tested - revealed) | others
