"""All methods and trivial baselines of one task: figure and table of errors."""

import pandas as pd
import streamlit as st

from csvcore.figures import comparison
from csvcore.methods import label
from csvcore.records import Side
from dashboard.widgets import figure

ON_VALIDATION = (
    " On validation models the errors of the stack and of CSV are slightly optimistic: mix and "
    "penalty were chosen with their help."
)


def show(table: pd.DataFrame, task: str, side: Side) -> None:
    """Draw the figure and the table of `comparisons.comparison`."""
    floor = None if pd.isna(table["noise_floor"].iloc[0]) else float(table["noise_floor"].iloc[0])
    figure.show(
        comparison.baselines_figure(table, floor, side),
        table,
        key="baselines",
        name=f"baselines-{task}",
        alt=f"{side} error of every method and trivial baseline on {task}, with 90 % intervals "
        "and the noise floor",
    )
    titles = {
        "mse": f"{side} MSE",
        "low": "90 % CI, low",
        "high": "90 % CI, high",
        "r2": "R\u00b2",
        "spearman": "Spearman",
        "pairwise": "Pairwise accuracy",
        "covered": "Coverage of 90 % intervals",
        "mae": "Mean absolute error",
        "to_stack": "Difference to the stack",
        "to_stack_low": "Difference to the stack, 90 % CI, low",
        "to_stack_high": "Difference to the stack, 90 % CI, high",
        "difference": "Difference to CSV",
        "difference_low": "Difference to CSV, 90 % CI, low",
        "difference_high": "Difference to CSV, 90 % CI, high",
        "left_out": "Cross-validated MSE",
    }
    squares = {name for name in titles if name.startswith(("difference", "to_stack"))}
    squares |= {"mse", "left_out", "low", "high"}
    columns = ["method", *titles]
    figure.show_table(
        table.assign(method=table["method"].map(label))[columns].dropna(axis="columns", how="all"),
        column_config={
            name: st.column_config.NumberColumn(title, format="%.1e" if name in squares else "%.3f")
            for name, title in titles.items()
        },
    )
    st.caption(
        f"Evaluated on {int(table['n_models'].iloc[0])} {side} models; dotted: noise floor. CIs "
        "bootstrap whole training runs, since checkpoints of one run are not independent; "
        "differences are paired. The best constant uses the true accuracies, as a bound for "
        "constant predictions." + (ON_VALIDATION if side == "validation" else "")
    )
