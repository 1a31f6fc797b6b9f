"""Text coloured token by token, as one self-contained HTML page in light and dark."""

import re
from base64 import b64encode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from html import escape

import numpy as np
from numpy.typing import NDArray

from csvcore.figures.scales import HUES, LEVELS, Scale
from csvcore.records import Floats

STYLE = """
:root { color-scheme: light dark; --ground: light-dark(#ffffff, #0e1117);
  --ink: light-dark(#111111, #f5f5f5); }
body { background: var(--ground); color: var(--ink); font: 16px/1.8 sans-serif; margin: 1rem; }
h2 { font-size: 1rem; margin: 1rem 0 0.2rem; }
p { margin: 0; white-space: pre-wrap; overflow-wrap: anywhere; }
span { unicode-bidi: isolate; border-radius: 2px; }
.h { background-image: repeating-linear-gradient(135deg, transparent 0 3px, #8888 3px 4px); }
"""


def shades(scale: Scale) -> str:
    """Return the style rules of a scale's levels; l3 is level 3 and n3 level -3."""
    rules = [_rule(f".l{level}", scale.hue, level, "") for level in range(LEVELS)]
    if scale.low_hue is not None:
        rules += [_rule(f".l{level}", scale.hue, level, "underline") for level in range(1, LEVELS)]
        rules += [_rule(f".n{lv}", scale.low_hue, lv, "overline") for lv in range(1, LEVELS)]
    return "\n".join(rules) + "\n"


def _rule(name: str, hue: str, level: int, line: str) -> str:
    light, dark = HUES[hue]
    share = round(100 * level / (LEVELS - 1))
    strong = f" text-decoration: {line};" if line and level >= LEVELS // 2 else ""
    return (
        f"{name} {{ background-color: color-mix(in oklab, light-dark({light}, {dark}) {share}%, "
        f"var(--ground));{strong} }}"
    )


@dataclass(frozen=True, slots=True)
class Cells:
    """Tokens grouped into cells of whole characters, which can be shown.

    text: (n_cells,) what each shows. token_start, token_end: (n_cells,) half-open token ranges.
    """

    text: list[str]
    token_start: list[int]
    token_end: list[int]

    def sum(self, values: NDArray[np.floating]) -> Floats:
        """Sum over the tokens of each cell; values (..., n_tokens) become (..., n_cells)."""
        return np.asarray(np.add.reduceat(values, self.token_start, axis=-1), dtype=np.float64)

    def mean(self, values: NDArray[np.floating]) -> Floats:
        """Average over the tokens of each cell."""
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


def joined(documents: Iterable[Cells]) -> Cells:
    """Join the cells of several documents; token ranges are shifted accordingly."""
    whole = Cells([], [], [])
    at = 0
    for one in documents:
        whole.text.extend(one.text)
        whole.token_start.extend(at + i for i in one.token_start)
        whole.token_end.extend(at + i for i in one.token_end)
        at = whole.token_end[-1]
    return whole


def visible(word: str) -> str:
    """Return a token's text with marks for line breaks, tabs and the spaces at its ends."""
    marked = word.replace("\n", "\u21b5").replace("\t", "\u21e5")
    inner = marked.strip(" ")
    before, _, after = marked.partition(inner) if inner else (marked, "", "")
    return "\u2423" * len(before) + inner + "\u2423" * len(after)


def page(
    texts: Iterable[tuple[str, Sequence[str], Floats, NDArray[np.bool_] | None]],
    scale: Scale,
    note: str = "",
) -> str:
    """Return a page of documents with tokens coloured by value; tooltips give the values.

    Args:
        texts: of each document its heading, the texts of its cells, their values, (n_cells,), and
            which of them are hatched, if any.
        scale: of all of them.
        note: what hatching means.
    """
    body = "".join(
        f"<h2>{escape(heading)}</h2>\n<p>{spans(text, values, scale, hatched)}</p>\n"
        for heading, text, values, hatched in texts
    )
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n{policy("")}'
        f"<title>{escape(scale.name)}</title>\n<style>{STYLE}{shades(scale)}</style></head>\n"
        f"<body>{legend(scale, note)}{body}</body></html>\n"
    )


def policy(body: str, *, beside: bool = False) -> str:
    """Return a meta element that lets a page run the scripts in its body and load nothing.

    Args:
        body: the page, or its body.
        beside: whether it may also run the scripts that lie beside it.
    """
    scripts = re.findall(r"<script[^>]*>(.*?)</script>", body, re.DOTALL)
    own = filter(None, scripts)  # one that is read from a file has no text
    digests = [b64encode(sha256(script.encode()).digest()).decode() for script in own]
    sources = [f"'sha256-{digest}'" for digest in digests] + ["'self' file:"] * beside
    allowed = " ".join(sources) or "'none'"
    return (
        f'<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        f"script-src {allowed}; style-src 'unsafe-inline'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'\">\n"
    )


def legend(scale: Scale, note: str = "") -> str:
    """Return the scale's legend with numbers and unit, as a line of HTML."""
    low = -scale.top if scale.low_hue is not None else 0.0
    half = (LEVELS - 1) // 2
    bar = "".join(
        f'<span class="{_shade(level)}"> &nbsp;</span>'
        + (f" {scale.value_at(half):.2g} " if level == half and scale.knee is not None else "")
        for level in range(1 - LEVELS if low else 0, LEVELS)
    )
    words = ". ".join(part for part in (scale.words, note) if part)
    return (
        f"<p>{escape(scale.name)} {low:.2g} {bar} {scale.top:.2g} and above ({escape(words)})</p>\n"
    )


def _shade(level: int) -> str:
    return f"l{level}" if level >= 0 else f"n{-level}"


def spans(
    tokens: Sequence[str], values: Floats, scale: Scale, hatched: NDArray[np.bool_] | None = None
) -> str:
    """Return tokens as escaped, coloured spans with their values as tooltips."""
    hatch = np.zeros(len(tokens), dtype=bool) if hatched is None else hatched
    rows = zip(tokens, scale.levels(values).tolist(), values.tolist(), hatch.tolist(), strict=True)
    return "".join(
        f'<span class="{_shade(level)}{" h" if hatch else ""}" '
        f'title="{escape(scale.name)} {value:.2f}">{escape(token)}</span>'
        for token, level, value, hatch in rows
    )
