"""Figures and tables with their downloads: PNG, HTML and CSV."""

import re
from collections.abc import Callable
from functools import partial
from typing import Any

import pandas as pd
import streamlit as st

from csvcore.figures.html import Part, report
from csvcore.figures.law import with_legend
from csvcore.formats.csv_tables import without_formula
from dashboard.queries import database
from dashboard.queries.database import Database


def show(
    chart: Any,
    table: pd.DataFrame | Callable[[], pd.DataFrame],
    *,
    key: str,
    alt: str,
    name: str,
    **selection: Any,
) -> Any:
    """Draw a Plotly figure with its downloads below; return the state of `st.plotly_chart`.

    The files are made on click, so a rerun costs nothing.

    Args:
        chart: the Plotly figure.
        table: all data behind it, or a function that makes them on click.
        key: of the chart; its downloads have keys of their own.
        alt: text for screen readers, and the title of the HTML.
        name: of the files, without an ending.
        selection: `on_select` and `selection_mode` of `st.plotly_chart`.
    """
    stem = file_name(name)
    image = {"toImageButtonOptions": {"format": "png", "filename": stem, "scale": 2}}
    selected = st.plotly_chart(chart, key=key, alt=alt, config=image, **selection)
    with st.container(horizontal=True, gap="small"):
        for ending, content, mime, about in (
            ("html", partial(page, chart, alt), "text/html", "Downloads this figure as one page"),
            ("csv", partial(csv, table), "text/csv", "Downloads all data behind this figure"),
        ):
            st.download_button(
                ending.upper(),
                content,
                f"{stem}.{ending}",
                mime,
                key=f"{key}-{ending}",
                help=f"{about}; the camera on the figure makes a PNG.",
                on_click="ignore",
                type="tertiary",
                icon=":material/download:",
            )
    return selected


def show_table(frame: pd.DataFrame, **settings: Any) -> Any:
    """Draw a table without its index, with a dash for missing values."""
    return st.dataframe(frame, hide_index=True, placeholder="\u2013", **settings)


def csv_button(table: pd.DataFrame, name: str, about: str) -> None:
    """Draw a button that downloads a table as CSV; about is its help."""
    st.download_button(
        "CSV",
        partial(csv, table),
        f"{file_name(name)}.csv",
        "text/csv",
        key=f"{name}-csv",
        on_click="ignore",
        type="tertiary",
        icon=":material/download:",
        help=about,
    )


def report_button(db: Database, fit: str, revealed: bool) -> None:
    """Draw a button that downloads the report of a fit, off until its test set is revealed."""
    st.download_button(
        "Report",
        lambda: database.report(db, fit),
        f"{file_name(fit)}.html",
        "text/html",
        help="Downloads the fit, its rivals, its highlights and all models as one HTML file."
        if revealed
        else "The report shows test errors: reveal the test set first.",
        disabled=not revealed,
        on_click="ignore",
        icon=":material/description:",
    )


def page(chart: Any, title: str) -> str:
    """Return a figure with its legend as one HTML file that loads nothing from the network."""
    copy = with_legend(chart).update_layout(template="plotly_white")
    return report(title, [Part("Figure", figure=copy)])


def csv(table: pd.DataFrame | Callable[[], pd.DataFrame]) -> bytes:
    """Return a table as CSV; text that a spreadsheet would run as a formula gets an apostrophe."""
    safe = table() if callable(table) else table.copy()
    for column in safe.columns[[kind.kind not in "biufcmM" for kind in safe.dtypes]]:
        safe[column] = safe[column].map(_guarded)
    return safe.rename(columns=_guarded).to_csv(index=False).encode()


def _guarded(cell: Any) -> Any:
    return without_formula(cell) if isinstance(cell, str) else cell


def file_name(name: str) -> str:
    """Return a name of letters, digits, dots and hyphens alone."""
    return re.sub(r"[^\w.]+", "-", name).strip("-.")[:80] or "figure"
