"""The coloured text as a widget of a notebook, drawn by the dashboard's renderer."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import pandas as pd

from csvcore.errors import InputError
from csvcore.figures.scales import Scale
from csvcore.figures.token_heatmap import MARKUP, RENDERER, STYLE, WIDGET, scale_data, short
from csvcore.figures.tokens import Cells, cells
from csvcore.records import Document, Floats, Ints

AT_ONCE = 3000  # cells that are sent before the reader asks for more
NOTHING = {"start": -1, "end": -1}


@dataclass(frozen=True, slots=True)
class WeightedDocument:
    """A document with its tokens as cells that can be shown, and the cells' mean weights."""

    doc: Document
    cells: Cells
    weight: Floats


def weighted(doc: Document, edges: Ints, weight: Floats) -> WeightedDocument:
    """Return a document with the weights of its cells.

    Args:
        doc: a document.
        edges: (n_tokens + 1,) byte boundaries of its tokens.
        weight: (n_tokens,).
    """
    shown = cells(doc.text, edges[1:].tolist())
    return WeightedDocument(doc, shown, shown.mean(weight))


def drawing(texts: Sequence[WeightedDocument], scale: Scale, n_cells: int) -> dict[str, Any]:
    """Return what the renderer draws: documents until there are so many cells, at least one.

    Token text goes as it is; the renderer makes text nodes of it.
    """
    shown: list[WeightedDocument] = []
    at: list[int] = []
    words: list[str] = []
    for one in texts:
        if words and len(words) >= n_cells:
            break
        shown.append(one)
        at.append(len(words))
        words += [short(word) for word in one.cells.text]
    weight = [float(value) for one in shown for value in one.weight]
    levels = [int(level) for one in shown for level in scale.levels(one.weight)]
    rest = len(texts) - len(shown)
    columns = {"text": words, "level": levels, "value": weight, "weight": weight}
    titles = [f"{one.doc.doc_id} · {one.doc.source}" for one in shown]
    return {
        "tokens": columns | {"hatched": [False] * len(words)},
        "version": str(len(shown)),
        "docs": [{"title": title, "at": start} for title, start in zip(titles, at, strict=True)],
        "models": [],
        "scale": scale_data(scale),
        "note": "",
        "matches": [],
        "focus": 0,
        "more": f"Load next documents ({len(shown)} of {len(texts)} shown)" if rest else "",
        "beyond": 0,
        "place": "",
        "label": f"{scale.name} of the tokens of {len(shown)} documents",
    }


def widget(texts: Sequence[WeightedDocument], scale: Scale) -> Any:
    """Return the widget; `.selected` are the ends of what is selected, `.selection()` its tokens.

    Raises:
        InputError: anywidget is not installed.
    """
    return _widget_class()(texts, scale)


@cache
def _widget_class() -> type[Any]:
    """Return the class, made on first use: anywidget is an extra."""
    try:
        import anywidget
        import traitlets
    except ImportError as error:
        raise InputError(
            "a heatmap in a notebook needs anywidget; `pip install 'csvcore[notebook]'`"
        ) from error
    constants = f"const MARKUP = {json.dumps(MARKUP)};\nconst STYLE = {json.dumps(STYLE)};\n"

    class TokenHeatmap(anywidget.AnyWidget):
        """Text coloured token by token."""

        _esm = constants + RENDERER + WIDGET
        drawing = traitlets.Dict().tag(sync=True)
        selected = traitlets.Dict(NOTHING).tag(sync=True)
        wanted = traitlets.Int(AT_ONCE).tag(sync=True)

        def __init__(self, texts: Sequence[WeightedDocument], scale: Scale) -> None:
            super().__init__(drawing=drawing(texts, scale, AT_ONCE))
            self.texts, self.scale = texts, scale
            self.observe(lambda change: self._read_on(change["new"]), "wanted")

        def _read_on(self, wanted: int) -> None:
            """Send the documents until there are so many cells."""
            self.drawing = drawing(self.texts, self.scale, wanted)

        def selection(self) -> pd.DataFrame:
            """Return the selected tokens: doc_id, source, text, weight."""
            start, end = self.selected["start"], self.selected["end"]
            rows = [
                (one.doc.doc_id, one.doc.source, word, weight)
                for one in self.texts
                for word, weight in zip(one.cells.text, one.weight.tolist(), strict=True)
            ]
            chosen = rows[start : end + 1] if start >= 0 else []
            return pd.DataFrame(chosen, columns=["doc_id", "source", "text", "weight"])

    return TokenHeatmap
