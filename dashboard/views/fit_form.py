"""The form of a fit: tasks, methods, settings, expected time, and Start."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import streamlit as st

from csvcore.methods import fitted, label
from dashboard.queries import access, database, duration
from dashboard.queries.database import Database
from dashboard.views import jobs
from dashboard.widgets import address, boundary, state, text


@st.fragment
@boundary.shown()
def form(db: Database, corpus: str, split: str, names: list[str]) -> None:
    """Draw the controls of a fit of some of these tasks; a fragment of its own."""
    with st.container(border=True):
        tasks, methods, algorithm = _choices(names)
        scorer = _scorer()
        with st.expander("Settings"):
            config = _settings(algorithm, database.have_one_unit(db, corpus))
        if scorer:
            config["scorer"] = scorer
        if not tasks or not methods:
            st.warning("Choose at least one task and one method.")
            return
        _expected(db, corpus, split, len(tasks), methods, config)
        sides = set(database.split(db, split).values())
        for side in ("validation", "test"):
            if side not in sides:
                st.caption(f":orange[:material/warning:] {text.plain(split)} has no {side} models.")
        if st.button(
            "Start",
            type="primary",
            icon=":material/play_circle:",
            disabled=access.locked(db),
            help="Adds the fit to the queue.",
        ):
            jobs.submit_fit(db, corpus, split, tasks, methods, config)
            st.rerun()


def _choices(names: list[str]) -> tuple[list[str], list[str], str]:
    """Draw tasks, methods and optimizer and return the choices."""
    tasks = address.choose(
        st.pills,
        "Tasks",
        names,
        default=names,
        selection_mode="multi",
        format_func=text.plain,
        key=state.FIT_TASKS,
        help="Sets the tasks to fit, together; each has a law of its own.",
    )
    methods = address.choose(
        st.pills,
        "Methods",
        fitted(),
        default=["stack", "csv"],
        selection_mode="multi",
        format_func=label,
        key=state.FIT_METHODS,
        help="Sets the methods: CSV learns a weight per token, the stack mixes CSV with simple "
        "scores, all others are baselines and comparators.",
    )
    algorithm = address.choose(
        st.segmented_control,
        "Optimizer",
        list(text.ALGORITHMS),
        default="fast",
        required=True,
        format_func=text.ALGORITHMS.__getitem__,
        key=state.FIT_ALGORITHM,
        help="Sets the optimizer of CSV: Gauss-Newton chooses its penalty by cross-validation over "
        "train families or runs; Algorithm 2 stops at the lowest validation error.",
    )
    return list(tasks), list(methods), str(algorithm)


def _expected(
    db: Database, corpus: str, split: str, n_tasks: int, methods: list[str], config: dict[str, Any]
) -> None:
    """Draw the expected time."""
    size = duration.size(db, corpus, split)
    time = duration.expected(
        duration.timings(db),
        size,
        n_tasks,
        methods,
        config.get("algorithm", "fast"),
        Path(config.get("scorer", "")).name or text.BUNDLED,
        config.get("steps", 0),
    )
    st.caption(
        f"Expected: {duration.in_words(time.seconds)} of optimising ({time.basis}), and some "
        f"seconds to load PyTorch and the losses of {size.n_models} train and validation models."
    )


def _scorer() -> str:
    """Choose the folder of the scoring model; empty for the bundled one."""
    labels = text.unique_labels([str(folder) for folder in database.model_folders()])
    folder = st.selectbox(
        "Scorer",
        ["", *labels],
        format_func=lambda folder: labels.get(folder, "bundled"),
        key=state.FIT_SCORER.name,
        persist_state="session",
        help="Sets the model whose hidden states the head reads; `make app MODELS=DIR` adds "
        "folders.",
    )
    return str(folder or "")


def _settings(algorithm: str, one_unit: bool) -> dict[str, Any]:
    """Draw the settings of an algorithm; return the fields of FitConfig."""
    columns = st.columns(3)
    seed = columns[0].number_input(
        "Seed", 0, 1_000_000, 0, help="Sets all random draws; the same seed gives the same fit."
    )
    config: dict[str, Any] = {"seed": int(seed or 0)}
    config |= _gauss_newton(columns) if algorithm == "fast" else _algorithm_2(columns)
    if st.toggle(
        "Mask first tokens",
        help="Leaves out each document's first token of any model, whose context is the prefix "
        "alone.",
    ):
        config["mask_first_token"] = True
    if st.toggle(
        "Weigh the losses' own units",
        disabled=not one_unit,
        help="Learns a weight per unit that all losses share, such as a word, instead of per "
        "scorer token" + ("." if one_unit else "; here models have units of their own."),
    ):
        config["own_units"] = True
    return config


def _gauss_newton(columns: Sequence[Any]) -> dict[str, Any]:
    members = columns[1].number_input(
        "Stability heads",
        1,
        50,
        5,
        help="Sets the number of heads fitted to random draws of train runs, for the spread of "
        "each weight.",
    )
    activation = columns[2].selectbox(
        "Activation",
        ["exp", "softplus"],
        help="Sets the function from the head's output to a weight; the paper uses softplus.",
    )
    penalty = columns[0].number_input(
        "Penalty",
        0.0,
        10.0,
        None,
        format="%.0e",
        placeholder="cross-validated",
        help="Sets a fixed pull towards the baseline; empty: chosen by cross-validation in train.",
    )
    fixed = {"penalty": float(penalty)} if penalty else {}
    return {"members": int(members or 1), "activation": activation} | fixed


def _algorithm_2(columns: Sequence[Any]) -> dict[str, Any]:
    steps = columns[1].number_input(
        "Steps", 1, 10_000, 300, help="Sets the number of steps; the paper takes 300."
    )
    rate = columns[2].number_input(
        "Learning rate",
        1e-5,
        1.0,
        1e-2,
        format="%.0e",
        help="Sets the step size; the paper's 1e-3 needs more steps.",
    )
    return {
        "algorithm": "paper",
        "steps": int(steps or 300),
        "learning_rate": float(rate or 1e-2),
    }
