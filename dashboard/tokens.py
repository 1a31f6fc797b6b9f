"""Tokens and weights in, shaded text out: the Figure 9 view as a Streamlit component.

Token text is hostile. It travels as Arrow data and reaches the page through text nodes only, in
`token_heatmap.js`; no HTML is built from it anywhere.
"""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import streamlit as st

from csvcore.records import Floats

_HERE = Path(__file__).parent
_MARKUP = """
<div class="heatmap">
  <div class="bar">
    <label><input type="checkbox" class="marks"> show spaces and newlines</label>
    <label><input type="checkbox" class="lines"> underline by weight</label>
    <span class="legend" role="img" aria-label="colour scale from low to high weight"></span>
  </div>
  <div class="text" role="group" tabindex="0" aria-describedby="heatmap-keys"></div>
  <div class="spoken" aria-live="polite"></div>
  <div id="heatmap-keys" hidden>Arrow keys move between tokens, Enter selects, Shift and Enter
    extends, N and P jump to the next and previous strong token, Escape clears.</div>
  <div class="tip" role="tooltip" hidden></div>
</div>
"""
_component = st.components.v2.component(
    "token_heatmap",
    html=_MARKUP,
    css=(_HERE / "token_heatmap.css").read_text(encoding="utf-8"),
    js=(_HERE / "token_heatmap.js").read_text(encoding="utf-8"),
)


def pack(text: Sequence[str], weight: Floats, losses: Floats) -> tuple[pa.Table, str]:
    """What the component draws, and a hash by which it knows that nothing changed.

    Args:
        text: (n_cells,) token texts.
        weight: (n_cells,) salience.
        losses: (n_models, n_cells) nats, a few models for the tooltip.
    """
    columns = {"text": pa.array(list(text)), "weight": pa.array(weight.astype(np.float32))}
    for k, row in enumerate(losses):
        columns[f"loss{k}"] = pa.array(row.astype(np.float32))
    table = pa.table(columns)
    digest = hashlib.sha256(repr(list(text)).encode())
    digest.update(np.ascontiguousarray(weight).tobytes() + np.ascontiguousarray(losses).tobytes())
    return table, digest.hexdigest()[:16]


def heatmap(
    table: pa.Table,
    version: str,
    models: Sequence[str],
    *,
    key: str,
    top: float,
    selected: tuple[int, int] | None,
    on_select: Callable[[], None],
    label: str,
) -> Any:
    """Draw the tokens; the caller owns the selection and gets `selected` on a click.

    Args:
        table: from `pack`.
        version: from `pack`.
        models: names of the models whose losses the tooltip shows, in the order of the columns.
        key: of the widget; its state holds `selected` as {"start", "end"}, -1 for none.
        top: weight of the darkest shade.
        selected: first and last selected cell.
        on_select: called after a selection, before the page runs again.
        label: for screen readers.
    """
    chosen = {"start": -1, "end": -1}
    if selected is not None:
        chosen = {"start": selected[0], "end": selected[1]}
    return _component(
        key=key,
        data={
            "tokens": table,
            "version": version,
            "models": list(models),
            "top": top,
            "selected": chosen,
            "label": label,
        },
        on_selected_change=on_select,
    )
