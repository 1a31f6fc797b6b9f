"""Tables of the Salience page: the strongest tokens, the kinds of tokens, and the token brush."""

from dataclasses import asdict

import numpy as np
import pandas as pd
import streamlit as st

from csvcore.analysis import token_kinds
from csvcore.analysis.ablation import Brushed, brushed
from csvcore.analysis.token_kinds import KINDS, LONGEST_PATTERN
from csvcore.errors import CsvcoreError, InputError
from csvcore.records import Mask
from dashboard.queries import attribution, database, fit_tokens
from dashboard.queries.database import Database
from dashboard.queries.fit_tokens import Texts
from dashboard.views.salience import controls, position
from dashboard.views.salience.colouring import Coloured
from dashboard.views.salience.position import Place
from dashboard.widgets import address, figure, text

STRONGEST = 200
CONTEXT = 40  # characters before and after a token
SHORT = 60  # characters of a token in a table
OWN = "your pattern"


def strongest(own: Texts, docs: list[int], coloured: Coloured, n: int = STRONGEST) -> pd.DataFrame:
    """The cells with the largest values, of either sign, of these documents, largest first.

    Columns: before, text, after, value, weight, source, doc_id, token (its cell in the document).
    """
    spans = [np.arange(own.first_cell[i], own.first_cell[i + 1]) for i in docs]
    cells = np.concatenate(spans)
    largest = cells[np.argsort(-np.abs(coloured.cells[cells]), kind="stable")[:n]]
    weight = own.cells.mean(own.weight)
    rows = []
    for cell in largest.tolist():
        i = own.doc_of(cell)
        doc, at, text = own.docs[i], int(own.cell_at[cell]), own.cells.text[cell]
        end = at + len(text)
        rows.append(
            {
                "before": doc.text[max(0, at - CONTEXT) : at],
                "text": text[:SHORT],
                "after": doc.text[end : end + CONTEXT],
                "value": float(coloured.cells[cell]),
                "weight": float(weight[cell]),
                "source": doc.source,
                "doc_id": doc.doc_id,
                "token": cell - int(own.first_cell[i]),
            }
        )
    return pd.DataFrame(rows)


def show_strongest(own: Texts, ordered: list[int], every: list[int], coloured: Coloured) -> None:
    """The strongest tokens of the documents chosen; a click on a row goes to the token.

    Args:
        own: the texts.
        ordered: documents as they are read.
        every: those that may be read, whatever one begins with.
        coloured: the values.
    """
    table = strongest(own, every, coloured)
    n_jumps = st.session_state.get("jumps", 0)
    key = f"strongest-{n_jumps}"  # another after a jump: its row is not ticked then

    def jump() -> None:
        rows = st.session_state[key]["selection"]["rows"]
        if rows:
            chosen = table.iloc[rows[0]]
            go_to(own, ordered, Place(str(chosen["doc_id"]), int(chosen["token"])))
            st.session_state["jumps"] = n_jumps + 1

    st.subheader("Strongest tokens", divider="gray")
    title = "weight" if coloured.scale.name == "weight" else "value"
    figure.table(
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


def go_to(own: Texts, ordered: list[int], place: Place) -> None:
    """Select a token; begin with its document where the text does not come to it soon."""
    at = own.index(place.doc_id)
    before = ordered[: ordered.index(at)] if at in ordered else None
    if before is None or sum(own.n_cells(i) for i in before) > position.STEP:
        st.session_state["doc"] = [place.doc_id]
    controls.pick(place)


@st.fragment
def kinds_and_brush(db: Database, own: Texts) -> None:
    """What each kind of token carries, and what the fit would be without some of them."""
    st.subheader("Kinds of tokens, and the brush", divider="gray")
    masks = dict(fit_tokens.kind_masks(db, own.fit.fit))
    brush = address.choose(
        st.pills, "Brush", [*KINDS, OWN], selection_mode="multi", key="brush",
        wrap=True, help="Choose kinds to see the fit without them, or on them alone.",
    )  # fmt: skip
    left, right = st.columns([2, 1])
    pattern = address.write(
        left.text_input, "Your pattern", key="pattern", max_chars=LONGEST_PATTERN,
        placeholder="a regular expression",
        help="Tried on every token alone, for instance `^ [A-Z]` or `[0-9]{2}`; the syntax is "
        "that of RE2.",
    )  # fmt: skip
    if pattern:
        try:
            masks[OWN] = token_kinds.matching(own.token_text(), pattern)
        except InputError as error:
            st.warning(text.plain(str(error)))
    keep = address.choose(
        right.segmented_control, "What the brush does", ["drop", "keep only"], default="drop",
        required=True, key="brush_does",
        help="Whether the brushed tokens count nothing, or alone.",
    )  # fmt: skip
    touched = np.zeros(own.weight.size, dtype=bool)
    for name in brush:
        if name in masks:
            touched |= masks[name]
    if OWN in masks and not masks[OWN].any():
        st.caption("No token matches your pattern.")
    if OWN in brush and not pattern:
        st.caption("Write a pattern first, then the brush can use it.")
    kept = ~touched if keep == "drop" or not any(name in masks for name in brush) else touched
    _errors(db, own, kept)
    _tallies(own, masks)


def _errors(db: Database, own: Texts, kept: Mask) -> None:
    """MSE of every side that may be shown, with these tokens and with all."""
    try:
        before = _judged(db, own, np.ones_like(kept))
        after = before if kept.all() else _judged(db, own, kept)
    except CsvcoreError as error:
        st.warning(text.plain(str(error)))
        return
    sides = [side for side in after.mse if side in database.fit(db, own.fit.fit).mse]
    with st.container(horizontal=True):
        st.metric("Tokens that count", f"{int(kept.sum()):,}", border=True,
                  help=f"Of {kept.size:,} tokens of the scorer.")  # fmt: skip
        for side in sides:
            change = after.mse[side] / before.mse[side] - 1
            st.metric(
                f"{side} MSE", text.scientific(after.mse[side]), border=True,
                delta=None if kept.all() else f"{change:+.0%}", delta_color="inverse",
                help="Mean squared error of accuracy; beside it the change against all tokens, "
                f"{text.scientific(before.mse[side])}.",
            )  # fmt: skip
    st.caption(
        "The weights stay as they were learnt; alpha and beta are fitted to the train models anew."
    )


def _judged(db: Database, own: Texts, kept: Mask) -> Brushed:
    inside = attribution.inside(db, own.fit.fit)
    models = inside.fit.predictions
    accuracy = np.array([one.accuracy for one in models])
    sides = [one.side for one in models]
    return brushed(
        inside.weight, inside.nll, kept, inside.n_chars, accuracy, sides, inside.fit.gamma
    )


def _tallies(own: Texts, masks: dict[str, Mask]) -> None:
    """What each kind and each source carries."""
    found = [doc.source for doc in own.docs]
    token_source = np.repeat(found, np.diff(own.first_token))
    by_source = {name: token_source == name for name in dict.fromkeys(found)}
    table = _tally(own, masks)
    table["a token that"] = table["kind"].map(KINDS | {OWN: "matches it"})
    _table(table)
    _table(_tally(own, by_source).rename(columns={"kind": "source"}))
    st.caption(
        "Over the whole corpus. A token can be of several kinds. The mean weight of all is 1; the "
        "share is of the total absolute weight."
    )


def _tally(own: Texts, masks: dict[str, Mask]) -> pd.DataFrame:
    rows = [asdict(one) for one in token_kinds.tally(own.weight, masks)]
    table = pd.DataFrame(rows).astype({"mean": float, "share": float})
    table["share"] *= 100
    return table.rename(columns={"n_tokens": "tokens", "mean": "mean weight"})


def _table(table: pd.DataFrame) -> None:
    figure.table(
        table,
        column_config={
            "mean weight": st.column_config.NumberColumn(format="%.2f"),
            "share": st.column_config.NumberColumn("share of weight", format="%.1f %%"),
        },
    )  # fmt: skip
