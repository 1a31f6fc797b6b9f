"""Small multiples as in the paper's figures: one panel for each task, split or method."""

from collections.abc import Sequence
from html import escape
from typing import Any

import pandas as pd

from csvcore.analysis.trivial_baselines import FLOPS
from csvcore.figures.law import (
    ACCURACY_AXIS,
    CURVE_COLOUR,
    MSE_AXIS,
    PALETTE,
    SCORE_AXIS,
    law_traces,
)
from csvcore.records import Fit, ScalingFit

# Room for entries that stand below each other where the page is narrow.
LEGEND_ABOVE = {
    "showlegend": True,
    "legend": {"orientation": "h", "yref": "container", "y": 0.99, "yanchor": "top"},
    "margin": {"t": 110},
}


def law_panels(
    panels: Sequence[tuple[str, pd.DataFrame, Fit | ScalingFit]],
    colours: dict[str, str],
    n_columns: int = 3,
) -> Any:
    """Draw several laws with their models as panels (the paper's Figures 2 to 6).

    Args:
        panels: title, predictions and law of each.
        colours: from `family_colours`.
        n_columns: panels in a row.
    """
    figure = _grid([title for title, *_ in panels], n_columns, SCORE_AXIS, ACCURACY_AXIS)
    for at, (_, table, law) in enumerate(panels):
        place = {"row": at // n_columns + 1, "col": at % n_columns + 1}
        for trace in law_traces(table, law, law.gamma, colours):
            figure.add_trace(trace, **place)
        figure.add_hline(
            y=law.gamma, line={"dash": "dot", "color": CURVE_COLOUR, "width": 1}, **place
        )
    figure.update_yaxes(range=[-0.03, 1.03])
    figure.update_traces(marker_size=6, selector={"mode": "markers"})
    return figure


def compute_panels(table: pd.DataFrame, tasks: Sequence[str], colours: dict[str, str]) -> Any:
    """Draw accuracy on each task against training compute, by family (the paper's Figure 1).

    Args:
        table: one row a checkpoint: model, family, n_params, train_tokens and a column a task.
        tasks: columns to draw.
        colours: from `family_colours`.
    """
    import plotly.graph_objects as go

    figure = _grid(tasks, 3, "training compute, FLOPs", ACCURACY_AXIS)
    compute = FLOPS * table["n_params"] * table["train_tokens"]
    for at, task in enumerate(tasks):
        for number, (family, rows) in enumerate(table.groupby("family", sort=True)):
            figure.add_trace(
                go.Scatter(
                    x=compute[rows.index],
                    y=rows[task],
                    mode="markers",
                    marker={
                        "color": colours[str(family)],
                        "symbol": ("circle", "diamond-open", "star", "x")[number % 4],
                        "size": 7,
                    },
                    name=escape(str(family)),
                    showlegend=at == 0,
                    text=rows["model"].map(escape),
                    hovertemplate="%{text}<br>%{x:.2e} FLOPs, accuracy %{y:.3f}<extra></extra>",
                ),
                row=at // 3 + 1,
                col=at % 3 + 1,
            )
    figure.update_xaxes(type="log", exponentformat="power")
    figure.update_yaxes(range=[-0.03, 1.03])
    figure.update_layout(**LEGEND_ABOVE)
    return figure


def parity_panels(
    panels: Sequence[tuple[str, pd.DataFrame]], colours: dict[str, str], n_columns: int = 3
) -> Any:
    """Draw observed against predicted accuracy of the test models (the paper's Figure 7).

    Args:
        panels: title and predictions of each.
        colours: from `family_colours`.
        n_columns: panels in a row.
    """
    import plotly.graph_objects as go

    figure = _grid(
        [title for title, _ in panels],
        n_columns,
        f"predicted {ACCURACY_AXIS}",
        "observed accuracy, 0 to 1",
    )
    for at, (_, table) in enumerate(panels):
        place = {"row": at // n_columns + 1, "col": at % n_columns + 1}
        line = {"color": CURVE_COLOUR, "width": 1}
        figure.add_trace(go.Scatter(x=[0, 1], y=[0, 1], mode="lines", line=line), **place)
        for family, rows in table[table["split"] == "test"].groupby("family", sort=True):
            figure.add_trace(
                go.Scatter(
                    x=rows["predicted"],
                    y=rows["accuracy"],
                    mode="markers",
                    marker={"color": colours[str(family)], "size": 6},
                    name=escape(str(family)),
                    legendgroup=escape(str(family)),
                    text=rows["model"].map(escape),
                    hovertemplate="%{text}<br>predicted %{x:.3f}, observed %{y:.3f}<extra></extra>",
                ),
                **place,
            )
    figure.update_xaxes(range=[-0.03, 1.03])
    figure.update_yaxes(range=[-0.03, 1.03])
    return figure


def mix_panels(table: pd.DataFrame, tasks: Sequence[str], floor: dict[str, float]) -> Any:
    """Draw test error against the number of sources in the validation text (the paper's Figure 8).

    Args:
        table: one row a mix and task: task, n_sources, test_mse, has_own (the task's source is in
            it), sources (their names).
        tasks: panels.
        floor: noise floor of each task.
    """
    figure = _grid(tasks, 3, "sources in the mix", f"test {MSE_AXIS}")
    for at, task in enumerate(tasks):
        place = {"row": at // 3 + 1, "col": at % 3 + 1}
        for trace in _mix_traces(table[table["task"] == task], showlegend=at == 0):
            figure.add_trace(trace, **place)
        figure.add_hline(
            y=floor[task], line={"dash": "dot", "color": CURVE_COLOUR, "width": 1}, **place
        )
    figure.update_yaxes(type="log", exponentformat="power")
    figure.update_layout(**LEGEND_ABOVE)
    return figure


def _mix_traces(rows: pd.DataFrame, showlegend: bool) -> list[dict[str, Any]]:
    """Return the mixes of one task with and without its own source, and their median."""
    traces: list[dict[str, Any]] = []
    for has_own, symbol, colour, name in (
        (True, "circle", PALETTE[0], "with the task's own source"),
        (False, "diamond-open", PALETTE[1], "other sources only"),
    ):
        mixes = rows[rows["has_own"] == has_own]
        traces.append(
            {
                "type": "scatter",
                "x": mixes["n_sources"] + (-0.1 if has_own else 0.1),
                "y": mixes["test_mse"],
                "mode": "markers",
                "marker": {"color": colour, "symbol": symbol, "size": 6},
                "name": name,
                "showlegend": showlegend,
                "text": mixes["sources"].map(escape),
                "hovertemplate": "%{text}<br>test MSE %{y:.2e}<extra></extra>",
            }
        )
    median = rows.groupby("n_sources")["test_mse"].median()
    line = {"color": CURVE_COLOUR, "width": 2}
    traces.append(
        {
            "type": "scatter",
            "x": median.index,
            "y": median,
            "mode": "lines",
            "line": line,
            "name": "median",
            "showlegend": showlegend,
        }
    )
    return traces


def _grid(titles: Sequence[str], n_columns: int, x: str, y: str) -> Any:
    """Return empty panels with titles, and shared titles of the x and y axes."""
    from plotly.subplots import make_subplots

    n_rows = -(-len(titles) // n_columns)
    figure = make_subplots(
        rows=n_rows,
        cols=n_columns,
        subplot_titles=[escape(title) for title in titles],
        vertical_spacing=0.28 / n_rows,
        horizontal_spacing=0.07,
        x_title=x,
        y_title=y,
    )
    figure.update_layout(
        height=60 + 250 * n_rows, margin={"l": 70, "r": 10, "t": 40, "b": 60}, showlegend=False
    )
    return figure
