"""What is to be fitted, how, and how long that will take; Start puts it into the queue."""

from pathlib import Path
from typing import Any

import streamlit as st

from csvcore.methods import label, weighted
from dashboard.queries import database, duration
from dashboard.queries.database import Database
from dashboard.views import jobs
from dashboard.widgets import address, text

ALGORITHMS = {"fast": "Second order", "paper": "The paper's loop"}


@st.fragment
def form(db: Database, corpus: str, split: str, names: list[str]) -> None:
    """The controls of a fit of some of these tasks; only they are drawn anew while they change."""
    with st.container(border=True):
        tasks = address.choose(
            st.pills,
            "Tasks",
            names,
            default=names,
            selection_mode="multi",
            format_func=text.plain,
            key="fit-tasks",
            help="One law each; all that are chosen are optimised together.",
        )
        methods = address.choose(
            st.pills,
            "Methods",
            weighted(),
            default=["csv"],
            selection_mode="multi",
            format_func=label,
            key="fit-methods",
            help="CSV learns a weight for every token; the baselines have fixed weights.",
        )
        algorithm = address.choose(
            st.segmented_control,
            "Optimisation of CSV",
            list(ALGORITHMS),
            default="fast",
            required=True,
            format_func=ALGORITHMS.__getitem__,
            key="fit-algorithm",
            help="Second order chooses its penalty by leaving train's own families (or runs) out "
            "in turn; the paper's loop is Algorithm 2, stopped where validation is best.",
        )
        scorer = _scorer()
        with st.expander("Settings"):
            config = _settings(str(algorithm), database.have_one_unit(db, corpus))
        if scorer:
            config["scorer"] = scorer
        if not tasks or not methods:
            st.warning("Choose at least one task and one method.")
            return
        size = _size(db, corpus, split)
        time = duration.expected(
            duration.timings(db),
            size,
            len(tasks),
            list(methods),
            str(algorithm),
            Path(scorer).name or text.BUNDLED,
            config.get("steps", 0),
        )
        st.caption(
            f"Expected: {duration.in_words(time.seconds)} of optimising ({time.basis}), and some "
            f"seconds to load PyTorch and the losses of {size.n_models} train and validation "
            "models."
        )
        placed = set(database.split(db, split).values())
        for side in ("validation", "test"):
            if side not in placed:
                st.caption(f":orange[:material/warning:] {text.plain(split)} has no {side} models.")
        if st.button("Start", type="primary", icon=":material/play_circle:", help="Queues it."):
            jobs.submit_fit(db, corpus, split, list(tasks), list(methods), config)
            st.rerun()


def _scorer() -> str:
    """Folder of the scoring model; empty for the bundled one."""
    folders = [str(folder) for folder in database.model_folders()]
    named = [Path(folder).name for folder in folders]
    labels = {
        folder: name if named.count(name) == 1 else folder
        for folder, name in zip(folders, named, strict=True)
    }
    found = st.selectbox(
        "Scorer",
        ["", *folders],
        format_func=lambda folder: labels.get(folder, "the bundled one"),
        key="fit-scorer",
        persist_state="session",
        help="The model whose hidden states tell tokens apart; name folders with "
        "`make app MODELS=DIR` to choose among them.",
    )
    return str(found or "")


def _settings(algorithm: str, one_unit: bool) -> dict[str, Any]:
    """The fields of FitConfig that bear on this algorithm, and on losses in one unit."""
    fast = algorithm == "fast"
    columns = st.columns(3)
    seed = columns[0].number_input(
        "Seed", 0, 1_000_000, 0, help="Of all random draws; the same seed gives the same fit."
    )
    config: dict[str, Any] = {"seed": int(seed or 0)}
    if fast:
        members = columns[1].number_input(
            "Stability",
            1,
            50,
            5,
            help="Heads fitted to random draws of train's runs, to see how stable each weight is.",
        )
        activation = columns[2].selectbox(
            "Non-linearity",
            ["exp", "softplus"],
            help="What makes a weight of the head's output; the paper has softplus.",
        )
        penalty = columns[0].number_input(
            "Penalty",
            0.0,
            10.0,
            None,
            format="%.0e",
            placeholder="chosen inside train",
            help="A fixed pull towards the baseline; left empty, it is chosen inside train.",
        )
        config |= {"members": int(members or 1), "activation": activation}
        if penalty:
            config["penalty"] = float(penalty)
    else:
        steps = columns[1].number_input(
            "Steps", 1, 10_000, 300, help="How many steps to take; the paper takes 300."
        )
        rate = columns[2].number_input(
            "Learning rate",
            1e-5,
            1.0,
            1e-2,
            format="%.0e",
            help="Of every step; the paper has 1e-3, which needs more steps.",
        )
        config |= {
            "algorithm": "paper",
            "steps": int(steps or 300),
            "learning_rate": float(rate or 1e-2),
        }
    if st.toggle(
        "Mask first tokens",
        help="Leave out, for every model, what is the first token of any: its context is only the "
        "prefix, which differs between families.",
    ):
        config["mask_first_token"] = True
    if st.toggle(
        "Weigh the losses' own units",
        disabled=not one_unit,
        help="A weight for each unit that all losses come in, such as a word, in place of each of "
        "the scorer's tokens" + ("." if one_unit else "; here models have units of their own."),
    ):
        config["own_units"] = True
    return config


def _size(db: Database, corpus: str, split: str) -> duration.Size:
    docs = database.documents(db, corpus)
    complete = set(database.complete_models(db, corpus))
    sides = database.split(db, split)
    fitted = [model for model, side in sides.items() if side != "test" and model in complete]
    return duration.Size(sum(len(doc.text) for doc in docs), len(fitted))
