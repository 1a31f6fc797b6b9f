"""Sliders that reweight the sources of a CSV fit and refit its law."""

import streamlit as st

from csvcore.analysis.ablation import Refit
from csvcore.errors import FitError
from csvcore.figures import law
from csvcore.records import Fit
from dashboard.queries import attribution, figures
from dashboard.queries.database import Database
from dashboard.widgets import address, boundary, figure, state, text

LARGEST = 3.0  # factor of a source


def _is_factor(value: str) -> bool:
    """Return whether a slider can have the value of a parameter."""
    try:
        return 0 <= float(value) <= LARGEST
    except ValueError:
        return False


@st.fragment
@boundary.shown()
def show(db: Database, fit: Fit) -> None:
    """Draw a slider per source, and the errors and curve of the law refitted to the mix."""
    left, right = st.columns([1, 2])
    with left:
        factors = {
            source: address.keep(
                st.slider,
                source,
                min_value=0.0,
                max_value=LARGEST,
                value=1.0,
                step=0.1,
                key=state.mix(source),
                accepts=_is_factor,
                help="Multiplies this source's part of the score; its weights stay.",
            )
            for source in attribution.partial_scores(db, fit.fit).columns
        }
    with right:
        if not any(factors.values()):
            st.info("Raise a slider: a score needs at least one source.")
            return
        try:
            refitted = attribution.mixed_law(db, fit.fit, factors)
        except FitError as error:
            st.warning(f"No law fits this mix: {text.plain(str(error))}")
            return
        _errors(fit, refitted, changed=set(factors.values()) != {1.0})
        table = attribution.mixed_predictions(db, fit.fit, refitted)
        figure.show(
            law.sigmoid_figure(table, fit, figures.colours(db), refitted.law),
            table.drop(columns=["low", "high"]),
            key="mix-curve",
            name=f"mix-{fit.task}",
            alt=f"Accuracy on {fit.task} against the score of this mix, with the refitted law",
        )


def _errors(fit: Fit, refitted: Refit, changed: bool) -> None:
    with st.container(horizontal=True):
        for side, mse in refitted.mse.items():
            st.metric(
                f"{side} MSE",
                text.scientific(mse),
                delta=text.change(mse, fit.mse[side]) if changed else None,
                delta_color="inverse",
                help="Shows the error of the refitted law, with its change against the fit.",
            )
