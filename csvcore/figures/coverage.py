"""Figures of the stored data: coverage by run and source, and the models of a split."""

from html import escape
from typing import Any

import numpy as np
import pandas as pd

from csvcore.figures.law import CURVE_COLOUR, MARKERS, millions, short_run

MISSING_COLOURS = ((0.0, "#B2182B"), (0.5, "#EF8A62"), (0.999, "#FDDBC7"), (1.0, "#B8C4CE"))
ROW, WRITTEN = 22, 14  # pixels a row; columns up to which a cell says its share
NO_SIDE = "left out"
MOST_TICKS = 20  # of an axis that counts checkpoints
SIDE_MARKERS = MARKERS | {NO_SIDE: "x-thin"}


def coverage_figure(shares: pd.DataFrame, what: str) -> Any:
    """Draw the stored share of each run (row) and source (column); incomplete cells are red.

    Args:
        shares: runs by sources, from 0 (nothing stored) to 1.
        what: what is stored, for the tooltip.
    """
    import plotly.graph_objects as go

    values = shares.to_numpy(dtype=np.float64)
    told = [["" if value == 1 else f"{value:.0%}" for value in row] for row in values]
    columns = [escape(str(name)) for name in shares.columns]
    figure = go.Figure(
        go.Heatmap(
            z=values,
            x=columns,
            y=[escape(short_run(str(name))) for name in shares.index],
            zmin=0,
            zmax=1,
            colorscale=[list(stop) for stop in MISSING_COLOURS],
            showscale=False,
            xgap=2,
            ygap=2,
            text=told,
            texttemplate="%{text}" if len(columns) <= WRITTEN else None,
            hovertemplate=f"%{{y}}, %{{x}}: %{{z:.1%}} of {what}<extra></extra>",
        )
    )
    figure.update_yaxes(autorange="reversed", title=None, type="category", automargin=True)
    figure.update_xaxes(side="top", type="category")
    figure.update_layout(height=70 + ROW * len(shares), margin={"l": 10, "r": 10, "t": 40, "b": 10})
    return figure


def tree_figure(table: pd.DataFrame, colours: dict[str, str]) -> Any:
    """Draw families and their runs as rows, with the checkpoints of a run in each row.

    The colour is the family, the marker the side in the split.

    Args:
        table: model, family, n_params, stage, run, step, train_tokens and split (missing: left
            out).
        colours: from `law.family_colours`.
    """
    import plotly.graph_objects as go

    rows = table.assign(
        split=table["split"].astype(object).fillna(NO_SIDE),
        label=[
            " ".join(part for part in (_size(size), _known(stage), _known(run)) if part)
            for size, stage, run in zip(
                table["n_params"], table["stage"], table["run"], strict=True
            )
        ],
    ).sort_values(["family", "n_params", "stage", "run", "step", "train_tokens", "model"])
    rows["checkpoint"] = rows.groupby(["family", "label"], sort=False).cumcount() + 1
    # An invisible marker for each row comes first: Plotly orders both levels of the axis by first
    # appearance.
    order = rows.drop_duplicates(["family", "label"]).sort_values(
        ["n_params", "stage", "run", "family"]
    )
    invisible = {
        "type": "scatter",
        "x": [1] * len(order),
        "y": _rows(order),
        "mode": "markers",
        "marker": {"opacity": 0},
        "showlegend": False,
        "hoverinfo": "skip",
    }
    groups = rows.groupby(["family", "split"], sort=False)
    traces = [_checkpoints(str(keys[0]), str(keys[1]), part, colours) for keys, part in groups]
    figure = go.Figure([invisible, *traces])
    figure.update_yaxes(autorange="reversed", type="multicategory", automargin=True)
    figure.update_xaxes(
        title="checkpoint of the run, first to last",
        dtick=-(-int(rows["checkpoint"].max()) // MOST_TICKS),
        automargin=True,
    )
    figure.update_layout(height=80 + ROW * len(order), margin={"l": 10, "r": 10, "t": 10, "b": 10})
    return figure


def _checkpoints(
    family: str, side: str, rows: pd.DataFrame, colours: dict[str, str]
) -> dict[str, Any]:
    """Return the trace of the checkpoints of one family and side."""
    return {
        "type": "scatter",
        "x": rows["checkpoint"].tolist(),
        "y": _rows(rows),
        "mode": "markers",
        "marker": {
            "color": colours[family],
            "symbol": SIDE_MARKERS[side],
            "size": 12 if side == "test" else 9,
            "line": {"width": 2 if side == NO_SIDE else 0.5, "color": CURVE_COLOUR},
        },
        "name": escape(f"{family}, {side}"),
        "showlegend": False,
        "text": rows["model"].map(escape).tolist(),
        "customdata": np.stack([rows["split"], rows["train_tokens"].map(_tokens)], axis=-1),
        "hovertemplate": "%{text}<br>%{customdata[0]}%{customdata[1]}<extra></extra>",
    }


def _rows(table: pd.DataFrame) -> list[list[str]]:
    """Return both levels of the axis."""
    return [table["family"].map(escape).tolist(), table["label"].map(escape).tolist()]


def _known(name: object) -> str:
    return name if isinstance(name, str) else ""


def _size(n_params: float) -> str:
    return "" if pd.isna(n_params) else millions(float(n_params))


def _tokens(count: float) -> str:
    return "" if pd.isna(count) else f", after {count:,.0f} tokens"
