"""Figures and tables with their downloads: HTML, CSV, and SVG, PDF or PNG for print."""

import re
from collections.abc import Callable
from functools import partial
from typing import Any

import pandas as pd
import streamlit as st

from csvcore.figures import printed
from csvcore.figures.html import Part, report
from csvcore.figures.law import below_toolbar, with_legend
from csvcore.figures.printed import FONT_SIZES, WIDTHS, PrintStyle
from csvcore.formats.csv_tables import without_formula
from dashboard.queries import database
from dashboard.queries.database import Database
from dashboard.widgets import state
from dashboard.widgets.text import sentence

USUAL = PrintStyle()
MIME = {"svg": "image/svg+xml", "pdf": "application/pdf", "png": "image/png"}


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
    below_toolbar(chart)
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
        with st.popover("SVG, PDF", type="tertiary", icon=":material/print:"):
            _print(chart, stem, key)
    return selected


def _print(chart: Any, stem: str, key: str) -> None:
    """Draw the settings of a figure for print, which all figures share, and its downloads."""
    if problem := printed.unprintable(chart):
        st.caption(sentence(problem))
        return
    width = _shared(
        partial(st.number_input, min_value=WIDTHS[0], max_value=WIDTHS[1], step=0.25, format="%.2f",
                help="Sets the width; a column of a paper has about 3.4 inches, a page 5.5 to 7."),
        "Width, inches", state.PRINT_WIDTH, key, USUAL.width,
    )  # fmt: skip
    font = _shared(
        partial(st.number_input, min_value=FONT_SIZES[0], max_value=FONT_SIZES[1], step=0.5,
                format="%.1f", help="Sets the size of all words but those of the legend."),
        "Font size, points", state.PRINT_FONT, key, USUAL.font_size,
    )  # fmt: skip
    theme = _shared(
        partial(st.selectbox, options=printed.THEMES,
                help="Sets the colours; grey tells them apart by greys, forms and dashes."),
        "Theme", state.PRINT_THEME, key, USUAL.theme,
    )  # fmt: skip
    style = PrintStyle(width, font, theme)
    with st.container(horizontal=True, gap="small"):
        for form in printed.FORMATS:
            st.download_button(
                form.upper(), partial(printed.printed, chart, style, form), f"{stem}.{form}",
                MIME[form], key=f"{key}-{form}", on_click="ignore", type="tertiary",
                icon=":material/download:", help=f"Downloads this figure as {form.upper()}.",
            )  # fmt: skip


def _shared(
    widget: Callable[..., Any], label: str, common: state.Key[Any], key: str, default: Any
) -> Any:
    """Draw a control of one figure whose value all figures of the session share."""
    own = state.Key[Any](f"{key}-{common.name}")
    own.set(common.get(default))
    return widget(label, key=own.name, on_change=lambda: common.set(own.get(default)))


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
