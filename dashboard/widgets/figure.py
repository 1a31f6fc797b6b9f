"""A figure on a page, and what can be taken away of it: PNG, HTML and the table behind it."""

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from csvcore import report as reporting
from csvcore.figures.html import Part, report
from csvcore.figures.law import with_legend
from csvcore.formats.csv_tables import without_formula


def figure(
    drawn: Any,
    table: pd.DataFrame | Callable[[], pd.DataFrame],
    *,
    key: str,
    alt: str,
    name: str,
    **choice: Any,
) -> Any:
    """Draw a Plotly figure with its downloads below; returns what `st.plotly_chart` does.

    The files are made when they are asked for, so a rerun pays nothing for them.

    Args:
        drawn: the figure.
        table: all data it was drawn from, or what makes it when it is asked for.
        key: of the chart; its downloads have keys of their own.
        alt: for screen readers, and the title of the HTML.
        name: of the files, without an ending.
        choice: `on_select` and `selection_mode` of `st.plotly_chart`.
    """
    stem = file_name(name)
    image = {"toImageButtonOptions": {"format": "png", "filename": stem, "scale": 2}}
    state = st.plotly_chart(drawn, key=key, alt=alt, config=image, **choice)
    with st.container(horizontal=True, gap="small"):
        for ending, content, mime, told in (
            ("html", partial(page, drawn, alt), "text/html", "This figure as one file to open"),
            ("csv", partial(csv, table), "text/csv", "All data behind this figure"),
        ):
            st.download_button(
                ending.upper(),
                content,
                f"{stem}.{ending}",
                mime,
                key=f"{key}-{ending}",
                help=f"{told}; the camera on the figure makes a PNG.",
                on_click="ignore",
                type="tertiary",
                icon=":material/download:",
            )
    return state


def table(frame: pd.DataFrame, **settings: Any) -> Any:
    """Draw a table without its index, a dash where nothing is known; as `st.dataframe` else."""
    return st.dataframe(frame, hide_index=True, placeholder="\u2013", **settings)


def csv_button(table: pd.DataFrame, name: str, told: str) -> None:
    """A button that takes a table away as CSV; told: its help, a sentence."""
    st.download_button(
        "CSV",
        partial(csv, table),
        f"{file_name(name)}.csv",
        "text/csv",
        key=f"{name}-csv",
        on_click="ignore",
        type="tertiary",
        icon=":material/download:",
        help=told,
    )


def report_button(database: Path, fit: str, revealed: bool) -> None:
    """A button that makes the report of a stored fit, once its test set is revealed."""
    st.download_button(
        "Report",
        lambda: reporting.fit_page(database, fit)[1],
        f"{file_name(fit)}.html",
        "text/html",
        help="The fit, its rivals, its highlights and every model as one HTML file, made on click."
        if revealed
        else "The report shows test errors: reveal the test set first.",
        disabled=not revealed,
        on_click="ignore",
        icon=":material/description:",
    )


def page(drawn: Any, title: str) -> str:
    """A figure as one HTML file that asks the network nothing; it has the legend of its page."""
    own = with_legend(drawn).update_layout(template="plotly_white")
    return report(title, [Part("Figure", figure=own)])


def csv(table: pd.DataFrame | Callable[[], pd.DataFrame]) -> bytes:
    """A table as CSV; text that a spreadsheet would take for a formula gets an apostrophe."""
    safe = table() if callable(table) else table.copy()
    for column in safe.columns[[kind.kind not in "biufcmM" for kind in safe.dtypes]]:
        safe[column] = safe[column].map(_guarded)
    return safe.rename(columns=_guarded).to_csv(index=False).encode()


def _guarded(cell: Any) -> Any:
    return without_formula(cell) if isinstance(cell, str) else cell


def file_name(name: str) -> str:
    """A name of letters, digits, dots and hyphens, whatever a task or model is called."""
    return re.sub(r"[^\w.]+", "-", name).strip("-.")[:80] or "figure"
