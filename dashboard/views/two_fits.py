"""Two fits side by side: settings, predictions, weights, and the tokens that changed most."""

import pandas as pd
import streamlit as st

from csvcore.analysis.two_fits import agreement_sentence, error_sentence
from csvcore.figures import two_fits as figures
from csvcore.figures.tokens import visible
from csvcore.frames import TwoFits
from dashboard.queries import two_fits
from dashboard.queries.database import Database
from dashboard.widgets import address, figure, state, text

MOST = 200  # tokens of the table
HEIGHT = 320  # pixels of a table
NUMBER = {name: st.column_config.NumberColumn(name.upper(), format="%.3f") for name in ("a", "b")}


def choose(table: pd.DataFrame, preferred: str | None) -> tuple[str, str]:
    """Choose fits A and B; at first the preferred one and one whose weights compare with it.

    Args:
        table: from `fit_list.ordered`.
        preferred: id of a fit, or None.
    """
    names = table["fit"].tolist()
    first = preferred if preferred in names else names[0]
    row = table.set_index("fit").loc[first]
    here, task = table["corpus"] == row["corpus"], table["task"] == row["task"]
    alike = [
        here & task & (table["method"] == row["method"]),
        here & task & table["method"].isin(("csv", "label-token")),
        here & task,
        here,
        table["fit"] != first,
    ]
    second = next(
        (name for mask in alike for name in table.loc[mask, "fit"] if name != first), first
    )
    chosen = []
    for column, title, key, fit in zip(
        st.columns(2), ("Fit A", "Fit B"), (state.FIT_A, state.FIT_B), (first, second), strict=True
    ):
        name = address.choose(
            column.selectbox, title, text.first(names, fit), key=key,
            help="Sets one of the two fits that are compared; pinned ones come first.",
        )  # fmt: skip
        told = table[table["fit"] == name].iloc[0]
        parts = [told["name"], told["settings"], told["created"].strftime("%Y-%m-%d %H:%M UTC")]
        column.caption(text.plain("; ".join(part for part in parts if part)))
        chosen.append(str(name))
    return chosen[0], chosen[1]


def show(db: Database, a: str, b: str) -> None:
    """Draw all differences of two fits."""
    found = two_fits.side_by_side(db, a, b)
    st.subheader("Settings that differ", divider="gray")
    if found.settings.empty:
        st.caption("All settings are equal.")
    else:
        figure.show_table(found.settings, column_config={"a": "A", "b": "B"})
    left, right = st.columns(2)
    with left:
        st.subheader("Predictions", divider="gray")
        _predictions(found)
    with right:
        st.subheader("Weights", divider="gray")
        _weights(found)
    if found.weights is not None:
        st.subheader("Tokens that changed most", divider="gray")
        _tokens(found.weights)


def _predictions(found: TwoFits) -> None:
    if found.errors is not None:
        st.markdown(f"**{text.plain(error_sentence(found.errors))}**")
    if found.predictions.empty:
        st.caption("The fits have no model in common.")
        return
    figure.show(
        figures.predictions_figure(found.predictions),
        found.predictions,
        key="two-predictions",
        name=f"predictions-{found.a.fit}-{found.b.fit}",
        alt="Accuracy predicted by fit B over that by fit A, a point for each model",
    )
    with st.expander("Models, largest difference first"):
        figure.show_table(
            found.predictions,
            height=HEIGHT,
            column_config=NUMBER
            | {
                name: st.column_config.NumberColumn(format="%.3f")
                for name in ("accuracy", "difference")
            },
        )
    st.caption("Hidden test models are left out until the test sets of both fits are revealed.")


def _weights(found: TwoFits) -> None:
    if found.weights is None or found.agreement is None:
        st.caption(f"Weights are not compared: {text.plain(str(found.why_not))}.")
        return
    st.markdown(f"**{text.plain(agreement_sentence(found.agreement))}**")
    figure.show(
        figures.weights_figure(found.weights),
        found.weights,
        key="two-weights",
        name=f"weights-{found.a.fit}-{found.b.fit}",
        alt="Weight in fit B over that in fit A, a point for each token",
    )
    n_drawn = len(figures.drawn_weights(found.weights))
    if n_drawn < len(found.weights):
        st.caption(
            f"Drawn: the {figures.HALF:,} tokens that differ most and {n_drawn - figures.HALF:,} "
            "others; the CSV has all."
        )


def _tokens(weights: pd.DataFrame) -> None:
    table = weights.head(MOST)
    figure.show_table(
        table.assign(text=table["text"].map(visible)),
        height=HEIGHT,
        column_config=NUMBER | {"difference": st.column_config.NumberColumn(format="%+.3f")},
    )
    st.caption(
        f"The {len(table):,} largest differences A - B of {len(weights):,}. Weights have a mean "
        "absolute value of 1; where the fits cut the text differently, the common pieces are "
        "compared."
    )
    figure.csv_button(table, "tokens-that-changed", "Downloads these tokens.")
