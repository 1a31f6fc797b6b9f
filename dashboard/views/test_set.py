"""The test set on a page: hidden behind a button, then shown with how often it was looked at."""

from collections.abc import Mapping

import pandas as pd
import streamlit as st

from csvcore.records import Fit, Side
from dashboard.queries import database
from dashboard.queries.database import Database
from dashboard.widgets import text as controls

WHY = (
    "Whoever chooses methods or splits by test errors fits the test set too, so choose by "
    "validation first; every look is counted."
)
SHOWS = "Shows the errors on test models, their points and accuracies, on every page."


def gate(db: Database, corpus: str, split: str, fits: pd.DataFrame) -> None:
    """The button that reveals the test set of a split to these fits, or the count of reveals.

    Args:
        db: the database.
        corpus: whose fits.
        split: whose test models.
        fits: some rows of `data.fits`; nothing is drawn if none of them has test models.
    """
    tested = fits[fits["n_test"].fillna(0) > 0]
    if tested.empty:
        return
    looked = _looked(database.n_reveals(db, corpus, split))
    if tested["revealed"].all():
        st.caption(f":material/visibility: {looked}")
        return
    n_models, n_fits = int(tested["n_test"].max()), int((~tested["revealed"]).sum())
    _ask(
        db,
        corpus,
        [split],
        f"The {n_models} test models of split {controls.plain(split)} are hidden for {n_fits} "
        f"fit{'s' * (n_fits > 1)}. {looked}",
        "Reveal the test set",
    )


def gate_families(db: Database, corpus: str, table: pd.DataFrame) -> None:
    """The same for the splits that leave a family out; table as of `judged.left_out`."""
    waiting = sorted(table.loc[~table["revealed"], "split"].unique())
    counts = {split: database.n_reveals(db, corpus, split) for split in table["split"].unique()}
    looks = f"Their test sets have been looked at {sum(counts.values())} times in all."
    if not waiting:
        st.caption(f":material/visibility: {looks}")
        return
    text = f"The families left out are the test sets of {len(waiting)} splits, hidden too. {looks}"
    _ask(db, corpus, waiting, text, "Reveal the families left out")


def gate_mixes(db: Database, corpus: str, split: str) -> None:
    """The same for mixes whose test errors are hidden: they are newer than the last reveal."""
    looked = _looked(database.n_reveals(db, corpus, split))
    text = f"The test errors of these mixes are hidden. {looked}"
    _ask(db, corpus, [split], text, "Reveal the test errors")


def error_metrics(fit: Fit) -> None:
    """Error and noise floor of a fit, on test or, while that is hidden, on validation models."""
    side = "test" if "test" in fit.mse else "validation"
    st.metric(
        f"{side.capitalize()} MSE",
        controls.scientific(fit.mse.get(side)),
        help=f"Mean squared error of the predicted accuracy of the {side} models.",
    )
    st.metric(
        "Noise floor",
        controls.scientific(fit.noise_floor.get(side)),
        help="The error that the binomial noise of the accuracies alone would leave.",
    )


def _looked(times: int) -> str:
    how_often = {0: "never been looked at", 1: "been looked at once"}
    often = how_often.get(times, f"been looked at {times} times")
    return f"The test set of this split has {often}."


def _ask(db: Database, corpus: str, splits: list[str], text: str, label: str) -> None:
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        st.markdown(f":material/visibility_off: {text} {WHY}", width="stretch")
        if st.button(label, key=f"reveal-{label}", icon=":material/visibility:", help=SHOWS):
            database.reveal(db, corpus, splits)
            st.rerun()


def unseen(
    db: Database, corpus: str | None, sides: Mapping[str, Side], name: str
) -> frozenset[str]:
    """Models whose accuracies a page about a split hides: its test models, and the side bar's.

    Args:
        db: the database.
        corpus: of the side bar.
        sides: the split that the page shows, stored or not.
        name: of that split; models revealed under it are no secret.
    """
    tested = frozenset(model for model, side in sides.items() if side == "test")
    if corpus is None:
        return tested
    known = database.revealed_models(db, corpus, name)
    chosen = controls.chosen("split")
    others = database.hidden_models(db, corpus, chosen) if chosen else frozenset()
    return (tested - known) | others
