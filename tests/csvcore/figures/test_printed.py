"""Laws of printed figures: real SVG and PDF of the asked size, every text there, grey is grey."""

import re
import xml.etree.ElementTree as ET
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest

from csvcore.errors import InputError
from csvcore.figures import law, panels, printed
from csvcore.figures.printed import PrintStyle
from csvcore.figures.printed_traces import Inks
from csvcore.records import ScalingFit

PLAIN = PrintStyle()
COLOURS = law.family_colours(["ant", "bee"])


def laws(n: int = 2) -> Any:
    """Panels of two families on a falling law."""
    table = pd.DataFrame(
        {
            "model": [f"{family}-{k}" for family in COLOURS for k in range(3)],
            "family": [family for family in COLOURS for _ in range(3)],
            "split": ["train", "validation", "test"] * 2,
            "score": np.linspace(0.2, 0.8, 6),
            "accuracy": np.linspace(0.9, 0.1, 6),
            "predicted": np.linspace(0.8, 0.2, 6),
            "low": 0.0,
            "high": 1.0,
        }
    )
    fit = ScalingFit(-9.0, 0.5, 0.1, 0.01, 6)
    return panels.law_panels([(f"cost ${k}$", table, fit) for k in range(n)], COLOURS)


def svg(figure: Any, style: PrintStyle = PLAIN) -> str:
    return printed.printed(figure, style, "svg").decode()


@pytest.mark.parametrize("width", [3.4, 7.0])
def test_a_figure_is_as_wide_as_asked_and_its_words_as_large(width: float) -> None:
    style = PrintStyle(width, 8.0)
    page = svg(laws(), style)
    assert ET.fromstring(page).attrib["width"] == f"{72 * width:g}pt"
    assert re.search(r"\b8px\b", page)
    box = re.search(rb"/MediaBox \[ 0 0 ([\d.]+)", printed.printed(laws(), style, "pdf"))
    assert box is not None
    assert float(box[1]) == pytest.approx(72 * width)


def test_every_title_and_name_is_there_as_text() -> None:
    texts = "".join(ET.fromstring(svg(laws())).itertext())
    for word in (
        "cost $0$",
        "cost $1$",
        law.SCORE_AXIS,
        law.ACCURACY_AXIS,
        "ant, train",
        "bee, test",
    ):
        assert word in texts


def test_each_form_is_what_it_says_and_equal_figures_give_equal_files() -> None:
    for form, head in (("svg", b"<?xml"), ("pdf", b"%PDF"), ("png", b"\x89PNG")):
        first, second = (printed.printed(laws(), PrintStyle(), form) for _ in range(2))
        assert first.startswith(head)
        assert first == second


def test_grey_has_no_hue_and_tells_families_apart_by_form() -> None:
    page = svg(laws(), PrintStyle(theme="grey"))
    for red, green, blue in re.findall(r"#(..)(..)(..)\b", page):
        assert red == green == blue
    inks = Inks(COLOURS.values(), grey=True)
    ant, bee = (inks.marker(colour, "circle") for colour in COLOURS.values())
    assert ant["marker"] != bee["marker"]
    assert ant["facecolors"] != bee["facecolors"]
    validation, test = (inks.marker(COLOURS["ant"], of) for of in ("diamond", "star"))
    assert validation["facecolors"] == "white"
    assert test["linewidths"] > ant["linewidths"]
    assert COLOURS["ant"].lower() in svg(laws())


def test_bars_maps_categories_and_logarithms_are_drawn() -> None:
    bars = go.Figure(go.Bar(x=[1.0, 2.0], y=["b", "a"], orientation="h"))
    bars.update_xaxes(type="log", title="nats")
    heat = go.Figure(go.Heatmap(z=[[0.0, 1.0]], x=["p", "q"], y=["row"], text=[["half", ""]],
                                texttemplate="%{text}"))  # fmt: skip
    rows = go.Figure(go.Scatter(x=[1, 2], y=[["one", "one"], ["s", "m"]], mode="markers"))
    rows.update_yaxes(type="multicategory")
    for figure, words in ((bars, "ba"), (heat, ["half", "row", "p"]), (rows, ["one  s", "one  m"])):
        texts = "".join(ET.fromstring(svg(figure)).itertext())
        assert all(word in texts for word in words)


def test_what_cannot_be_printed_is_refused_with_the_next_step() -> None:
    with pytest.raises(InputError, match=r"a pie trace is not drawn .* export this figure as html"):
        printed.printed(go.Figure(go.Pie(values=[1])), PrintStyle(), "svg")
    with pytest.raises(InputError, match=r"width of 99 inches is outside 1.5 to 20"):
        PrintStyle(99.0)
    with pytest.raises(InputError, match=r"font size of 1 points is outside 4 to 24"):
        PrintStyle(font_size=1.0)


def test_the_toolbar_gets_its_room_once_and_only_where_a_legend_is() -> None:
    figure = law.with_legend(laws())
    before = figure.layout.margin.t, figure.layout.height
    for _ in range(2):
        law.below_toolbar(figure)
        assert figure.layout.margin.t == before[0] + law.TOOLBAR
        assert figure.layout.height == before[1] + law.TOOLBAR
    alone = go.Figure(go.Scatter(x=[1], y=[1]))
    law.below_toolbar(alone)
    assert alone.layout.margin.t is None


def test_the_band_of_an_interval_is_an_area_and_no_line() -> None:
    figure = go.Figure()
    figure.add_scatter(
        x=[1, 2, 2, 1], y=[2, 3, 1, 1], mode="lines", line={"width": 0}, fill="toself", name="band"
    )
    figure.add_scatter(x=[1, 2], y=[1.5, 2], mode="lines", name="middle")
    bare = go.Figure(figure.data[1:])
    drawn, without = (printed.printed(one, PLAIN, "svg").decode() for one in (figure, bare))
    assert drawn.count("opacity: 0.18") == 2  # the area, and its sample in the legend
    assert "opacity: 0.18" not in without
