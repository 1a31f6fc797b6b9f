"""Weighted text as one self-contained HTML page, for files and figures; light and dark."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from csvcore.records import Floats

_LEVELS = 10
STYLE = """
:root { color-scheme: light dark; --ground: light-dark(#ffffff, #0e1117);
  --ink: light-dark(#111111, #f5f5f5); --top: light-dark(#31a354, #1b7837); }
body { background: var(--ground); color: var(--ink); font: 16px/1.8 sans-serif; margin: 1rem; }
h2 { font-size: 1rem; margin: 1rem 0 0.2rem; }
p { margin: 0; white-space: pre-wrap; overflow-wrap: anywhere; }
span { unicode-bidi: isolate; border-radius: 2px; }
"""
SHADES = "".join(
    f".l{level} {{ background: color-mix(in oklab, var(--top) "
    f"{round(100 * level / (_LEVELS - 1))}%, var(--ground)); }}\n"
    for level in range(_LEVELS)
)


@dataclass(frozen=True, slots=True)
class Cells:
    """Tokens grouped into cells of whole characters, which can be shown.

    text: (n_cells,) what each shows. token_start, token_end: (n_cells,) half-open token ranges.
    """

    text: list[str]
    token_start: list[int]
    token_end: list[int]

    def sum(self, values: Floats) -> Floats:
        """Sum over the tokens of each cell; values (..., n_tokens) become (..., n_cells)."""
        return np.add.reduceat(values, self.token_start, axis=-1)

    def mean(self, values: Floats) -> Floats:
        """Mean over the tokens of each cell."""
        width = np.subtract(self.token_end, self.token_start)
        return np.asarray(self.sum(values) / width, dtype=np.float64)


def cells(text: str, byte_end: Sequence[int]) -> Cells:
    """Group tokens so that no cell cuts a character or is empty.

    Args:
        text: the document, not empty.
        byte_end: (n_tokens,) where each token ends in its UTF-8 bytes; the last at its end.
    """
    whole = {0}
    at = 0
    for char in text:
        at += len(char.encode())
        whole.add(at)
    data = text.encode()
    shown: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    first, begin = 0, 0
    for i, end in enumerate(byte_end):
        last = i == len(byte_end) - 1
        if end > begin and end in whole:
            shown.append(data[begin:end].decode())
            starts.append(first)
            ends.append(i + 1)
            first, begin = i + 1, end
        elif last and ends:  # empty tokens at the end belong to the last cell
            ends[-1] = i + 1
    return Cells(shown, starts, ends)


def page(texts: Iterable[tuple[str, Cells, Floats]], top: float) -> str:
    """A page of documents, each token shaded by its weight, which its tooltip tells.

    Args:
        texts: heading, cells and their weights, (n_cells,), of each document.
        top: weight of the darkest shade.
    """
    body = "".join(
        f"<h2>{escape(heading)}</h2>\n<p>{spans(cells.text, weight, top)}</p>\n"
        for heading, cells, weight in texts
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>Salience</title>\n'
        f"<style>{STYLE}{SHADES}</style></head>\n<body>{body}</body></html>\n"
    )


def spans(tokens: Sequence[str], weight: Floats, top: float) -> str:
    """Tokens as escaped, shaded spans that tell their weights."""
    share = np.clip(weight / top, 0.0, 1.0) if top > 0 else np.zeros(len(tokens))
    levels = np.rint(share * (_LEVELS - 1)).astype(int)
    return "".join(
        f'<span class="l{level}" title="weight {value:.2f}">{escape(token)}</span>'
        for token, level, value in zip(tokens, levels, weight, strict=True)
    )
