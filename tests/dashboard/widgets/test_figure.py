"""Laws of what can be taken away from a page: figures, their tables, links."""

import io
import re

import pandas as pd
import plotly.graph_objects as go
from hypothesis import given
from hypothesis import strategies as st

from csvcore.figures import law
from dashboard.widgets import figure

BAD = "<img src=x onerror=alert(1)>"


def test_a_figures_page_loads_nothing_and_runs_nothing_of_its_data() -> None:
    chart = go.Figure(go.Scatter(x=[1], y=[2], text=[BAD]))
    chart.update_layout(title=BAD)
    before = chart.to_json()
    made = figure.page(chart, f"Accuracy {BAD}")
    outside = re.sub(r"<script[^>]*>.*?</script>", "", made, flags=re.DOTALL)
    assert not re.search(r"(src|href)\s*=|url\(|@import", outside.replace("src=x", ""))
    assert BAD not in made
    assert made.count("Plotly.newPlot") == 1
    assert chart.to_json() == before  # the page's own keeps its theme


@given(st.text(max_size=120))
def test_a_file_name_is_harmless_whatever_the_task_is_called(name: str) -> None:
    found = figure.file_name(name)
    assert found
    assert len(found) <= 80
    assert not re.search(r"[^\w.-]", found)
    assert not found.startswith(".")


def test_the_table_comes_back_from_its_csv_and_formulas_are_text() -> None:
    table = pd.DataFrame(
        {"model": ["a,b", '=HYPERLINK("x")', "@sum"], "=score": [-1.5, float("nan"), 2.0]}
    )
    again = pd.read_csv(io.BytesIO(figure.csv(table)))
    assert again["model"].tolist() == ["a,b", '\'=HYPERLINK("x")', "'@sum"]
    assert again["'=score"].tolist()[::2] == [-1.5, 2.0]
    assert table.columns.tolist() == ["model", "=score"]


def test_the_file_of_a_figure_tells_every_colour_and_mark_once_beside_the_plot() -> None:
    drawn = go.Figure(
        [
            go.Scatter(x=[1], y=[1], name="a, train", showlegend=False),
            go.Scatter(x=[2], y=[2], name="a, train", showlegend=False),
            go.Scatter(x=[3], y=[3], name="train"),
            go.Scatter(x=[4], y=[4]),
        ],
        layout={"legend": {"orientation": "h", "y": 1.1}, "height": 300},
    )
    told = law.with_legend(drawn)
    assert [trace.showlegend for trace in told.data] == [True, False, True, False]
    assert (told.layout.showlegend, told.layout.legend.orientation) == (True, "v")
    assert told.layout.legend.x > 1
    assert drawn.layout.legend.orientation == "h"  # the page's own stays
    assert law.with_legend(told).data == told.data
    assert '"name":"a, train","showlegend":true' in figure.page(drawn, "title")


def test_bars_of_losses_stand_by_loss_and_their_colours_have_names() -> None:
    table = pd.DataFrame({"model": ["<m>", "n", "o"], "family": ["b", "a", "b"]})
    table["nll"] = [3.0, 2.0, 1.0]
    chart = law.loss_bars(table, {"a": "#111111", "b": "#222222"})
    assert list(chart.layout.xaxis.categoryarray) == ["o", "n", "&lt;m&gt;"]
    assert {bars.name: (bars.marker.color, len(bars.x)) for bars in chart.data} == {
        "a": ("#111111", 1),
        "b": ("#222222", 2),
    }
