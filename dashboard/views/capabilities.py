"""The factors that tasks share: the map of tasks, what carries a factor, profiles of models."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import streamlit as st

from csvcore.analysis.carriers import Carriers, Place
from csvcore.capability_records import Capabilities, Factor
from csvcore.figures import capabilities as figures
from csvcore.figures.scales import Scale, fitted
from dashboard.components import token_heatmap
from dashboard.queries import capabilities as queries
from dashboard.queries.database import Database
from dashboard.widgets import address, figure, state

HUES = ("violet", "orange", "blue")  # of factors in turn; one is shown at a time
PARTS = ("sources", "kinds", "types")


def tasks(found: Capabilities) -> None:
    """Draw the map of tasks by their loadings, and the errors beside those of their own heads."""
    st.subheader("Tasks", divider="gray")
    rows: list[dict[str, object]] = [
        {
            "task": row.task,
            **{f"F{at}": share for at, share in enumerate(row.share, 1)},
            "left_out": 100 * row.cv_shared,
            "left_out_own": 100 * row.cv_separate,
            "test": row.test_shared,
            "test_own": row.test_separate,
        }
        for row in found.tasks
    ]
    table = pd.DataFrame(rows)
    figure.show(
        figures.loadings_figure(found),
        table,
        key="loadings",
        name=f"loadings-{found.split}",
        alt="Share of each factor in the loadings of each task",
    )
    titles = {
        "left_out": ("left out (points)", "%.1f"),
        "left_out_own": ("left out, own head", "%.1f"),
        "test": ("test MSE", "%.1e"),
        "test_own": ("test MSE, own head", "%.1e"),
    }
    figure.show_table(
        table.dropna(axis="columns", how="all"),
        column_config={
            name: st.column_config.NumberColumn(title, format=form)
            for name, (title, form) in titles.items()
        },
    )


def few_shot(found: Capabilities) -> None:
    """Draw the errors with few known models."""
    if not found.few_shot or found.few_shot[0].shared is None:
        return
    first = found.few_shot[0]
    with st.expander(f"Few-shot transfer: {first.n_known} train models of a task known"):
        figure.show_table(
            pd.DataFrame(
                [
                    (row.task, row.shared, row.separate, ", ".join(row.way))
                    for row in found.few_shot
                ],
                columns=["task", "borrowed", "own head", "way by draw"],
            ),
            column_config={
                name: st.column_config.NumberColumn(format="%.1e")
                for name in ("borrowed", "own head")
            },
        )
        st.caption(
            f"Mean squared error on {first.side} models, geometric mean over {first.n_draws} draws "
            "of the known models. Borrowed: the heads of the other tasks are used."
        )


def factor(db: Database, found: Capabilities) -> None:
    """Draw a factor: its stability and control, and what carries it."""
    st.subheader("Factors", divider="gray")
    numbers = [one.number for one in found.factors]
    chosen = address.choose(
        st.selectbox,
        "Factor",
        numbers,
        key=state.FACTOR,
        format_func=lambda number: figures.factor_name(found, number),
        help="Sets the factor that the tables and the coloured text below show.",
    )
    one = found.factors[int(chosen) - 1]
    _judged(one)
    if not one.shown:
        return
    rows, places = queries.carried(db, found.corpus, found.split, one.number)
    _parts(rows, places, f"factor-{one.number}")
    _coloured(db, found, one.number, places)


def _judged(one: Factor) -> None:
    parts = []
    if one.stability is not None:
        parts.append(
            f"Stability {one.stability:.2f}: mean cosine of its token weights with those made "
            "without each group of train models."
        )
    if one.p_value is not None:
        parts.append(f"Permutation test: p = {one.p_value:.2f} over {one.n_permutations} shuffles.")
    if parts:
        st.caption(" ".join(parts))
    if not one.shown:
        st.warning(
            "Shuffled accuracies give this factor as often, so it is not shown as one.",
            icon=":material/warning:",
        )


def _parts(rows: Carriers, places: Sequence[Place], name: str) -> None:
    for tab, part in zip(
        st.tabs(["Sources", "Kinds", "Types", "Tokens"]), (*PARTS, ""), strict=True
    ):
        with tab:
            if part:
                table = queries.carriers_table(rows, part)
            else:
                table = queries.places_table(list(places))
            figure.show_table(
                table,
                column_config={
                    "mean weight": st.column_config.NumberColumn(format="%.2f"),
                    "share": st.column_config.NumberColumn(format="percent"),
                    "weight": st.column_config.NumberColumn(format="%.1f"),
                },
            )
            figure.csv_button(table, f"{name}-{part or 'tokens'}", "Downloads this table.")


def _coloured(db: Database, found: Capabilities, number: int, places: Sequence[Place]) -> None:
    """Draw the document of the heaviest token, coloured by the factor."""
    read = queries.texts(db, found.corpus, found.split)
    ids = [place.doc_id for place in places]
    options = list(dict.fromkeys([*ids, *(doc.doc_id for doc in read.docs)]))
    doc_id = st.selectbox(
        "Document",
        options,
        key=f"factor-{number}-document",
        help="Sets the document that is coloured; those of the heaviest tokens come first.",
    )
    cells, values = read.cells(doc_id, number)
    top, knee = fitted(read.weight[number - 1])
    hue = HUES[(number - 1) % len(HUES)]
    scale = Scale(figures.factor_name(found, number), "1 is the mean", top, hue, None, knee)
    none = np.empty((0, len(cells.text)))
    table, version = token_heatmap.pack(cells.text, values, values, none, scale, None)
    drawing = token_heatmap.Drawing(
        table=table,
        version=version,
        docs=[(doc_id, 0)],
        models=[],
        scale=scale,
        note="",
        matches=[],
        selected=None,
        focus=0,
        more="",
        beyond=0,
        place=f"{number}-{doc_id}",
        label=f"Weight of factor {number} on the tokens of one document",
    )
    token_heatmap.heatmap(drawing, state.FACTOR_HEATMAP.name, lambda: None, lambda: None)


def profiles(found: Capabilities) -> None:
    """Draw two models over the factors."""
    st.subheader("Models", divider="gray")
    names = [one.model for one in found.profiles]
    left, right = st.columns(2)
    with left:
        first = _choice("First model", names, state.FIRST_PROFILE)
    with right:
        rest = [name for name in reversed(names) if name != first]
        second = _choice("Second model", rest, state.SECOND_PROFILE)
    chosen = [one for name in (first, second) for one in found.profiles if one.model == name]
    table = pd.DataFrame(
        [
            (one.model, one.side, f"F{at}", *row)
            for one in chosen
            for at, row in enumerate(zip(one.score, one.low, one.high, strict=True), 1)
        ],
        columns=["model", "side", "factor", "score", "low", "high"],
    )
    figure.show(
        figures.profiles_figure(found, chosen),
        table,
        key="profiles",
        name="profiles",
        alt="Scores of two models on every factor with 90 % intervals",
    )
    st.caption(
        "Further right is better. Intervals: jackknife over the groups of train models left out, "
        "so they tell how sure the factor is, not the noise of a model's losses."
    )


def _choice(title: str, names: list[str], key: state.Key[str]) -> str:
    return str(
        address.choose(
            st.selectbox, title, names, key=key, help="Sets a model whose profile is drawn."
        )
    )


def separating(db: Database, found: Capabilities) -> None:
    """Draw which tokens separate two tasks."""
    st.subheader("Two tasks apart", divider="gray")
    names = [row.task for row in found.tasks]
    left, right = st.columns(2)
    about = "Sets a task; tokens are sorted by its weight less the other task's."
    with left:
        first = address.choose(st.selectbox, "Task", names, key=state.FIRST_TASK, help=about)
    with right:
        rest = [name for name in names if name != first]
        second = address.choose(st.selectbox, "Less", rest, key=state.SECOND_TASK, help=about)
    rows, places = queries.separating(db, found.corpus, found.split, str(first), str(second))
    _parts(rows, places, "separating")
