"""The forecast of a model: its accuracy, the backtest behind it, and what an accuracy takes."""

import pandas as pd
import streamlit as st

from csvcore.figures import forecast as figures
from csvcore.forecasting.answers import BacktestRow
from csvcore.forecasting.known import Known
from csvcore.forecasting.outlook import Outlook
from csvcore.records import Task
from dashboard.queries import forecast
from dashboard.queries.database import Database
from dashboard.queries.forecast import Size
from dashboard.views import forecast_target
from dashboard.views.forecast_target import short_number
from dashboard.widgets import address, boundary, figure, state, text

ACCURACIES = [round(0.05 * step, 2) for step in range(1, 20)]


@st.fragment
@boundary.shown()
def show(
    trained: Known,
    families: tuple[str, ...],
    found: Outlook,
    rows: list[BacktestRow],
    task: Task,
) -> None:
    """Choose a size and draw its forecast; a moved slider draws this part of the page alone.

    Args:
        trained: the models that may be taken.
        families: those that are.
        found: their outlook.
        rows: its backtest on the task.
        task: which is drawn; a table lists all.
    """
    size = forecast_target.choose_size(trained, families)
    table = forecast.answers(found, size)
    _headline(rows, float(table["horizon"].iloc[0]))
    _answer(found, table, task, size)
    st.subheader("All tasks", divider="gray")
    figure.show_table(
        table,
        column_config={
            name: st.column_config.NumberColumn(format="%.3f")
            for name in ("predicted", "low", "high")
        }
        | {"horizon": st.column_config.NumberColumn(format="%.2g")},
    )
    figure.csv_button(table, "forecast-all-tasks", "Downloads the forecasts of all tasks.")


def _headline(rows: list[BacktestRow], horizon: float) -> None:
    """Tell how far off such forecasts were on models that were held out."""
    if not rows:
        st.warning(
            "There are too few models for a backtest, so nothing tells how far off this forecast "
            "is. Add smaller sizes or earlier checkpoints.",
            icon=":material/warning:",
        )
        return
    row = next((row for row in rows if horizon <= row.horizon), rows[-1])
    beyond = (
        f"This model is {horizon:,.0f} times the trained ones, farther than any that was tested: "
        "neither such forecasts nor their intervals are known to hold. "
        if horizon > row.horizon
        else ""
    )
    st.markdown(
        f"{beyond}From models a {_part(row.horizon)} as large we would have been "
        f"**{100 * row.error:.1f} points off** on {text.plain(row.task)}; with the largest model "
        f"carried forward, {100 * row.carried:.1f}. {row.coverage:.0%} of the 90 % intervals held."
    )


def _part(horizon: float) -> str:
    names = {1.5: "two-thirds", 2.0: "half", 4.0: "quarter", 10.0: "tenth", 16.0: "sixteenth"}
    names |= {100.0: "hundredth"}
    return names.get(horizon, f"{horizon:g}th").removesuffix("s")


def _answer(found: Outlook, table: pd.DataFrame, task: Task, size: Size) -> None:
    """Draw the forecast of one task over compute; table has those of all tasks."""
    one = table[table["task"] == task.task].iloc[0]
    with st.container(horizontal=True):
        st.metric(
            f"Accuracy on {text.plain(task.task)}",
            f"{one.predicted:.3f}",
            border=True,
            help=f"Forecast of a model of {short_number(size.n_params)} parameters and "
            f"{short_number(size.train_tokens)} tokens.",
        )
        st.metric("90 % interval", f"{one.low:.2f} to {one.high:.2f}", border=True)
        st.metric(
            "Horizon",
            f"{one.horizon:.2g}\u00d7",
            border=True,
            help="How many times the trained models' parameters, tokens or compute, the largest of "
            "the three.",
        )
    if one["flags"]:
        st.warning(text.plain(one["flags"]), icon=":material/warning:")
    path = forecast.path(found, task.task, size)
    points = forecast.ladder_points(found, task.task)
    figure.show(
        figures.band_figure(
            points, path, pd.DataFrame([{"flops": size.flops, **one.to_dict()}]), task.chance
        ),
        pd.concat([path, points]),
        key="forecast-band",
        name=f"forecast-{task.task}",
        alt=f"Forecast of {task.task} over training compute with its 90 % interval",
    )
    st.caption(
        "The line and its band are models with the chosen ratio of tokens to parameters. Points "
        "are known models, which need not lie on it: their ratios differ."
    )


def backtest(rows: list[BacktestRow], task: Task) -> None:
    """Draw the errors of the backtest by horizon."""
    if not rows:
        return
    figure.show(
        figures.backtest_figure(rows),
        pd.DataFrame(rows),
        key="forecast-backtest",
        name=f"backtest-{task.task}",
        alt=f"Errors of forecasts of {task.task} on models that were held out",
    )
    held = ", ".join(f"{row.coverage:.0%} up to {row.horizon:g} times" for row in rows)
    st.caption(
        "Each larger size is forecast from all smaller ones, and each half of the compute from the "
        f"other. 90 % intervals that held: {held}."
    )


@st.fragment
@boundary.shown()
def iso(db: Database, where: tuple[str, str, tuple[str, ...]], task: Task) -> None:
    """Draw what an accuracy takes, as tokens over parameters."""
    accuracy = address.choose(
        st.select_slider,
        "Accuracy to reach",
        [value for value in ACCURACIES if value > task.chance],
        value=next(value for value in ACCURACIES if value >= min(0.9, task.chance + 0.35)),
        key=state.ISO_ACCURACY,
        help="Sets the accuracy whose price in parameters and tokens is drawn.",
    )
    points = forecast.iso(db, *where, task.task, float(accuracy))
    if not points:
        st.info(
            f"No size up to ten times the largest reaches {accuracy:g} within a hundred times the "
            "tokens.",
            icon=":material/info:",
        )
        return
    figure.show(
        figures.iso_figure(points, float(accuracy)),
        pd.DataFrame(points),
        key="forecast-iso",
        name=f"iso-accuracy-{task.task}",
        alt=f"Training tokens that {accuracy:g} on {task.task} takes, by parameters",
    )
    cheapest = min(points, key=lambda one: one.flops)
    st.caption(
        f"Least compute: {short_number(cheapest.n_params)} parameters and "
        f"{short_number(cheapest.train_tokens)} tokens, {cheapest.flops:.1e} FLOPs."
    )
