"""Figures of stored fits, drawn once for all who look: Plotly is slow to check what it draws.

What is given out is shared and must not be changed.
"""

from typing import Any

import streamlit as st

from csvcore.analysis import replay as replay_module
from csvcore.figures import law, optimisation
from dashboard.queries import database
from dashboard.queries.database import Database


@st.cache_data(max_entries=16, show_spinner=False)
def colours(db: Database) -> dict[str, str]:
    """The colour of each family, the same on every page."""
    return law.family_colours(list(database.family_of(db).values()))


@st.cache_resource(max_entries=32, show_spinner=False)
def curve(db: Database, fit: str) -> Any:
    """See `law.sigmoid_figure`."""
    table = database.predictions(db, fit)
    return law.sigmoid_figure(table, database.fit(db, fit), colours(db))


@st.cache_resource(max_entries=8, show_spinner=False)
def replay(db: Database, fit: str) -> Any:
    """See `optimisation.replay_figure`; None where no replay is kept."""
    found = database.replay(db, fit)
    if found is None:
        return None
    one, table = database.fit(db, fit), database.predictions(db, fit)
    errors = replay_module.side_errors(
        found,
        one.gamma,
        dict(zip(table["model"], table["accuracy"], strict=True)),
        dict(zip(table["model"], table["split"], strict=True)),
    )
    return optimisation.replay_figure(table, found, one, errors, colours(db))
