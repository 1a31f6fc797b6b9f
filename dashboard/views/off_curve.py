"""Contributions to a model's distance from the curve, down to the token in its text."""

from html import unescape

import pandas as pd
import streamlit as st

from csvcore.figures import comparison
from csvcore.methods import label, weighing
from csvcore.records import Fit, Prediction
from dashboard.queries import attribution, database
from dashboard.queries.attribution import OffCurve
from dashboard.queries.database import Database
from dashboard.views.salience import controls
from dashboard.widgets import address, boundary, figure, state, text

SALIENCE = "dashboard/pages/salience.py"
TOKENS = "why-tokens"
LARGE = 100_000_000  # characters times models, from which on contributions are made on demand
FORMATS = {"weight": "%.2f", "nll": "%.3f", "expected": "%.3f", "added": "%.5f"}


def clicked(method: str) -> None:
    """Choose the model that was clicked on a curve; called when its selection changes."""
    for point in state.curve(method).get({})["selection"]["points"]:
        if point.get("customdata"):
            state.CURVE_METHOD.set(method)
            state.CURVE_MODEL.set(unescape(str(point["customdata"][0])))


@st.fragment
@boundary.shown()
def show(db: Database, fits: pd.DataFrame) -> None:
    """Choose a model of one of these fits, by method, and draw the contributions to its score."""
    prediction, fit = _choose(db, fits)
    if prediction is None or not _wanted(fit):
        return
    parts = attribution.off_curve(db, fit.fit, prediction.model)
    side = "lower" if parts.score < parts.on_curve else "higher"
    st.markdown(
        f"{text.plain(prediction.model)}: score {parts.score:.4f}; the curve expects "
        f"{parts.on_curve:.4f} nats per character at accuracy {prediction.accuracy:.3f} (predicted "
        f"accuracy {prediction.predicted:.3f}). Its weighted loss is **{side}** than its peers'. "
        "Contributions:"
    )
    left, right = st.columns(2)
    with left:
        figure.show(
            comparison.added_bars(parts.by_source),
            parts.by_source,
            key="why-sources",
            alt=f"Contribution of each source to the score of {prediction.model}",
            name=f"off-the-curve-{prediction.model}",
        )
    with right:
        figure.show_table(
            parts.by_document.sort_values("added", key=abs, ascending=False).head(50),
            height=260,
            column_config={"added": st.column_config.NumberColumn(format="%.5f")},
        )
    st.caption(
        "In nats per character, above 0 where the model does worse than expected; contributions "
        "sum to the difference of the two scores. Expected: a line through all models of the fit."
    )
    _tokens(parts)


def _choose(db: Database, fits: pd.DataFrame) -> tuple[Prediction | None, Fit]:
    """Choose a method and one of its models; return the model's prediction and the fit."""
    left, right = st.columns([1, 2])
    method = address.choose(
        left.selectbox,
        "Curve",
        [name for name in weighing() if name in fits.index],
        format_func=label,
        key=state.CURVE_METHOD,
        help="Sets the method whose weights and law the model is compared with.",
    )
    fit = database.fit(db, str(fits.loc[method, "fit"]))
    ordered = sorted(fit.predictions, key=lambda entry: -abs(entry.predicted - entry.accuracy))
    by_model = {entry.model: entry for entry in ordered}
    if state.CURVE_MODEL.find() not in by_model:  # of another method, or a hidden test model
        state.CURVE_MODEL.drop()
    model = address.choose(
        right.selectbox,
        "Model (largest error first)",
        list(by_model),
        key=state.CURVE_MODEL,
        help="Sets the model to explain; a click on a point of a curve does the same.",
    )
    return by_model.get(model), fit


def _wanted(fit: Fit) -> bool:
    """Ask before the losses of a large fit are read; those of others are read at once."""
    if (fit.n_chars or 0) * len(fit.predictions) < LARGE:
        return True
    return st.toggle(
        "Show what adds to its distance",
        key="why-large",
        help=f"Reads the losses of {len(fit.predictions):,} models on {fit.n_chars:,} characters, "
        "which takes some seconds the first time.",
    )


def _tokens(parts: OffCurve) -> None:
    """Draw the tokens of the largest contributions, and a button that shows one in its text."""
    table = figure.show_table(
        parts.by_token,
        height=300,
        key=TOKENS,
        on_select="rerun",
        selection_mode="single-row",
        column_config={
            name: st.column_config.NumberColumn(format=shape) for name, shape in FORMATS.items()
        },
    )
    rows = table["selection"]["rows"]
    go = st.button(
        "Show the token in its text",
        disabled=not rows,
        help="Opens the selected row's token on the Salience page.",
        icon=":material/format_ink_highlighter:",
    )
    if rows and go:
        token = parts.by_token.iloc[rows[0]]
        source_of = parts.by_document.set_index("doc_id")["source"]
        document = str(token["doc_id"])
        parameters = controls.open_at(str(source_of[document]), document, int(token["token"]))
        st.switch_page(SALIENCE, query_params=parameters)
