"""Figures of fitted laws: accuracy against score, growth, steps and penalties.

Model names are escaped, since Plotly reads some HTML in text.
"""

from collections.abc import Sequence
from dataclasses import asdict
from html import escape
from typing import Any

import numpy as np
import pandas as pd

from csvcore.records import Fit, PenaltyChoice, ScalingFit
from csvcore.scaling import sigmoid_law

PALETTE = (
    "#4477AA", "#CC6677", "#228833", "#AA7722", "#8866BB", "#2299AA", "#BB4499", "#777777",
    "#999933",
)  # fmt: skip
MARKERS = {"train": "circle", "validation": "diamond", "test": "star"}
CURVE_COLOUR = "#888888"
PULL_DASHES = {
    "all-token": "solid",
    "source-token": "dash",
    "label-token": "dot",
    "rank-token": "dashdot",
}
SCORE_AXIS = "capability score, nats per character"
ACCURACY_AXIS = "accuracy, 0 to 1"
MSE_AXIS = "MSE"
TOOLBAR = 36  # pixels at the top of a figure, which Plotly's toolbar takes


def family_colours(families: Sequence[str]) -> dict[str, str]:
    """Return a colour for each family, the same in every figure of the same families."""
    names = sorted(set(families))
    return {name: PALETTE[i % len(PALETTE)] for i, name in enumerate(names)}


def sigmoid_figure(
    table: pd.DataFrame, fit: Fit, colours: dict[str, str], law: ScalingFit | None = None
) -> Any:
    """Draw accuracy against score with the fitted law: colour by family, marker by side.

    Args:
        table: one row a model, columns of `store.predictions`.
        fit: the fit, for its curve.
        colours: from `family_colours`.
        law: another law to draw in place of the fit's own.
    """
    import plotly.graph_objects as go

    figure = go.Figure(law_traces(table, law or fit, fit.gamma, colours))
    chance = {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": fit.gamma, "y1": fit.gamma}
    figure.update_layout(
        shapes=[chance | {"line": {"dash": "dot", "color": CURVE_COLOUR, "width": 1}}],
        xaxis_title=SCORE_AXIS,
        yaxis_title=ACCURACY_AXIS,
        yaxis_range=[-0.03, 1.03],
        showlegend=False,
        height=360,
        margin={"l": 10, "r": 10, "t": 10, "b": 10},
        uirevision=fit.fit,
    )
    return figure


def law_traces(
    table: pd.DataFrame, law: Fit | ScalingFit, gamma: float, colours: dict[str, str]
) -> list[dict[str, Any]]:
    """Return the traces of the fitted curve and its models.

    They are plain dictionaries, which Plotly validates once; trace objects are validated twice.
    """
    low, high = table["score"].min(), table["score"].max()
    margin = 0.06 * (high - low)
    grid = np.linspace(low - margin, high + margin, 200)
    traces: list[dict[str, Any]] = [
        {
            "type": "scatter",
            "x": grid,
            "y": sigmoid_law(grid, law.alpha, law.beta, gamma),
            "mode": "lines",
            "line": {"color": CURVE_COLOUR, "width": 2},
            "name": "fitted law",
            "hoverinfo": "skip",
        }
    ]
    named = table.assign(model=[escape(model) for model in table["model"]])
    groups = named.groupby(["family", "split"], sort=True)
    return traces + [
        _model_points(str(keys[0]), str(keys[1]), rows, colours) for keys, rows in groups
    ]


def _model_points(
    family: str, side: str, rows: pd.DataFrame, colours: dict[str, str]
) -> dict[str, Any]:
    """Return the trace of the models of one family and side."""
    return {
        "type": "scatter",
        "x": rows["score"].tolist(),
        "y": rows["accuracy"].tolist(),
        "mode": "markers",
        "marker": {
            "color": colours[family],
            "symbol": MARKERS[side],
            "size": 11 if side == "test" else 8,
            "opacity": 0.85,
            "line": {"width": 0.5, "color": CURVE_COLOUR},
        },
        "name": escape(f"{family}, {side}"),
        "legendgroup": escape(family),
        "customdata": rows[["model", "predicted", "low", "high"]].values.tolist(),
        "hovertemplate": (
            "%{customdata[0]}<br>observed %{y:.3f}, predicted %{customdata[1]:.3f}"
            "<br>90 % interval %{customdata[2]:.3f} to %{customdata[3]:.3f}"
            "<br>score %{x:.4f}<extra></extra>"
        ),
    }


def growth_figure(table: pd.DataFrame, task: str, colours: dict[str, str]) -> Any:
    """Draw accuracy on a task over training tokens, a line for each run; thicker = larger."""
    import plotly.graph_objects as go

    traces: list[dict[str, Any]] = []
    known = table.dropna(subset=[task, "train_tokens"]).sort_values("train_tokens")
    for key, rows in known.groupby(["family", "n_params", "run"], sort=True, dropna=False):
        family, n_params = str(key[0]), float(rows["n_params"].iloc[0])
        repeat = f" ({key[2]})" if isinstance(key[2], str) else ""
        size = known.loc[known["family"] == family, "n_params"].drop_duplicates().sort_values()
        rank = size.tolist().index(n_params)
        traces.append(
            {
                "type": "scatter",
                "x": rows["train_tokens"].tolist(),
                "y": rows[task].tolist(),
                "mode": "lines+markers",
                "line": {"color": colours[family], "width": 1 + rank},
                "marker": {"size": 5},
                "name": escape(f"{family} {millions(n_params)}{repeat}"),
                "text": rows["model"].map(escape).tolist(),
                "hovertemplate": "%{text}<br>accuracy %{y:.3f}<extra></extra>",
            }
        )
    figure = go.Figure(traces)
    figure.update_layout(
        xaxis_title="training tokens",
        yaxis_title=f"{escape(task)}, {ACCURACY_AXIS}",
        height=380,
        margin={"l": 10, "r": 10, "t": 10, "b": 10},
        uirevision=task,
    )
    return figure


def trace_figure(fits: Sequence[Fit]) -> Any:
    """Draw the MSE of train (line) and validation models (dots) over the steps, by task."""
    import plotly.graph_objects as go

    traces: list[dict[str, Any]] = []
    for i, fit in enumerate(fits):
        steps = [entry.step for entry in fit.trace]
        colour = PALETTE[i % len(PALETTE)]
        for name, values, dash in (
            ("train", [entry.train_mse for entry in fit.trace], "solid"),
            ("validation", [entry.validation_mse for entry in fit.trace], "dot"),
        ):
            traces.append(
                {
                    "type": "scatter",
                    "x": steps,
                    "y": values,
                    "mode": "lines",
                    "line": {"color": colour, "dash": dash},
                    "name": escape(f"{fit.task}, {name}"),
                    "hovertemplate": "step %{x}: %{y:.2e}",
                }
            )
    figure = go.Figure(traces)
    figure.update_layout(
        xaxis_title="step",
        yaxis_title=MSE_AXIS,
        yaxis_type="log",
        yaxis_exponentformat="e",
        height=340,
        margin={"l": 10, "r": 10, "t": 10, "b": 10},
    )
    return figure


def trace_table(fits: Sequence[Fit]) -> pd.DataFrame:
    """Return the data of `trace_figure`. Columns: task, fit, step, train_mse, validation_mse."""
    rows = [{"task": fit.task, "fit": fit.fit, **asdict(one)} for fit in fits for one in fit.trace]
    return pd.DataFrame(rows)


def penalty_table(fits: Sequence[Fit]) -> pd.DataFrame:
    """Return the data of `penalty_figure`: a row for each penalty that was tried.

    Columns: task, fit, pull, strength (missing for the pull alone), points (cross-validated root
    mean squared error, points of accuracy), chosen.
    """
    return pd.DataFrame(
        [
            {
                "task": fit.task,
                "fit": fit.fit,
                "pull": one.pull,
                "strength": one.strength,
                "points": 100 * one.cv_error,
                "chosen": one == fit.choice.chosen,
            }
            for fit in fits
            if fit.choice
            for one in fit.choice.tried
        ]
    )


def penalty_figure(fits: Sequence[Fit]) -> Any:
    """Draw the cross-validated error against the penalty, a line for each task and pull.

    The pull alone, without a head, is at the left. A ring marks the chosen penalty.
    """
    import plotly.graph_objects as go

    traces: list[dict[str, Any]] = []
    strengths: set[float] = set()
    for number, fit in enumerate(fits):
        if fit.choice is not None:
            traces += _penalty_traces(fit.task, fit.choice, PALETTE[number % len(PALETTE)])
            strengths |= {penalty.strength or np.inf for penalty in fit.choice.tried}
    figure = go.Figure(traces)
    figure.update_layout(
        xaxis_title="penalty",
        yaxis_title="cross-validated RMSE, points of accuracy",
        yaxis_type="log",
        height=380,
        margin={"l": 10, "r": 10, "t": 10, "b": 10},
    )
    figure.update_xaxes(
        type="category",
        categoryorder="array",
        categoryarray=[_strength(value) for value in sorted(strengths, reverse=True)],
    )
    return figure


def _penalty_traces(task: str, choice: PenaltyChoice, colour: str) -> list[dict[str, Any]]:
    """Return a line for each pull of one fit, and the ring around its chosen penalty."""
    traces: list[dict[str, Any]] = []
    for pull, dash in PULL_DASHES.items():
        tried = [penalty for penalty in choice.tried if penalty.pull == pull]
        if tried:
            traces.append(
                {
                    "type": "scatter",
                    "x": [_strength(penalty.strength) for penalty in tried],
                    "y": [100 * penalty.cv_error for penalty in tried],
                    "mode": "lines+markers",
                    "line": {"color": colour, "dash": dash},
                    "marker": {"size": 5},
                    "name": escape(f"{task}, towards {pull}"),
                    "hovertemplate": "penalty %{x}: %{y:.1f} points",
                }
            )
    traces.append(
        {
            "type": "scatter",
            "x": [_strength(choice.chosen.strength)],
            "y": [100 * choice.chosen.cv_error],
            "mode": "markers",
            "marker": {"color": colour, "size": 14, "symbol": "circle-open", "line": {"width": 2}},
            "showlegend": False,
            "hoverinfo": "skip",
        }
    )
    return traces


def _strength(value: float | None) -> str:
    return "baseline" if value is None or np.isinf(value) else f"{value:.0e}"


def loss_bars(table: pd.DataFrame, colours: dict[str, str]) -> Any:
    """Draw each model's loss on selected tokens. Columns of table: model, family, nll (nats)."""
    import plotly.graph_objects as go

    ordered = table.sort_values("nll").assign(model=lambda rows: rows["model"].map(escape))
    figure = go.Figure(
        [
            {
                "type": "bar",
                "x": rows["model"].tolist(),
                "y": rows["nll"].tolist(),
                "marker": {"color": colours[str(family)]},
                "name": escape(str(family)),
                "hovertemplate": "%{x} (%{fullData.name})<br>%{y:.3f} nats<extra></extra>",
            }
            for family, rows in ordered.groupby("family", sort=True)
        ]
    )
    figure.update_layout(
        yaxis_title="loss on the selection, nats",
        xaxis={
            "showticklabels": False,
            "title": "models, lowest loss first",
            "type": "category",
            "categoryorder": "array",
            "categoryarray": ordered["model"].tolist(),
        },
        barmode="overlay",  # one bar a model: families do not share its room
        showlegend=False,
        height=260,
        margin={"l": 10, "r": 10, "t": 10, "b": 10},
    )
    return figure


def with_legend(figure: Any) -> Any:
    """Return a copy with a legend that has every trace's name once.

    The legend is right of the plot, which grows until all names fit. A figure whose legend is
    complete is copied unchanged.
    """
    own = type(figure)(figure)
    traces = [trace for trace in own.data if trace.name]
    names = list(dict.fromkeys(trace.name for trace in traces))
    off = own.layout.showlegend is False
    if set(names) <= {one.name for one in traces if not off and one.showlegend is not False}:
        return own
    waiting = set(names)
    for trace in own.data:
        trace.showlegend = trace.name in waiting
        waiting.discard(trace.name)
    own.update_layout(
        showlegend=True,
        height=max(own.layout.height or 450, 110 + 150 * len(own.layout.sliders) + 21 * len(names)),
        margin={"t": max(own.layout.margin.t or 0, 40)},  # the camera stands above the names
        legend={
            "orientation": "v",
            "tracegroupgap": 0,
            **{"x": 1.02, "xanchor": "left", "y": 1, "yanchor": "top"},
        },
    )
    return own


def below_toolbar(figure: Any) -> None:
    """Move the plot and its legend down, once, so that the toolbar at the top covers no name."""
    layout = figure.layout
    named = [trace for trace in figure.data if trace.name and trace.showlegend is not False]
    if layout.meta == TOOLBAR or layout.showlegend is False or len(named) < 2:
        return
    height = (layout.height or 450) + TOOLBAR
    figure.update_layout(meta=TOOLBAR, height=height, margin_t=(layout.margin.t or 0) + TOOLBAR)
    if layout.legend.yref == "container":
        figure.update_layout(legend_y=1.0 - TOOLBAR / height)


def millions(count: float) -> str:
    """Return a number of parameters as text: 0.38 M, 7.0 B."""
    return f"{count / 1e9:.1f} B" if count >= 1e9 else f"{count / 1e6:.2f} M"


def short_run(name: str) -> str:
    """Return a training run's name, `splits.run_name`, with its parameters in millions."""
    name, bracket, repeat = name.partition(" (")
    parts = [millions(float(part)) if part.isdigit() else part for part in name.split(" ")]
    return " ".join(parts) + bracket + repeat


def legend_html(colours: dict[str, str]) -> str:
    """Return a line of HTML that explains the colours and markers of several figures."""
    families = [
        f'<span><b style="color:{colour}">\u25cf</b> {escape(family)}</span>'
        for family, colour in colours.items()
    ]
    sides = [
        f"<span>{mark} {side}</span>"
        for mark, side in zip("\u25cf\u25c6\u2605", MARKERS, strict=True)
    ]
    style = "display:flex;flex-wrap:wrap;gap:0.2rem 1.1rem"
    return f'<div style="{style}">{"".join([*families, *sides])}</div>'
