"""Figures of an optimisation: the progress of a running fit, and the replay of a stored one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
import pandas as pd

from csvcore.figures.law import ACCURACY_AXIS, CURVE_COLOUR, MARKERS, MSE_AXIS, PALETTE, SCORE_AXIS
from csvcore.records import Fit, Floats, Glimpse, Replay, Side
from csvcore.scaling import sigmoid_law

MARGIN = {"l": 10, "r": 10, "t": 10, "b": 10}
GRID = 80  # points of a curve
FRAME_MS, MOVE_MS = 450, 350
# Buttons with a ground of their own read the same on a light and on a dark page; the text reads
# also on the light blue that Plotly lays under the pointer.
BUTTON_TEXT, BUTTON_GROUND, BUTTON_EDGE = "#262730", "#E6EAF1", "#777777"
SLIDER_BELOW = 100  # pixels below the plot: room for slanted labels of stages and the axis title
SIDE_DASHES: dict[Side, str] = {"train": "solid", "validation": "dot", "test": "dash"}


def errors_so_far(glimpses: Sequence[Glimpse]) -> Any:
    """Draw the MSE of train (line) and validation models (dots) over the steps so far, by task."""
    import plotly.graph_objects as go

    figure = go.Figure()
    for number, glimpse in enumerate(glimpses):
        colour = PALETTE[number % len(PALETTE)]
        for side, values in (
            ("train", [entry.train_mse for entry in glimpse.trace]),
            ("validation", [entry.validation_mse for entry in glimpse.trace]),
        ):
            figure.add_scatter(
                x=[entry.step for entry in glimpse.trace],
                y=values,
                mode="lines+markers" if len(glimpse.trace) < 3 else "lines",
                line={"color": colour, "dash": "solid" if side == "train" else "dot"},
                name=escape(f"{glimpse.task}, {side}"),
                hovertemplate="step %{x}: %{y:.2e}",
            )
    figure.update_layout(
        xaxis={"title": "step", "rangemode": "nonnegative"},
        yaxis={"title": MSE_AXIS, "type": "log", "exponentformat": "e"},
        height=300,
        margin=MARGIN,
        uirevision="so far",
    )
    return figure


def law_so_far(glimpse: Glimpse) -> Any:
    """Draw the law at the last step with its train and validation models."""
    import plotly.graph_objects as go

    score, accuracy = np.array(glimpse.score), np.array(glimpse.accuracy)
    validates = np.array(glimpse.validates, dtype=bool)
    law = glimpse.trace[-1]
    low, high = _range(score)
    grid = np.linspace(low, high, GRID)
    figure = go.Figure(_curve(grid, law.alpha, law.beta, glimpse.gamma))
    for side, on in (("train", ~validates), ("validation", validates)):
        figure.add_scatter(
            x=score[on],
            y=accuracy[on],
            mode="markers",
            marker={
                "color": PALETTE[0] if side == "train" else PALETTE[1],
                "symbol": MARKERS[side],
                "size": 8,
                "opacity": 0.85,
            },
            name=side,
            hovertemplate="score %{x:.4f}, accuracy %{y:.3f}<extra></extra>",
        )
    figure.update_layout(
        xaxis={"title": SCORE_AXIS, "range": [low, high]},
        yaxis={"title": f"{escape(glimpse.task)}, {ACCURACY_AXIS}", "range": [-0.03, 1.03]},
        height=300,
        margin=MARGIN,
        legend={"orientation": "h", "y": 1.15},
        uirevision=glimpse.task,
    )
    return figure


@dataclass(frozen=True, slots=True)
class _Group:
    """The models of one family and side; columns: their places in the replay's scores."""

    family: str
    side: str
    rows: pd.DataFrame
    columns: list[int]


def replay_figure(
    table: pd.DataFrame,
    replay: Replay,
    fit: Fit,
    errors: Mapping[Side, Floats],
    colours: dict[str, str],
) -> Any:
    """Draw the models and the law at every stage of a fit as frames, with the errors beside them.

    All frames share their axes. The figure has a slider and a play button and needs no server.

    Args:
        table: the models to show, columns of `store.predictions`.
        replay: of the fit.
        fit: the fit.
        errors: from `replays.side_errors`.
        colours: from `family_colours`.
    """
    labels = stage_labels(replay, fit)
    column = {model: k for k, model in enumerate(replay.models)}
    shown = table[table["model"].isin(column)]
    groups = [
        _Group(str(keys[0]), str(keys[1]), rows, [column[model] for model in rows["model"]])
        for keys, rows in shown.groupby(["family", "split"], sort=True)
    ]
    scores = _range(replay.score[:, [column[model] for model in shown["model"]]])
    grid = np.linspace(*scores, GRID)
    frames = [
        _changes(replay, k, grid, fit.gamma, groups, (labels[k], errors))
        for k in range(len(labels))
    ]
    traces = [
        _curve(grid, replay.alpha[0], replay.beta[0], fit.gamma),
        *(_points(group, colours) for group in groups),
        _stage_marker(),
    ]
    unit = "step" if fit.choice is None else "penalty"
    figure = _replay_axes(scores, unit, labels)
    first = [trace | change for trace, change in zip(traces, frames[0], strict=True)]
    for number, trace in enumerate(first):
        figure.add_trace(trace, row=1, col=2 if number == len(first) - 1 else 1)
    for side, values in errors.items():
        figure.add_trace(_error_line(side, labels, values), row=1, col=2)
    figure.frames = [
        {"name": str(k), "data": changes, "traces": list(range(len(first)))}
        for k, changes in enumerate(frames)
    ]
    figure.update_layout(
        height=520,
        margin=MARGIN | {"t": 30},
        legend={"orientation": "h", "y": 1.12, "x": 1, "xanchor": "right"},
        uirevision=fit.fit,
        sliders=[_slider(unit, labels, replay.kept)],
        updatemenus=[_buttons()],
    )
    return figure


def _changes(
    replay: Replay,
    k: int,
    grid: Floats,
    gamma: float,
    groups: Sequence[_Group],
    stage: tuple[str, Mapping[Side, Floats]],
) -> list[dict[str, Any]]:
    """Return the changes of stage k to the first stage's traces; colours and texts stay."""
    label, errors = stage
    now = [values[k] for values in errors.values()]
    return [
        {"type": "scatter", "y": sigmoid_law(grid, replay.alpha[k], replay.beta[k], gamma)},
        *({"type": "scatter", "x": replay.score[k][group.columns]} for group in groups),
        {"type": "scatter", "x": [label] * len(now), "y": now},
    ]


def _replay_axes(scores: tuple[float, float], unit: str, labels: list[str]) -> Any:
    """Return an empty figure: accuracy against score at the left, errors by stage at the right."""
    from plotly.subplots import make_subplots

    figure = make_subplots(1, 2, column_widths=[0.62, 0.38], horizontal_spacing=0.17)
    figure.update_xaxes(title=SCORE_AXIS, range=list(scores), row=1, col=1)
    figure.update_yaxes(title=ACCURACY_AXIS, range=[-0.03, 1.03], row=1, col=1)
    figure.update_xaxes(
        title=unit, type="category", categoryorder="array", categoryarray=labels, row=1, col=2
    )
    figure.update_yaxes(
        title={"text": MSE_AXIS, "standoff": 5}, type="log", exponentformat="e", row=1, col=2
    )
    return figure


def stage_labels(replay: Replay, fit: Fit) -> list[str]:
    """Return the names of the stages: numbers of steps, or penalties from the baseline on."""
    if fit.choice is None:
        return [f"{step:.0f}" for step in replay.at]
    return ["baseline" if np.isinf(strength) else f"{strength:.0e}" for strength in replay.at]


def _range(score: Any) -> tuple[float, float]:
    low, high = float(np.min(score)), float(np.max(score))
    margin = 0.06 * (high - low) or 0.01
    return low - margin, high + margin


def _curve(grid: Floats, alpha: float, beta: float, gamma: float) -> dict[str, Any]:
    return {
        "type": "scatter",
        "x": grid,
        "y": sigmoid_law(grid, alpha, beta, gamma),
        "mode": "lines",
        "line": {"color": CURVE_COLOUR, "width": 2},
        "name": "law",
        "showlegend": False,
        "hoverinfo": "skip",
    }


def _points(group: _Group, colours: Mapping[str, str]) -> dict[str, Any]:
    """Return the trace of one family and side without scores, which change with the stage."""
    return {
        "type": "scatter",
        "y": group.rows["accuracy"].tolist(),
        "mode": "markers",
        "marker": {
            "color": colours[group.family],
            "symbol": MARKERS[group.side],
            "size": 11 if group.side == "test" else 8,
            "opacity": 0.85,
            "line": {"width": 0.5, "color": CURVE_COLOUR},
        },
        "name": escape(f"{group.family}, {group.side}"),
        "showlegend": False,
        "text": group.rows["model"].map(escape).tolist(),
        "hovertemplate": "%{text}<br>accuracy %{y:.3f}, score %{x:.4f}<extra></extra>",
    }


def _stage_marker() -> dict[str, Any]:
    """Return the marker of the shown stage on the lines of the errors."""
    return {
        "type": "scatter",
        "mode": "markers",
        "marker": {
            "color": CURVE_COLOUR,
            "size": 13,
            "symbol": "circle-open",
            "line": {"width": 3},
        },
        "name": "shown",
        "showlegend": False,
        "hoverinfo": "skip",
    }


def _error_line(side: Side, labels: list[str], values: Floats) -> dict[str, Any]:
    return {
        "type": "scatter",
        "x": labels,
        "y": values,
        "mode": "lines",
        "line": {"color": PALETTE[list(SIDE_DASHES).index(side)], "dash": SIDE_DASHES[side]},
        "name": side,
        "hovertemplate": f"{side} MSE at %{{x}}: %{{y:.2e}}<extra></extra>",
    }


def _slider(unit: str, labels: list[str], kept: int) -> dict[str, Any]:
    now = {"mode": "immediate", "frame": {"duration": 0, "redraw": False}}
    moves = now | {"transition": {"duration": 150}}
    return {
        "active": 0,
        "currentvalue": {"prefix": f"{unit} "},
        "pad": {"t": SLIDER_BELOW, "l": 150, "r": 30},
        "steps": [
            {
                "label": f"{label}, kept" if k == kept else label,
                "method": "animate",
                "args": [[str(k)], moves],
            }
            for k, label in enumerate(labels)
        ],
    }


def _buttons() -> dict[str, Any]:
    play = {
        "frame": {"duration": FRAME_MS, "redraw": False},
        "transition": {"duration": MOVE_MS, "easing": "linear"},
        "mode": "immediate",
    }
    stop = {"frame": {"duration": 0, "redraw": False}, "mode": "immediate"}
    return {
        "type": "buttons",
        "direction": "left",
        "showactive": False,
        "bgcolor": BUTTON_GROUND,
        "bordercolor": BUTTON_EDGE,
        "font": {"color": BUTTON_TEXT},
        "x": 0,
        "xanchor": "left",
        "y": 0,
        "yanchor": "top",
        "pad": {"t": SLIDER_BELOW + 28},
        "buttons": [
            {"label": "Play", "method": "animate", "args": [None, play]},
            {"label": "Pause", "method": "animate", "args": [[None], stop]},
        ],
    }
