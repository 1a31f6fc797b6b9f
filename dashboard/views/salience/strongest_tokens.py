"""The table of salient tokens."""

import numpy as np
import pandas as pd
import streamlit as st

from dashboard.queries.fit_tokens import FitTokens
from dashboard.views.salience import controls, position
from dashboard.views.salience.colouring import Coloured
from dashboard.views.salience.position import Position
from dashboard.widgets import figure, state, text

STRONGEST = 200
CONTEXT = 40  # characters before and after a token
SHORT = 60  # characters of a token in a table


def strongest(
    texts: FitTokens, docs: list[int], coloured: Coloured, n: int = STRONGEST
) -> pd.DataFrame:
    """Return the cells of these documents with the largest absolute values, largest first.

    Columns: before, text, after, value, weight, source, doc_id, token (its cell in the document).
    """
    spans = [np.arange(texts.first_cell[i], texts.first_cell[i + 1]) for i in docs]
    cells = np.concatenate(spans)
    largest = cells[np.argsort(-np.abs(coloured.cells[cells]), kind="stable")[:n]]
    weight = texts.cells.mean(texts.weight)
    rows = []
    for cell in largest.tolist():
        i = texts.doc_of(cell)
        doc, at, word = texts.docs[i], int(texts.cell_at[cell]), texts.cells.text[cell]
        end = at + len(word)
        rows.append(
            {
                "before": doc.text[max(0, at - CONTEXT) : at],
                "text": word[:SHORT],
                "after": doc.text[end : end + CONTEXT],
                "value": float(coloured.cells[cell]),
                "weight": float(weight[cell]),
                "source": doc.source,
                "doc_id": doc.doc_id,
                "token": cell - int(texts.first_cell[i]),
            }
        )
    return pd.DataFrame(rows)


def show(texts: FitTokens, ordered: list[int], every: list[int], coloured: Coloured) -> None:
    """Draw the salient tokens of the documents; a selected row selects its token in the text.

    Args:
        texts: the texts.
        ordered: documents as they are read.
        every: those of the sources, whatever document is jumped to.
        coloured: the values.
    """
    table = strongest(texts, every, coloured)
    n_jumps = state.N_JUMPS.get(0)
    key = f"strongest-{n_jumps}"  # a new one after a jump, without a ticked row

    def jump() -> None:
        rows = state.rows(key)
        if rows:
            chosen = table.iloc[rows[0]]
            go_to(texts, ordered, Position(str(chosen["doc_id"]), int(chosen["token"])))
            state.N_JUMPS.set(n_jumps + 1)

    st.subheader("Salient tokens", divider="gray")
    title = "weight" if coloured.scale.name == "weight" else "value"
    figure.show_table(
        table.drop(columns="weight") if title == "weight" else table,
        height=300, key=key, on_select=jump, selection_mode="single-row",
        column_config={
            "value": st.column_config.NumberColumn(title, format="%.3f"),
            "weight": st.column_config.NumberColumn(format="%.3f"),
        },
    )  # fmt: skip
    st.caption(
        f"{text.plain(coloured.scale.name)}: {coloured.scale.unit}. Select a row to see the "
        "token in its text."
    )


def go_to(texts: FitTokens, ordered: list[int], target: Position) -> None:
    """Select a token; jump to its document if the text does not reach it soon."""
    at = texts.index(target.doc_id)
    before = ordered[: ordered.index(at)] if at in ordered else None
    if before is None or sum(texts.n_cells(i) for i in before) > position.STEP:
        state.DOCUMENTS.set([target.doc_id])
    controls.pick(target)
