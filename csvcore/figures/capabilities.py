"""Figures of the factors that tasks share: loadings of tasks, and profiles of models."""

from collections.abc import Sequence
from html import escape
from typing import Any

from csvcore.capability_records import Capabilities, Profile
from csvcore.figures.law import PALETTE

SYMBOLS = ("circle", "diamond")
SHADES = ((0.0, "#f3f0f7"), (1.0, "#4a2378"))  # light to dark in grey, too


def factor_name(found: Capabilities, number: int) -> str:
    """Return the name of a factor: its number and the task that it began as."""
    return f"F{number} {found.factors[number - 1].anchor}"


def loadings_figure(found: Capabilities) -> Any:
    """Draw the map of tasks: a row for each task, shaded by the shares of its loadings."""
    import plotly.graph_objects as go

    shares = [list(row.share) for row in found.tasks]
    figure = go.Figure(
        go.Heatmap(
            z=shares,
            x=[escape(factor_name(found, factor.number)) for factor in found.factors],
            y=[escape(row.task) for row in found.tasks],
            zmin=0.0,
            zmax=1.0,
            colorscale=[list(shade) for shade in SHADES],
            texttemplate="%{z:.2f}",
            hovertemplate="%{y} on %{x}: %{z:.2f}<extra></extra>",
            showscale=False,
            xgap=2,
            ygap=2,
        )
    )
    figure.update_yaxes(autorange="reversed")
    figure.update_layout(height=110 + 40 * len(shares), margin={"l": 10, "r": 10, "t": 10, "b": 10})
    return figure


def profiles_figure(found: Capabilities, profiles: Sequence[Profile]) -> Any:
    """Draw up to two models over the factors with 90 % intervals; further right is better."""
    import plotly.graph_objects as go

    names = [escape(factor_name(found, factor.number)) for factor in found.factors]
    figure = go.Figure()
    for place, profile in enumerate(profiles):
        values = [-value for value in profile.score]
        figure.add_scatter(
            x=values,
            y=names,
            mode="markers",
            name=escape(profile.model),
            marker={"color": PALETTE[place], "symbol": SYMBOLS[place % 2], "size": 11},
            error_x={
                "type": "data",
                "symmetric": False,
                "array": [-low - value for low, value in zip(profile.low, values, strict=True)],
                "arrayminus": [
                    value + high for high, value in zip(profile.high, values, strict=True)
                ],
            },
            hovertemplate="%{y}: %{x:.2f}<extra></extra>",
        )
    figure.add_vline(x=0.0, line={"dash": "dot"})
    figure.update_xaxes(title="minus the factor's score, standard deviations of the models")
    figure.update_yaxes(categoryorder="array", categoryarray=names[::-1])
    figure.update_layout(
        height=150 + 40 * len(names),
        margin={"l": 10, "r": 10, "t": 30, "b": 10},
        legend={"orientation": "h", "y": 1.1},
    )
    return figure
