"""The table of salient tokens: one by one, or all with the same text together."""

from dataclasses import asdict

import numpy as np
import pandas as pd
import streamlit as st

from csvcore.analysis.token_types import by_type
from csvcore.figures.tokens import visible
from csvcore.records import Ints
from dashboard.queries.fit_tokens import FitTokens
from dashboard.views.salience import controls, position
from dashboard.views.salience.colouring import Coloured
from dashboard.views.salience.position import Position
from dashboard.widgets import address, figure, state, text

STRONGEST = 200
CONTEXT = 40  # characters before and after a token
SHORT = 60  # characters of a token in a table
TOKENS, TYPES = "single tokens", "token types"
USUAL, RAREST = 3, 1_000_000  # occurrences of a type: at least so many, and the most to ask for


def _cells(texts: FitTokens, docs: list[int]) -> Ints:
    spans = [np.arange(texts.first_cell[i], texts.first_cell[i + 1]) for i in docs]
    return np.concatenate(spans)


def _context(texts: FitTokens, cell: int) -> dict[str, object]:
    """Return a cell's text with what stands around it, and its position."""
    i = texts.doc_of(cell)
    doc, at, word = texts.docs[i], int(texts.cell_at[cell]), texts.cells.text[cell]
    end = at + len(word)
    return {
        "before": doc.text[max(0, at - CONTEXT) : at],
        "text": word[:SHORT],
        "after": doc.text[end : end + CONTEXT],
        "source": doc.source,
        "doc_id": doc.doc_id,
        "token": cell - int(texts.first_cell[i]),
    }


def strongest(
    texts: FitTokens, docs: list[int], coloured: Coloured, n: int = STRONGEST
) -> pd.DataFrame:
    """Return the cells of these documents with the largest absolute values, largest first.

    Columns: before, text, after, value, weight, source, doc_id, token (its cell in the document).
    """
    cells = _cells(texts, docs)
    largest = cells[np.argsort(-np.abs(coloured.cells[cells]), kind="stable")[:n]]
    table = pd.DataFrame([_context(texts, cell) for cell in largest.tolist()])
    table.insert(3, "value", coloured.cells[largest])
    table.insert(4, "weight", texts.cells.mean(texts.weight)[largest])
    return table


def types(texts: FitTokens, docs: list[int], coloured: Coloured, least: int) -> pd.DataFrame:
    """Return the token types of these documents, the largest absolute mean value first.

    Columns: text, count, mean, median, spread, share (percent of the total absolute value of these
    documents), then an example, the type's strongest token: before, after, source, doc_id, token.
    """
    cells = _cells(texts, docs)
    words = [texts.cells.text[cell] for cell in cells.tolist()]
    found = by_type(words, coloured.cells[cells], least)
    columns = ["text", "count", "mean", "median", "spread", "share", "example"]
    table = pd.DataFrame([asdict(one) for one in found], columns=columns)
    table["text"] = table["text"].str.slice(0, SHORT)
    table["share"] = 100.0 * table["share"].astype(float)
    examples = [_context(texts, int(cells[at])) for at in table.pop("example")]
    placed = ["before", "after", "source", "doc_id", "token"]
    return table.join(pd.DataFrame(examples, columns=placed))


def show(texts: FitTokens, ordered: list[int], every: list[int], coloured: Coloured) -> None:
    """Draw the salient tokens of the documents; a selected row selects its token in the text.

    Args:
        texts: the texts.
        ordered: documents as they are read.
        every: those of the sources, whatever document is jumped to.
        coloured: the values.
    """
    st.subheader("Salient tokens", divider="gray")
    left, right = st.columns([2, 1], vertical_alignment="bottom")
    rank = address.choose(
        left.segmented_control, "Rank", [TOKENS, TYPES], default=TOKENS, required=True,
        key=state.RANKED,
        help="Sets whether the table ranks every token by itself, or all tokens with the same "
        "text by their mean.",
    )  # fmt: skip
    name = coloured.scale.name
    title = "weight" if name == "weight" else "value"
    if rank == TYPES:
        least = address.keep(
            right.number_input, "At least this often", key=state.RAREST, value=USUAL,
            min_value=1, max_value=RAREST, step=1, accepts=_is_count,
            help="Leaves out types that occur less often: the mean of few tokens says little.",
        )  # fmt: skip
        table = types(texts, every, coloured, int(least))
        said = f"{len(table):,} token types by the mean of their {title}s. "
    else:
        table = strongest(texts, every, coloured)
        said = f"The {len(table):,} largest. "
    _table(texts, ordered, table.drop(columns="weight") if title == "weight" and rank == TOKENS
           else table, title)  # fmt: skip
    st.caption(
        f"{text.plain(said)}{text.plain(name)}: {text.plain(coloured.scale.unit)}. Select a row to "
        "see the token in its text."
    )
    if rank == TYPES:
        figure.csv_button(
            table, f"{texts.fit.task}-token-types", "Downloads all types of the table."
        )


def _is_count(given: str) -> bool:
    return given.isdecimal() and 1 <= int(given) <= RAREST


def _table(texts: FitTokens, ordered: list[int], table: pd.DataFrame, title: str) -> None:
    """Draw the rows; a selected one jumps to its token."""
    n_jumps = state.N_JUMPS.get(0)
    key = f"strongest-{n_jumps}"  # a new one after a jump, without a ticked row

    def jump() -> None:
        rows = state.rows(key)
        if rows:
            chosen = table.iloc[rows[0]]
            go_to(texts, ordered, Position(str(chosen["doc_id"]), int(chosen["token"])))
            state.N_JUMPS.set(n_jumps + 1)

    number = st.column_config.NumberColumn
    example = {"before": "example: before"} if "mean" in table else {}
    marked = table.assign(text=table["text"].map(visible))
    figure.show_table(
        marked, height=300, key=key, on_select=jump, selection_mode="single-row",
        column_config={
            "value": number(title, format="%.3f"),
            "weight": number(format="%.3f"),
            "mean": number(f"mean {title}", format="%.3f"),
            "median": number(format="%.3f"),
            "spread": number(format="%.3f", help="Standard deviation over the type's tokens."),
            "share": number("share", format="%.1f %%",
                            help="Of the total absolute value in these documents."),
            **example,
        },
    )  # fmt: skip


def go_to(texts: FitTokens, ordered: list[int], target: Position) -> None:
    """Select a token; jump to its document if the text does not reach it soon."""
    at = texts.index(target.doc_id)
    before = ordered[: ordered.index(at)] if at in ordered else None
    if before is None or sum(texts.n_cells(i) for i in before) > position.STEP:
        state.DOCUMENTS.set([target.doc_id])
    controls.pick(target)
