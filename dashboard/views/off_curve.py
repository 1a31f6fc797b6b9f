"""The view that takes a model's place off the curve apart, down to the token in its text."""

from html import unescape

import pandas as pd
import streamlit as st

from csvcore.figures import comparison
from csvcore.methods import label, weighted
from dashboard.queries import attribution, database
from dashboard.queries.database import Database
from dashboard.views.salience import controls
from dashboard.widgets import address as links
from dashboard.widgets import figure, text

SALIENCE = "dashboard/pages/salience.py"


def clicked(method: str) -> None:
    """Take over the model that was clicked on a curve; called when its selection changes."""
    for point in st.session_state[f"curve-{method}"]["selection"]["points"]:
        if point.get("customdata"):
            st.session_state["why-method"] = method
            st.session_state["why-model"] = unescape(str(point["customdata"][0]))


@st.fragment
def off_the_curve(db: Database, fits: pd.DataFrame) -> None:
    """Choose a model of one of these fits, by method, and see what its losses add to its score.

    The choice is `why-method` and `why-model` in the address and in the session's state.
    """
    methods = [name for name in weighted() if name in fits.index]
    left, right = st.columns([1, 2])
    method = links.choose(
        left.selectbox,
        "Curve",
        methods,
        format_func=label,
        key="why-method",
        help="The method whose weights and law the model is held against.",
    )
    fit = database.fit(db, str(fits.loc[method, "fit"]))
    apart = sorted(fit.predictions, key=lambda one: -abs(one.predicted - one.accuracy))
    names = [one.model for one in apart]
    if st.session_state.get("why-model") not in names:  # of another method or a hidden test model
        st.session_state.pop("why-model", None)
    model = links.choose(
        right.selectbox,
        "Model, farthest from the curve first",
        names,
        key="why-model",
        help="Or click a point of a curve above.",
    )
    if model is None:
        return
    place = next(one for one in apart if one.model == model)
    found = attribution.off_curve(db, fit.fit, model)
    better = found.score < found.on_curve
    st.markdown(
        f"{text.plain(model)} scores {found.score:.4f}; at its accuracy of "
        f"{place.accuracy:.3f} the curve has {found.on_curve:.4f} nats per character, and for its "
        f"score it says {place.predicted:.3f}. It loses **{'less' if better else 'more'}** on "
        "the weighted text than models of its accuracy usually do. Where:"
    )
    columns = st.columns(2)
    with columns[0]:
        figure.figure(
            comparison.added_bars(found.by_source),
            found.by_source,
            key="why-sources",
            alt=f"What each source adds to the score of {model}",
            name=f"off-the-curve-{model}",
        )
    with columns[1]:
        figure.table(
            found.by_document.sort_values("added", key=abs, ascending=False).head(50),
            height=260,
            column_config={"added": st.column_config.NumberColumn(format="%.5f")},
        )
    st.caption(
        "In nats per character, above 0 where the model does worse than expected; the parts add up "
        "to the difference of the two scores. Expected is a line through all models of the fit."
    )
    chosen = figure.table(
        found.by_token,
        height=300,
        key="why-tokens",
        on_select="rerun",
        selection_mode="single-row",
        column_config={
            name: st.column_config.NumberColumn(format=shape)
            for name, shape in (
                ("weight", "%.2f"),
                ("nll", "%.3f"),
                ("expected", "%.3f"),
                ("added", "%.5f"),
            )
        },
    )
    rows = chosen["selection"]["rows"]
    go = st.button(
        "Show the token in its text",
        disabled=not rows,
        help="Select a row of the table first; opens the Salience page there.",
        icon=":material/format_ink_highlighter:",
    )
    if rows and go:
        token = found.by_token.iloc[rows[0]]
        by_doc = found.by_document.set_index("doc_id")["source"]
        document = str(token["doc_id"])
        address = controls.open_at(str(by_doc[document]), document, int(token["token"]))
        st.switch_page(SALIENCE, query_params=address)
