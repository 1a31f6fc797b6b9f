"""Predictability of the tasks, from the train and validation models of a split."""

import pandas as pd
import streamlit as st

from csvcore import store
from csvcore.analysis.predictability import Assessment, assess
from dashboard.queries import test_set
from dashboard.queries.database import Database

COLUMNS = (
    *("task", "verdict", "reason", "change", "n_models", "spread", "item_noise", "seed_noise"),
    *("run_noise", "signal_to_noise", "detectable", "rises_in", "left_out_r2", "reliability"),
)


@st.cache_data(max_entries=8, show_spinner="Assessing the tasks")
def assessment(db: Database, corpus: str, split: str) -> Assessment:
    """Return `predictability.assess`, which reads no test model of the split."""
    with store.connect(db.path, read_only=True) as con:
        evidence = test_set.evidence(con, corpus, split)
    return assess(evidence)


def tasks(found: Assessment) -> pd.DataFrame:
    """Return a row for each task; detectable is that of paired items where they are stored."""
    rows = [
        {name: getattr(task, name) for name in COLUMNS}
        | {
            "detectable": task.detectable if task.paired is None else task.paired,
            "rises_in": list(task.rises_in),
        }
        for task in found.tasks
    ]
    numbers = [name for name in COLUMNS[5:] if name != "rises_in"]
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(dict.fromkeys(numbers, float))


def sources(found: Assessment) -> pd.DataFrame:
    """Return spread and noise of the mean loss of each source, nats per character."""
    rows = [
        {"source": row.source, "spread": row.spread, "seed noise": row.seed_noise,
         "run noise": row.run_noise}
        for row in found.sources
    ]  # fmt: skip
    columns = ["source", "spread", "seed noise", "run noise"]
    numbers = dict.fromkeys(columns[1:], float)
    return pd.DataFrame(rows, columns=columns).astype(numbers)
