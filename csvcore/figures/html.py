"""Text, tables, figures and weighted documents in one file that asks the network nothing."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from csvcore.figures.scales import Scale
from csvcore.figures.tokens import STYLE, Cells, legend, policy, shades, spans
from csvcore.records import Floats

_MORE = """
body { max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; font-size: 0.9rem; }
td, th { padding: 0.2rem 0.8rem 0.2rem 0; text-align: left; border-bottom: 1px solid #8884; }
.figure { background: #ffffff; }
"""
PLAIN = Scale("weight", "1 is the mean over the corpus", 1.0)


@dataclass(frozen=True, slots=True)
class Part:
    """A section: a heading, then what of the others is there.

    figure: of Plotly. texts: heading, cells and weights (n_cells,) of documents, shaded by scale;
    one part has such documents.
    """

    heading: str
    lines: Sequence[str] = ()
    header: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    figure: Any = None
    texts: Sequence[tuple[str, Cells, Floats]] = ()
    scale: Scale = PLAIN


def report(title: str, parts: Iterable[Part]) -> str:
    """Return the whole page; every string is escaped here."""
    parts, scripted = list(parts), False
    scale = next((part.scale for part in parts if part.texts), PLAIN)
    body = []
    for part in parts:
        body.append(f"<h2>{escape(part.heading)}</h2>")
        body += [f"<p>{escape(line)}</p>" for line in part.lines]
        if part.rows:
            body.append(_table(part.header, part.rows))
        if part.figure is not None:
            drawn = part.figure.to_html(full_html=False, include_plotlyjs=not scripted)
            scripted = True
            body.append(f'<div class="figure">{drawn}</div>')
        if part.texts:
            body.append(legend(part.scale))
        for heading, cells, weight in part.texts:
            body.append(f"<h3>{escape(heading)}</h3>")
            body.append(f"<p>{spans(cells.text, weight, part.scale)}</p>")
    content = "\n".join(body)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n{policy(content)}'
        f"<title>{escape(title)}</title>\n<style>{STYLE}{shades(scale)}{_MORE}</style></head>\n"
        f"<body><h1>{escape(title)}</h1>\n{content}\n</body></html>\n"
    )


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(cell)}</th>" for cell in header)
    lines = "".join(
        f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table>"
