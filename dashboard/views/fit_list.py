"""All stored fits with search, columns and pins, and the form that names one."""

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from dashboard.queries import access, edits, two_fits
from dashboard.queries.database import Database
from dashboard.widgets import address, boundary, figure, state, text

USUAL = ("pinned", "name", "task", "method", "split", "mse_validation", "created", "note", "fit")
OTHER = ("settings", "corpus", "mse_train", "n_train", "n_validation", "steps", "seconds", "stale")
LONGEST_SEARCH = 100
HEIGHT = 320  # pixels


def ordered(fits: pd.DataFrame) -> pd.DataFrame:
    """Return all fits, pinned ones first, then newest first, with their settings in words."""
    table = fits.sort_values("pinned", ascending=False, kind="stable", ignore_index=True)
    return table.assign(
        settings=[
            text.settings_of(config) if method == "csv" else ""
            for config, method in zip(table["config"], table["method"], strict=True)
        ],
        name=table["name"].fillna(""),
        note=table["note"].fillna(""),
    )


def found(table: pd.DataFrame, words: str) -> pd.DataFrame:
    """Return the fits that have every word somewhere in their names, settings or note."""
    columns = ["fit", "name", "note", "corpus", "split", "task", "method", "settings"]
    lines = table[columns].astype(str).agg(" ".join, axis=1).str.casefold()
    kept = pd.Series(True, index=table.index)
    for word in words.casefold().split():
        kept &= lines.str.contains(word, regex=False)
    return table[kept]


def show(table: pd.DataFrame) -> None:
    """Draw the fits that a search finds, with the columns that are chosen."""
    left, right = st.columns([1, 2])
    words = address.write(
        left.text_input, "Search", key=state.FIT_SEARCH, max_chars=LONGEST_SEARCH,
        help="Keeps the fits with all of these words in their task, split, settings or note.",
    )  # fmt: skip
    columns: Sequence[str] = address.choose(
        right.multiselect, "Columns", [*USUAL, *OTHER], key=state.FIT_COLUMNS, default=list(USUAL),
        help="Sets the columns of the table; the address keeps them.",
    )  # fmt: skip
    rows = found(table, words)
    shown = list(columns) or list(USUAL)
    figure.show_table(
        rows[shown],
        height=HEIGHT,
        column_config={
            f"mse_{side}": st.column_config.NumberColumn(f"{side} MSE", format="%.1e")
            for side in ("train", "validation")
        }
        | {
            "pinned": st.column_config.CheckboxColumn("pin"),
            "created": st.column_config.DatetimeColumn("created, UTC", format="YYYY-MM-DD HH:mm"),
            "seconds": st.column_config.NumberColumn(format="%.0f"),
        },
    )
    st.caption(f"{len(rows):,} of {len(table):,} fits; pinned ones first, then the newest.")
    figure.csv_button(rows[shown], "fits", "Downloads these fits.")


def label_form(db: Database, fit: str) -> None:
    """Draw the form that names a fit, keeps a note with it, and pins it."""
    label = two_fits.label(db, fit)
    with st.form(f"label-{fit}"):
        left, middle, right = st.columns([2, 3, 1], vertical_alignment="bottom")
        name = left.text_input(
            "Name of A", label.name, key=f"name-{fit}",
            help="Sets the name that lists show beside the id; `csvcore fits` takes it too.",
        )  # fmt: skip
        note = middle.text_input(
            "Note", label.note, key=f"note-{fit}", help="Keeps a sentence with the fit."
        )
        pinned = right.toggle(
            "Pin", label.pinned, key=f"pin-{fit}", help="Lists the fit before all others."
        )
        saved = st.form_submit_button(
            "Save",
            icon=":material/save:",
            disabled=access.locked(db),
            help="Stores name, note and pin of fit A.",
        )
    if saved and _save(db, fit, name, note, pinned):
        st.rerun()


def _save(db: Database, fit: str, name: str, note: str, pinned: bool) -> bool:
    """Store a label; return whether that was possible."""
    with boundary.shown():
        edits.label_fit(db, fit, name.strip(), note.strip(), pinned)
        return True
    return False
