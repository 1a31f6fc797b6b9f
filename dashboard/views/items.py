"""Item results of a task: two models on the same items, single items, and all models."""

import pandas as pd
import streamlit as st

from csvcore import frames
from csvcore.analysis.paired import PairedTest, sentence
from csvcore.errors import InputError
from dashboard.queries import item_results
from dashboard.queries.database import Database
from dashboard.widgets import address, figure, state, text

PAIR = 2
DIFFERENCE = 2.0  # points, whose power is shown at first
HEIGHT = 320  # pixels of the tables
# Which items a table shows, by their share of models (of 1) and the results of both models.
SHOWN = {
    "all": lambda t: t["share"].notna(),
    "results differ": lambda t: t["a"].notna() & t["b"].notna() & (t["a"] != t["b"]),
    "only A": lambda t: t["a"] > t["b"],
    "only B": lambda t: t["a"] < t["b"],
    "solved by all": lambda t: t["share"] == 1.0,
    "solved by none": lambda t: t["share"] == 0.0,
}


def summary(results: pd.DataFrame) -> None:
    """Draw the size of a task's item results, and their noise."""
    share, table = results.mean(axis=1), frames.item_accuracies(results)
    noise = 100 * table["noise"].median()
    with st.container(horizontal=True):
        st.metric("Items", f"{len(results):,}", border=True, help="Counts the items of the task.")
        st.metric("Models", f"{results.shape[1]:,}", border=True, help="Counts those with results.")
        st.metric(
            "Item noise",
            f"{noise:.1f} points",
            border=True,
            help="Shows the standard deviation of an accuracy over draws of the items, the median "
            "over models.",
        )
        st.metric("Solved by none", int((share == 0).sum()), border=True, help="Counts such items.")
        st.metric("Solved by all", int((share == 1).sum()), border=True, help="Counts such items.")


def choose(families: dict[str, str], results: pd.DataFrame) -> tuple[str, str]:
    """Choose two models, best first; at first the best one and the best of another family."""
    names = frames.item_accuracies(results)["model"].tolist()
    others = [name for name in names if families.get(name) != families.get(names[0])]
    left, right = st.columns(2)
    help_text = "Sets one of the two models that are compared; the best comes first."
    a = address.choose(
        left.selectbox, "Model A", names, key=state.ITEMS_A, help=help_text
    )  # fmt: skip
    b = address.choose(
        right.selectbox, "Model B", text.first(names, (others or names[1:])[0]),
        key=state.ITEMS_B, help=help_text,
    )  # fmt: skip
    return str(a), str(b)


def test(db: Database, task: str, hidden: frozenset[str], a: str, b: str) -> None:
    """Draw the paired test of two models: the verdict, its figures, and the power."""
    if a == b:
        text.next_step("One model twice", "Choose two models.")
        return
    try:
        found = item_results.paired(db, task, hidden, a, b)
    except InputError as error:
        text.next_step("Not comparable", f"{text.plain(str(error))}.")
        return
    st.markdown(f"**{text.plain(sentence(a, b, found))}**")
    cells = {
        "Both": (found.both, "Counts the items that both models solve."),
        "Only A": (found.only_a, f"Counts the items that only {a} solves."),
        "Only B": (found.only_b, f"Counts the items that only {b} solves."),
        "Neither": (found.neither, "Counts the items that neither model solves."),
    }
    with st.container(horizontal=True):
        for label, (number, about) in cells.items():
            if number is not None:
                st.metric(label, f"{number:,}", border=True, help=text.plain(about))
        st.metric(
            "Detectable",
            "\u2013" if found.detectable is None else f"{100 * found.detectable:.1f} points",
            border=True,
            help="Shows the smallest true difference that a test on these items finds with 80 % "
            "power, at a level of 5 %.",
        )
    _power(found)


def _power(found: PairedTest) -> None:
    points = st.number_input(
        "True difference, points",
        min_value=0.1,
        max_value=100.0,
        value=DIFFERENCE,
        step=0.5,
        format="%.1f",
        key=state.ITEMS_DIFFERENCE.name,
        width=220,
        help="Sets the difference of the accuracies whose power is shown.",
    )
    power, needed = found.power(points / 100), found.items_needed(points / 100)
    told = "unknown, since no result differs" if power is None else f"{power:.0%}"
    more = "" if needed is None else f" About {needed:,} items give 80 %."
    st.caption(
        f"Power of this test for a true difference of {points:g} points: {told}.{more} The level "
        "is 5 % for one comparison; of twenty pairs without a difference, one is expected to pass."
    )


def drill_down(db: Database, results: pd.DataFrame, a: str, b: str) -> None:
    """Draw the items with the share of models that solve them; a click shows the models of one."""
    shown = address.choose(
        st.segmented_control,
        "Show",
        list(SHOWN),
        key=state.ITEMS_SHOWN,
        default="results differ",
        required=True,
        help="Sets the items of the table: those on which A and B differ, or others.",
    )
    table = frames.item_table(results, a, b)
    table = table[SHOWN[str(shown)](table)].reset_index(drop=True)
    st.caption(f"{len(table):,} of {len(results):,} items. Select a row to see its models.")
    left, right = st.columns([3, 2])
    with left:
        event = figure.show_table(
            table,
            height=HEIGHT,
            key=f"items-{shown}-{a}-{b}",
            on_select="rerun",
            selection_mode="single-row",
            column_config={
                "n_models": st.column_config.NumberColumn("models"),
                "share": st.column_config.ProgressColumn(
                    "solved by", format="percent", min_value=0, max_value=1
                ),
                "a": st.column_config.NumberColumn("A", help=text.plain(a), format="%.3g"),
                "b": st.column_config.NumberColumn("B", help=text.plain(b), format="%.3g"),
            },
        )
        figure.csv_button(table, "items", "Downloads these items with the results of A and B.")
    rows = event["selection"]["rows"] if event else []
    with right:
        if rows and rows[0] < len(table):
            _one(item_results.by_model(db, results, str(table["item"][rows[0]])))


def _one(models: pd.DataFrame) -> None:
    """Draw the results of all models on one item, by family and by model."""
    item = models.attrs["item"]
    solved = int((models["correct"] == 1).sum())
    st.markdown(f"Item **{text.plain(item)}**: solved by {solved} of {len(models)} models.")
    by_family = models.groupby("family")["correct"].agg(["mean", "count"]).reset_index()
    figure.show_table(
        by_family,
        column_config={
            "mean": st.column_config.ProgressColumn(
                "solved by", format="percent", min_value=0, max_value=1
            ),
            "count": st.column_config.NumberColumn("models"),
        },
    )
    figure.show_table(
        models,
        height=HEIGHT // 2,
        column_config={"accuracy": st.column_config.NumberColumn(format="percent")},
    )


def accuracies(results: pd.DataFrame, task: str) -> None:
    """Draw accuracy and item noise of every model, best first."""
    table = frames.item_accuracies(results)
    figure.show_table(
        table,
        height=HEIGHT,
        column_config={
            "n_items": st.column_config.NumberColumn("items"),
            "accuracy": st.column_config.NumberColumn(format="%.3f"),
            "noise": st.column_config.NumberColumn(
                "item noise", format="%.4f", help="Standard deviation over draws of the items."
            ),
        },
    )
    figure.csv_button(table, f"item-accuracies-{task}", "Downloads accuracy and item noise.")
