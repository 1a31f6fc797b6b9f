"""Cached figures of stored fits, since Plotly is slow to build them.

The returned figures are shared and must not be changed.
"""

from typing import Any

import streamlit as st

from csvcore.analysis.replay import side_errors
from csvcore.figures import law, optimisation
from dashboard.queries import database
from dashboard.queries.database import Database


@st.cache_data(max_entries=16, show_spinner=False)
def colours(db: Database) -> dict[str, str]:
    """Return the colour of each family, the same on every page."""
    return law.family_colours(list(database.family_of(db).values()))


@st.cache_resource(max_entries=32, show_spinner=False)
def curve(db: Database, fit: str) -> Any:
    """Return `law.sigmoid_figure` of a fit."""
    table = database.predictions(db, fit)
    return law.sigmoid_figure(table, database.fit(db, fit), colours(db))


@st.cache_resource(max_entries=8, show_spinner=False)
def replay(db: Database, fit: str) -> Any:
    """Return `optimisation.replay_figure` of a fit, None if it has no replay."""
    stages = database.replay(db, fit)
    if stages is None:
        return None
    record, table = database.fit(db, fit), database.predictions(db, fit)
    errors = side_errors(
        stages,
        record.gamma,
        dict(zip(table["model"], table["accuracy"], strict=True)),
        dict(zip(table["model"], table["split"], strict=True)),
    )
    return optimisation.replay_figure(table, stages, record, errors, colours(db))
