"""Kinds of tokens with their weight, and the fit without some of them."""

from dataclasses import asdict

import numpy as np
import pandas as pd
import streamlit as st

from csvcore.analysis import token_kinds
from csvcore.analysis.token_kinds import KINDS, LONGEST_PATTERN
from csvcore.errors import CsvcoreError, InputError
from csvcore.records import Mask
from dashboard.queries import attribution, database, fit_tokens
from dashboard.queries.database import Database
from dashboard.queries.fit_tokens import FitTokens
from dashboard.widgets import address, boundary, figure, state, text

PATTERN = "your pattern"
EXCLUDE, KEEP = "exclude", "keep only"


@st.fragment
@boundary.shown()
def show(db: Database, texts: FitTokens) -> None:
    """Draw the kinds of tokens with their weight, and the errors without the selected ones."""
    st.subheader("Ablation by token kind", divider="gray")
    masks = dict(fit_tokens.kind_masks(db, texts.fit.fit))
    kinds = address.choose(
        st.pills, "Token kinds", [*KINDS, PATTERN], selection_mode="multi", key=state.TOKEN_KINDS,
        wrap=True, help="Selects the tokens that are excluded or kept.",
    )  # fmt: skip
    left, right = st.columns([2, 1])
    pattern = address.write(
        left.text_input, "Your pattern", key=state.PATTERN, max_chars=LONGEST_PATTERN,
        placeholder="a regular expression",
        help="Adds a kind: the tokens that match, for instance `^ [A-Z]` or `[0-9]{2}`, in the "
        "syntax of RE2.",
    )  # fmt: skip
    if pattern:
        try:
            masks[PATTERN] = token_kinds.matching(texts.token_text(), pattern)
        except InputError as error:
            st.warning(text.plain(str(error)))
    action = address.choose(
        right.segmented_control, "Selected tokens", [EXCLUDE, KEEP], default=EXCLUDE,
        required=True, key=state.KEPT_TOKENS,
        help="Sets whether the score leaves the selected tokens out or has them alone.",
    )  # fmt: skip
    if PATTERN in masks and not masks[PATTERN].any():
        st.caption("No token matches your pattern.")
    if PATTERN in kinds and not pattern:
        st.caption("Enter a pattern to select its tokens.")
    selected = [masks[name] for name in kinds if name in masks]
    touched = np.logical_or.reduce([np.zeros(texts.weight.size, dtype=bool), *selected])
    _errors(db, texts, touched if action == KEEP and selected else ~touched)
    _tallies(texts, masks)


def _errors(db: Database, texts: FitTokens, kept: Mask) -> None:
    """Draw the MSE of each side that may be shown, with the change against all tokens."""
    try:
        before = attribution.ablate(db, texts.fit.fit, np.ones_like(kept))
        after = before if kept.all() else attribution.ablate(db, texts.fit.fit, kept)
    except CsvcoreError as error:
        st.warning(text.plain(str(error)))
        return
    sides = [side for side in after.mse if side in database.fit(db, texts.fit.fit).mse]
    with st.container(horizontal=True):
        st.metric("Tokens in the score", f"{int(kept.sum()):,}", border=True,
                  help=f"Counts the tokens that are kept, of {kept.size:,}.")  # fmt: skip
        for side in sides:
            st.metric(
                f"{side} MSE", text.scientific(after.mse[side]), border=True,
                delta=None if kept.all() else text.change(after.mse[side], before.mse[side]),
                delta_color="inverse",
                help="Shows the mean squared error of accuracy, with the change against all "
                "tokens, "
                f"{text.scientific(before.mse[side])}.",
            )  # fmt: skip
    st.caption("The weights stay as learnt; alpha and beta are refitted to the train models.")


def _tallies(texts: FitTokens, masks: dict[str, Mask]) -> None:
    """Draw the weight of each kind and each source."""
    token_source = texts.token_source()
    by_source = {name: token_source == i for i, name in enumerate(texts.sources)}
    table = _tally(texts, masks)
    table["definition"] = table["kind"].map(KINDS | {PATTERN: "matches it"})
    _table(table)
    _table(_tally(texts, by_source).rename(columns={"kind": "source"}))
    st.caption(
        "Over the whole corpus; a token can have several kinds. The mean weight of all tokens "
        "is 1; "
        "shares are of the total absolute weight."
    )


def _tally(texts: FitTokens, masks: dict[str, Mask]) -> pd.DataFrame:
    rows = [asdict(tally) for tally in token_kinds.tally(texts.weight, masks)]
    table = pd.DataFrame(rows).astype({"mean": float, "share": float})
    table["share"] *= 100
    return table.rename(columns={"n_tokens": "tokens", "mean": "mean weight"})


def _table(table: pd.DataFrame) -> None:
    figure.show_table(
        table,
        column_config={
            "mean weight": st.column_config.NumberColumn(format="%.2f"),
            "share": st.column_config.NumberColumn("share of weight", format="%.1f %%"),
        },
    )  # fmt: skip
