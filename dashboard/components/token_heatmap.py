"""The coloured text of Figure 9 as a Streamlit component.

The renderer is that of notebooks too, `csvcore.figures.token_heatmap`. Token text is untrusted. It
is sent as Arrow data and reaches the page through text nodes only; no HTML is made of it anywhere.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import streamlit as st
from numpy.typing import NDArray

from csvcore.figures.scales import Scale
from csvcore.figures.token_heatmap import MARKUP, RENDERER, STYLE, scale_data, short
from csvcore.records import Floats

_component = st.components.v2.component(
    "token_heatmap", html=MARKUP, css=STYLE, js=f"{RENDERER}\nexport default render;\n"
)


@dataclass(frozen=True, slots=True)
class Drawing:
    """Input of the component: cells of several documents one after another.

    table: from `pack`, version its hash. docs: heading and first cell of each document. models:
    whose losses the tooltip shows, in the order of the columns. note: what hatching means. matches:
    ranges of cells, both ends included. selected: the same, or None. focus: a number; when it
    changes, the selection is scrolled into view. more: text of the button that asks for more
    documents, empty for none. beyond: how many matches are in documents not shown. place: what was
    opened; while it stays, so does the scrolling.
    """

    table: pa.Table
    version: str
    docs: Sequence[tuple[str, int]]
    models: Sequence[str]
    scale: Scale
    note: str
    matches: Sequence[tuple[int, int]]
    selected: tuple[int, int] | None
    focus: int
    more: str
    beyond: int
    place: str
    label: str


def pack(
    text: Sequence[str],
    values: Floats,
    weight: Floats,
    losses: Floats,
    scale: Scale,
    hatched: NDArray[np.bool_] | None,
) -> tuple[pa.Table, str]:
    """Return the cells as Arrow data, and a hash for change detection in the component.

    Args:
        text: (n_cells,) token texts; very long ones are cut.
        values: (n_cells,) coloured values.
        weight: (n_cells,) salience.
        losses: (n_models, n_cells) nats, a few models for the tooltip.
        scale: of the values.
        hatched: (n_cells,) which are hatched, if any.
    """
    columns = {
        "text": pa.array([short(word) for word in text], pa.string()),
        "level": pa.array(scale.levels(values).astype(np.int8)),
        "value": pa.array(values.astype(np.float32)),
        "weight": pa.array(weight.astype(np.float32)),
        "hatched": pa.array(np.zeros(len(text), dtype=bool) if hatched is None else hatched),
    }
    for k, row in enumerate(losses):
        columns[f"loss{k}"] = pa.array(row.astype(np.float32))
    table = pa.table(columns)
    digest = hashlib.blake2b(digest_size=8)
    for column in table.columns:
        for buffer in column.combine_chunks().buffers():
            if buffer is not None:
                digest.update(buffer)
    return table, digest.hexdigest()


def heatmap(
    drawing: Drawing, key: str, on_select: Callable[[], None], on_more: Callable[[], None]
) -> Any:
    """Draw the tokens; the caller keeps the selection and the number of documents.

    Args:
        drawing: what to draw.
        key: of the widget; its state holds `selected` as {"start", "end"}, -1 for none.
        on_select: called after a selection, before the page runs again.
        on_more: called when the reader comes near the end and there is more.
    """
    ranges = [{"start": start, "end": end} for start, end in drawing.matches]
    start, end = drawing.selected or (-1, -1)
    return _component(
        key=key,
        data={
            "tokens": drawing.table,
            "version": drawing.version,
            "docs": [{"title": title, "at": at} for title, at in drawing.docs],
            "models": list(drawing.models),
            "scale": scale_data(drawing.scale),
            "note": drawing.note,
            "matches": ranges,
            "selected": {"start": start, "end": end},
            "focus": drawing.focus,
            "more": drawing.more,
            "beyond": drawing.beyond,
            "place": drawing.place,
            "label": drawing.label,
        },
        on_selected_change=on_select,
        on_wanted_change=on_more,
    )
