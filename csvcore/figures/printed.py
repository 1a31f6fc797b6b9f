"""Figures for papers: a Plotly figure as SVG, PDF or PNG, drawn by Matplotlib.

Matplotlib needs neither a browser nor the network. Texts stay texts, so that they can be searched
and edited; equal figures give equal files.
"""

import io
import threading
import warnings
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from csvcore.errors import InputError
from csvcore.figures import printed_traces
from csvcore.figures.law import with_legend
from csvcore.figures.printed_traces import Inks, labels, plain

Format = Literal["svg", "pdf", "png"]
Theme = Literal["light", "dark", "grey"]
FORMATS: tuple[Format, ...] = get_args(Format)
THEMES: tuple[Theme, ...] = get_args(Theme)
WIDTHS, FONT_SIZES = (1.5, 20.0), (4.0, 24.0)  # inches, points
SCREEN = 700.0  # pixels that a figure's height in pixels is meant for
PNG_DPI = 300
ROTATED = 30  # characters of all ticks below a plot, above which they are turned
_GROUND = {"light": ("white", "black"), "grey": ("white", "black"), "dark": ("#0e1117", "#fafafa")}
_LOCK = threading.Lock()  # Matplotlib's settings belong to the process


@dataclass(frozen=True, slots=True)
class PrintStyle:
    """Look of a printed figure.

    width: inches; a column of a paper has 3.25 to 3.5, a page 5.5 to 7. font_size: points. theme:
    light, dark, or grey, which tells colours apart by greys, forms, dashes and hatches.
    """

    width: float = 5.5
    font_size: float = 9.0
    theme: Theme = "light"

    def __post_init__(self) -> None:
        """Check the ranges."""
        for name, value, (low, high), unit in (
            ("width", self.width, WIDTHS, "inches"),
            ("font size", self.font_size, FONT_SIZES, "points"),
        ):
            if not low <= value <= high:
                raise InputError(
                    f"a {name} of {value:g} {unit} is outside {low:g} to {high:g}; choose another"
                )
        if self.theme not in THEMES:
            raise InputError(f"there is no theme {self.theme!r}, but {', '.join(THEMES)}")


def unprintable(figure: Any) -> str | None:
    """Return why a figure cannot be printed, None where it can."""
    traces = {trace.type for trace in figure.data} - {*printed_traces.KINDS}
    shapes = {shape.type for shape in figure.layout.shapes} - {"line"}
    for kinds, what, known in ((traces, "trace", [*printed_traces.KINDS]),
                               (shapes, "shape", ["line"])):  # fmt: skip
        if kinds:
            return (
                f"a {min(kinds)} {what} is not drawn for print, only {', '.join(known)}; "
                "export this figure as html"
            )
    return None


def printed(figure: Any, style: PrintStyle, form: Format) -> bytes:
    """Return a figure as a file for print.

    Args:
        figure: of Plotly; scatter, bar and heat map traces, alone or in panels.
        style: width, font size and theme.
        form: svg, pdf or png.

    Its height follows from the figure's, its rows and its titles; the legend is above the plot.

    Raises:
        InputError: the figure has what is not drawn for print.
    """
    if problem := unprintable(figure):
        raise InputError(problem)
    import matplotlib as mpl

    ground, ink = _GROUND[style.theme]
    settings: dict[Any, Any] = {
        "font.size": style.font_size, "axes.titlesize": "medium",
        "svg.fonttype": "none", "svg.hashsalt": "csvcore", "pdf.fonttype": 42,
        "font.family": ["sans-serif"], "axes.spines.top": False, "axes.spines.right": False,
        "figure.facecolor": ground, "axes.facecolor": ground, "savefig.facecolor": ground,
        "legend.frameon": False, "hatch.linewidth": 0.5, "axes.grid": True, "grid.alpha": 0.25,
        **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color",
                         "ytick.color", "grid.color"), ink),
    }  # fmt: skip
    no_date = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": None}[form]
    out = io.BytesIO()
    with _LOCK, mpl.rc_context(settings), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # no font has every script
        _drawn(with_legend(figure), style).savefig(out, format=form, dpi=PNG_DPI, metadata=no_date)
    return out.getvalue()


def _drawn(figure: Any, style: PrintStyle) -> Any:
    """Return the figure of Matplotlib."""
    from matplotlib.figure import Figure

    inks = Inks(printed_traces.colours(figure), style.theme == "grey")
    panels = _panels(figure)
    page = Figure(layout="constrained")
    columns = sorted({_domain(figure, "x", x) for x, _ in panels})
    rows = sorted({_domain(figure, "y", y) for _, y in panels}, reverse=True)
    shares = [high - low for low, high in columns]
    grid = page.add_gridspec(len(rows), len(columns), width_ratios=shares)
    by_panel, n_categories = {}, 0
    for x, y in panels:
        row, column = rows.index(_domain(figure, "y", y)), columns.index(_domain(figure, "x", x))
        by_panel[x, y] = axes = page.add_subplot(grid[row, column])
        n_categories = max(n_categories, _panel(axes, figure, x, y, inks))
    for shape in figure.layout.shapes:
        _shape(by_panel, shape, inks)
    for note in figure.layout.annotations:
        _note(page, by_panel, figure, note)
    legend = _legend(page, figure, inks, style)
    asked = style.width * float(figure.layout.height or 450) / SCREEN
    line = style.font_size / 72
    titles = [plain(_axis(figure, y).title.text) for _, y in panels]
    room = max(
        min(asked, 1.4 * style.width),
        0.5 * style.width,
        1.45 * line * n_categories + 5 * line,
        0.55 * line * max(map(len, titles)) * len(rows) + 3 * line,
    )
    page.set_size_inches(style.width, room + legend)
    return page


def _panels(figure: Any) -> list[tuple[str, str]]:
    """Return the pairs of axes that have traces, as x and x2, in order."""
    pairs = [(trace.xaxis or "x", trace.yaxis or "y") for trace in figure.data]
    return list(dict.fromkeys(pairs)) or [("x", "y")]


def _axis(figure: Any, name: str) -> Any:
    return figure.layout[f"{name[0]}axis{name[1:]}"]


def _domain(figure: Any, side: str, name: str) -> tuple[float, float]:
    low, high = _axis(figure, name).domain or (0.0, 1.0)
    return round(float(low), 6), round(float(high), 6)


def _places(figure: Any, traces: list[Any], name: str) -> dict[str, int] | None:
    """Return the place of each category of an axis, None for an axis of numbers."""
    axis = _axis(figure, name)
    found = [labels(trace[name[0]]) for trace in traces if trace[name[0]] is not None]
    if axis.type not in ("category", "multicategory") and not any(found):
        return None
    words = [plain(str(word)) for word in axis.categoryarray if word is not None] if (
        axis.categoryarray is not None) else []  # fmt: skip
    for trace, own in zip(traces, found, strict=True):
        words += own or [str(value) for value in trace[name[0]]]
    return {word: at for at, word in enumerate(dict.fromkeys(words))}


def _panel(axes: Any, figure: Any, x: str, y: str, inks: Inks) -> int:
    """Draw the traces and axes of a panel; return the number of its rows, 0 for numbers."""
    mine = [
        (at, trace) for at, trace in enumerate(figure.data)
        if (trace.xaxis or "x", trace.yaxis or "y") == (x, y) and trace.visible in (None, True)
    ]  # fmt: skip
    traces = [trace for _, trace in mine]
    places = [_places(figure, traces, name) for name in (x, y)]
    for at, trace in mine:
        printed_traces.draw(axes, trace, inks, places, at)
    for name, known in zip((x, y), places, strict=True):
        _scale(axes, _axis(figure, name), name[0], known)
    return len(places[1] or ())


def _scale(axes: Any, axis: Any, side: str, places: dict[str, int] | None) -> None:
    """Set the scale, range, ticks and title of one axis."""
    from matplotlib.ticker import PercentFormatter

    def put(what: str, *values: Any, **settings: Any) -> None:
        getattr(axes, f"set_{side}{what}")(*values, **settings)

    if axis.type == "log":
        put("scale", "log")
    if places is not None:
        shown = axis.showticklabels is not False
        put("ticks", list(places.values()) if shown else [], labels=list(places) if shown else [])
        if shown and side == "x" and sum(map(len, places)) > ROTATED:
            axes.tick_params("x", rotation=50)
    elif axis.tickvals is not None:
        words = None if axis.ticktext is None else [plain(word) for word in axis.ticktext]
        put("ticks", list(axis.tickvals), labels=words)
    if axis.tickformat and axis.tickformat.endswith("%"):
        axis_of = axes.xaxis if side == "x" else axes.yaxis
        axis_of.set_major_formatter(PercentFormatter(1.0, decimals=0))
    if axis.range is not None:
        low, high = (10.0**end if axis.type == "log" else end for end in axis.range)
        put("lim", low, high)
    elif axis.rangemode == "tozero":
        put("lim", 0.0)
    if axis.autorange == "reversed":
        (axes.invert_xaxis if side == "x" else axes.invert_yaxis)()
    if axis.title.text:
        put("label", plain(axis.title.text))


def _shape(by_panel: dict[tuple[str, str], Any], shape: Any, inks: Inks) -> None:
    """Draw a straight line across a panel or the whole plot."""
    xref, yref = (str(ref or name).split(" ")[0] for ref, name in
                  ((shape.xref, "x"), (shape.yref, "y")))  # fmt: skip
    colour = shape.line.color or "black"
    width = printed_traces.POINT * float(shape.line.width or 2.0)
    style = inks.dash(colour, shape.line.dash)
    look = {"color": inks.ink(colour), "linestyle": style, "linewidth": width, "zorder": 1}
    for (x, y), axes in by_panel.items():
        if xref not in (x, "paper") or yref not in (y, "paper"):
            continue
        if shape.y0 == shape.y1:
            axes.axhline(shape.y0, **look)
        elif shape.x0 == shape.x1:
            axes.axvline(shape.x0, **look)
        else:
            axes.plot([shape.x0, shape.x1], [shape.y0, shape.y1], **look)


def _note(page: Any, by_panel: dict[tuple[str, str], Any], figure: Any, note: Any) -> None:
    """Draw an annotation: a shared title of the axes, a panel's title, or a text at a value."""
    text = plain(note.text)
    if note.xref == "paper" and note.yref == "paper":
        if note.textangle == -90:
            page.supylabel(text, fontsize="medium")
        elif note.yshift is not None and note.yshift < 0:
            page.supxlabel(text, fontsize="medium")
        else:
            [axes, *_] = sorted(by_panel.items(), key=lambda item: _off(figure, item[0], note))
            axes[1].set_title(text)
        return
    axes = by_panel.get((str(note.xref or "x"), "y"), next(iter(by_panel.values())))
    log = _axis(figure, "x").type == "log"
    place = 10.0**note.x if log else note.x
    transform = axes.get_xaxis_transform() if note.yref == "paper" else axes.transData
    axes.text(place, note.y, text, transform=transform, ha="center", va="bottom", fontsize="small")


def _off(figure: Any, panel: tuple[str, str], note: Any) -> float:
    """Return how far an annotation is from the top centre of a panel, of the plot's size."""
    left, right = _domain(figure, "x", panel[0])
    aside, above = (left + right) / 2 - note.x, _domain(figure, "y", panel[1])[1] - note.y
    return float(abs(aside) + abs(above))


def _legend(page: Any, figure: Any, inks: Inks, style: PrintStyle) -> float:
    """Draw the legend above the plot; return its height in inches, 0 without one."""
    from matplotlib.figure import Figure

    named: dict[str, tuple[int, Any]] = {}
    for at, trace in enumerate(figure.data):
        if trace.name and trace.showlegend is not False and trace.visible in (None, True):
            named.setdefault(plain(trace.name), (at, trace))
    if figure.layout.showlegend is False or len(named) < 2:
        return 0.0
    sample, handles = Figure().add_subplot(), []
    for at, trace in named.values():
        before = {*sample.get_children()}
        own = trace.to_plotly_json() | {"x": [0.0], "y": [0.0], "error_x": None, "error_y": None}
        if trace.fill == "toself":
            own |= {"x": [0.0, 1.0, 1.0, 0.0], "y": [0.0, 0.0, 1.0, 1.0]}
        for key in ("color", "symbol", "size"):
            value = getattr(trace.marker, key, None)
            if isinstance(value, list | tuple | np.ndarray):
                own.setdefault("marker", {})[key] = value[0]
        printed_traces.draw(sample, type(trace)(own), inks, (None, None), at)
        handles.append(tuple(one for one in sample.get_children() if one not in before))
    line = 0.83 * style.font_size / 72  # of small letters
    widest = max(len(name) for name in named) * 0.62 * line + 3.6 * line
    columns = max(1, min(len(named), int(style.width / widest)))
    page.legend(handles, list(named), loc="outside upper center", ncols=columns,
                handlelength=1.8, fontsize="small")  # fmt: skip
    return 1.5 * line * -(-len(named) // columns)
