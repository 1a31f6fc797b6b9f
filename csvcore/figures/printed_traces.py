"""Traces of Plotly drawn on axes of Matplotlib, in colour or in grey."""

from collections.abc import Iterable, Sequence
from html import unescape
from typing import Any

import numpy as np

from csvcore.figures.law import CURVE_COLOUR, PALETTE
from csvcore.records import Floats

POINT = 0.75  # points of a pixel
FILL = 0.18  # opacity of an area, such as the band of an interval
DASHES = {"solid": "-", "dash": "--", "dot": ":", "dashdot": "-.", "longdash": (0, (8, 3))}
SYMBOLS = {"circle": "o", "diamond": "D", "star": "*", "x": "X", "square": "s"}
# In grey a colour is a grey and a form; the side's symbol is told by face and edge.
GREYS = ("0.0", "0.45", "0.65", "0.25", "0.55", "0.7", "0.15", "0.35", "0.6")
FORMS = ("o", "s", "^", "v", "P", "<", ">", "p", "h")
LINES = (
    "-",
    "--",
    ":",
    "-.",
    (0, (8, 3)),
    (0, (3, 1, 1, 1)),
    (0, (1, 3)),
    (0, (5, 6)),
    (0, (9, 1)),
)
HATCHES = ("", "///", "...", "xxx", "\\\\\\", "ooo", "+++", "**", "---")


class Inks:
    """Colours as they are printed: themselves, or a grey with a form and a dash for each."""

    def __init__(self, colours: Iterable[str], grey: bool) -> None:
        """Set the numbers of the figure's colours, but those of laws, in order of appearance."""
        own = [colour for colour in dict.fromkeys(colours) if colour != CURVE_COLOUR]
        self._number = {colour: at for at, colour in enumerate(own)}
        self.grey = grey
        self.several = len(own) > 1

    def number(self, colour: str) -> int:
        """Return the number of a colour, 0 for one that is not counted."""
        return self._number.get(colour, 0)

    def ink(self, colour: str) -> str:
        """Return the colour to print."""
        if not self.grey:
            return colour
        if colour not in self._number:
            return "0.5"
        return GREYS[self.number(colour) % len(GREYS)] if self.several else "0.0"

    def dash(self, colour: str, dash: str | None) -> Any:
        """Return the line style of Matplotlib; in grey solid lines of several colours differ."""
        if self.grey and self.several and dash in (None, "solid") and colour in self._number:
            return LINES[self.number(colour) % len(LINES)]
        return DASHES.get(dash or "solid", "-")

    def marker(self, colour: str, symbol: str) -> dict[str, Any]:
        """Return form, face and edge of a marker, as settings of a scatter or a line."""
        plain = symbol.removesuffix("-open")
        form, ink, hollow = SYMBOLS.get(plain, "o"), self.ink(colour), symbol != plain
        if not (self.grey and self.several):
            face = "none" if hollow else ink
            edge = ink if hollow else self.ink(CURVE_COLOUR)
            return {"marker": form, "facecolors": face, "edgecolors": edge, "linewidths": 0.8}
        form = "X" if plain == "x" else FORMS[self.number(colour) % len(FORMS)]
        hollow = hollow or plain == "diamond"
        width = 1.6 if plain == "star" else 0.7
        return {"marker": form, "facecolors": "white" if hollow else ink,
                "edgecolors": "black" if plain == "star" else ink, "linewidths": width}  # fmt: skip


def colour_of(trace: Any, at: int = 0) -> str:
    """Return the first colour of a trace: of its line, its markers, or by its number."""
    for part in (trace.line if "line" in trace else None, trace.marker):
        colour = None if part is None else part.color
        if isinstance(colour, str):
            return colour
        if colour is not None and len(colour):
            return str(colour[0])
    return PALETTE[at % len(PALETTE)]


def colours(figure: Any) -> list[str]:
    """Return all colours of a figure's traces in order of appearance."""
    found: list[str] = []
    for at, trace in enumerate(figure.data):
        if trace.type not in ("scatter", "bar"):
            continue
        many = trace.marker.color
        found += [colour_of(trace, at)] if many is None or isinstance(many, str) else map(str, many)
    return found


def plain(text: str | None) -> str:
    """Return a text of Plotly without its markup, for Matplotlib, which takes $ for formulas."""
    return unescape(str(text or "").replace("<br>", "\n")).replace("$", r"\$")


def labels(values: Any) -> list[str] | None:
    """Return the categories of coordinates, both levels joined; None where they are numbers."""
    array = np.asarray(values, dtype=object)
    if array.ndim == 2:
        return [f"{plain(first)}  {plain(second)}" for first, second in zip(*array, strict=True)]
    if not any(isinstance(value, str) for value in array):
        return None
    return [plain(str(value)) for value in array]


def coordinates(values: Any, places: dict[str, int] | None) -> Floats:
    """Return coordinates as numbers; categories by their places, missing values as NaN."""
    if places is not None:
        return np.array([places[name] for name in labels(values) or map(str, values)], dtype=float)
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def scatter(axes: Any, trace: Any, x: Floats, y: Floats, inks: Inks, at: int) -> None:
    """Draw the area, lines, markers and error bars of a scatter trace."""
    mode, colour = trace.mode or "lines+markers", colour_of(trace, at)
    for name in ("error_x", "error_y"):
        _errors(axes, trace[name], name[-1], x, y, inks.ink(trace[name].color or colour))
    if trace.fill == "toself":
        axes.fill(x, y, color=inks.ink(colour), alpha=FILL, linewidth=0, zorder=1)
    if "lines" in mode and trace.line.width != 0:
        width = POINT * float(trace.line.width or 2.0)
        style = inks.dash(colour, trace.line.dash)
        axes.plot(x, y, color=inks.ink(colour), linewidth=width, linestyle=style, zorder=2)
    if "markers" not in mode or trace.marker.opacity == 0:
        return
    hues, symbols = (_each(part, x.size) for part in (
        colour if trace.marker.color is None else trace.marker.color,
        trace.marker.symbol or "circle"))  # fmt: skip
    sizes = np.array(_each(trace.marker.size or 6.0, x.size), dtype=float) * POINT
    opacity = trace.marker.opacity
    alpha = 1.0 if inks.grey or not isinstance(opacity, int | float) else float(opacity)
    for kind in dict.fromkeys(zip(hues, symbols, strict=True)):
        own = np.array([pair == kind for pair in zip(hues, symbols, strict=True)])
        look = inks.marker(*kind)
        axes.scatter(x[own], y[own], s=sizes[own] ** 2, alpha=alpha, zorder=3, **look)


def _each(value: Any, n: int) -> list[Any]:
    """Return a setting for each of n points."""
    single = isinstance(value, str | int | float)
    return [value] * n if single else [getattr(one, "item", lambda one=one: one)() for one in value]


def _errors(axes: Any, bars: Any, side: str, x: Floats, y: Floats, ink: str) -> None:
    if bars.array is None:
        return
    above = np.asarray(bars.array, dtype=np.float64)
    below = above if bars.arrayminus is None else np.asarray(bars.arrayminus, dtype=np.float64)
    length = np.nan_to_num(np.maximum(np.stack([below, above]), 0.0))
    axes.errorbar(x, y, fmt="none", ecolor=ink, elinewidth=1.0, capsize=2.0, zorder=2,
                  **{f"{side}err": length})  # fmt: skip


def bar(axes: Any, trace: Any, x: Floats, y: Floats, inks: Inks, at: int) -> None:
    """Draw the bars of a trace."""
    hues = _each(colour_of(trace, at) if trace.marker.color is None else trace.marker.color, x.size)
    draw = axes.barh if trace.orientation == "h" else axes.bar
    place, length = (y, x) if trace.orientation == "h" else (x, y)
    for colour in dict.fromkeys(hues):
        own = np.array([hue == colour for hue in hues])
        hatched = inks.grey and inks.several
        hatch = HATCHES[inks.number(colour) % len(HATCHES)] if hatched else None
        face = "white" if hatch else inks.ink(colour)
        edge = "0.2" if hatched else face
        draw(place[own], length[own], color=face, edgecolor=edge, hatch=hatch, linewidth=0.5)


def heatmap(axes: Any, trace: Any, x: Floats, y: Floats, inks: Inks, at: int) -> None:
    """Draw the cells of a heat map with their texts."""
    from matplotlib.colors import LinearSegmentedColormap

    stops = [(float(share), colour) for share, colour in trace.colorscale or ()]
    if inks.grey or not stops:
        stops = [(0.0, "white"), (1.0, "0.35")]
    shades = LinearSegmentedColormap.from_list("shades", stops)
    values = np.array(trace.z, dtype=np.float64)
    low, high = trace.zmin, trace.zmax
    axes.pcolormesh(x, y, values, cmap=shades, vmin=low, vmax=high, edgecolors="white")
    if trace.texttemplate and trace.text is not None:
        for (row, column), _ in np.ndenumerate(values):
            word = plain(str(trace.text[row][column]))
            axes.text(x[column], y[row], word, ha="center", va="center", fontsize="x-small")


KINDS = {"scatter": scatter, "bar": bar, "heatmap": heatmap}


def draw(
    axes: Any, trace: Any, inks: Inks, places: Sequence[dict[str, int] | None], at: int
) -> None:
    """Draw one trace.

    Args:
        axes: of Matplotlib.
        trace: of Plotly.
        inks: of the figure.
        places: of the categories on x and on y; None for an axis of numbers.
        at: the trace's number in the figure.
    """
    x, y = (coordinates(trace[name], known)
            for name, known in zip("xy", places, strict=True))  # fmt: skip
    KINDS[trace.type](axes, trace, x, y, inks, at)
