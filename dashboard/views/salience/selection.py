"""The losses of all models on the selected tokens."""

import streamlit as st

from csvcore.figures import law
from csvcore.figures.token_heatmap import short
from dashboard.queries import attribution, figures
from dashboard.queries.database import Database
from dashboard.queries.fit_tokens import FitTokens
from dashboard.views.salience.position import Screen
from dashboard.widgets import figure, text


def show(db: Database, texts: FitTokens, screen: Screen, selected: tuple[int, int]) -> None:
    """Draw the selected text and its loss in every model."""
    start, end = selected
    first, last = screen.position(start), screen.position(end)
    if start == end:
        title = f"Token {first.cell}"
    elif first.doc_id == last.doc_id:
        title = f"Tokens {first.cell} to {last.cell}"
    else:
        title = f"Token {first.cell} to token {last.cell} of {text.plain(last.doc_id)}"
    st.subheader(title)
    st.caption(f"Document {text.plain(first.doc_id)}")
    cells = screen.cells[start : end + 1]
    st.code(
        short("".join(texts.cells.text[cell] for cell in cells.tolist())),
        language=None,
    )
    table = attribution.selection_losses(db, texts, cells)
    figure.show(
        law.loss_bars(table, figures.colours(db)),
        table,
        key="bars",
        name=f"losses-{first}-{last}",
        alt="Loss of each model on the selection",
    )
    figure.show_table(
        table, height=240,
        column_config={"nll": st.column_config.NumberColumn("nll, nats", format="%.3f")},
    )  # fmt: skip
