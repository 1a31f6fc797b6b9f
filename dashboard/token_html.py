"""Weighted text as one self-contained HTML page, for files and figures; light and dark."""

from collections.abc import Iterable, Sequence
from html import escape

import numpy as np

from csvcore.records import Floats
from dashboard.tokens import Cells

_LEVELS = 10
_STYLE = """
:root { color-scheme: light dark; --ground: light-dark(#ffffff, #0e1117);
  --ink: light-dark(#111111, #f5f5f5); --top: light-dark(#31a354, #1b7837); }
body { background: var(--ground); color: var(--ink); font: 16px/1.8 sans-serif; margin: 1rem; }
h2 { font-size: 1rem; margin: 1rem 0 0.2rem; }
p { margin: 0; white-space: pre-wrap; overflow-wrap: anywhere; }
span { unicode-bidi: isolate; border-radius: 2px; }
"""


def page(texts: Iterable[tuple[str, Cells, Floats]], top: float) -> str:
    """A page of documents, each token shaded by its weight, which its tooltip tells.

    Args:
        texts: heading, cells and their weights, (n_cells,), of each document.
        top: weight of the darkest shade.
    """
    shades = "".join(
        f".l{level} {{ background: color-mix(in oklab, var(--top) "
        f"{round(100 * level / (_LEVELS - 1))}%, var(--ground)); }}\n"
        for level in range(_LEVELS)
    )
    body = "".join(
        f"<h2>{escape(heading)}</h2>\n<p>{_spans(cells.text, weight, top)}</p>\n"
        for heading, cells, weight in texts
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>Salience</title>\n'
        f"<style>{_STYLE}{shades}</style></head>\n<body>{body}</body></html>\n"
    )


def _spans(tokens: Sequence[str], weight: Floats, top: float) -> str:
    share = np.clip(weight / top, 0.0, 1.0) if top > 0 else np.zeros(len(tokens))
    levels = np.rint(share * (_LEVELS - 1)).astype(int)
    return "".join(
        f'<span class="l{level}" title="weight {value:.2f}">{escape(token)}</span>'
        for token, level, value in zip(tokens, levels, weight, strict=True)
    )
