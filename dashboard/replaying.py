"""The replay of a fit's optimisation on a page (Figure 6 of the paper)."""

import streamlit as st

from csvcore import replays
from csvcore.figures import motion
from csvcore.records import Fit, Replay
from dashboard import controls, data
from dashboard.data import Database


@st.cache_data(max_entries=16, show_spinner=False)
def replay(source: Database, fit: str) -> Replay | None:
    """See `replays.read`."""
    return replays.read(source.path, fit)


def section(source: Database, fit: Fit, colours: dict[str, str]) -> None:
    """A figure with a slider and a button that plays, or why there is none."""
    found = replay(source, fit.fit)
    if found is None:
        moved = len(fit.trace) > 1
        controls.next_step(
            "No replay is kept of this fit" if moved else "Nothing moved in this fit",
            "It is of an older version, or its file beside the database is gone. Start it again "
            "on the Fit page with the same settings; the new one takes its place."
            if moved
            else "It kept the weights it began with, so there is no optimisation to replay.",
        )
        return
    table = data.predictions(source, fit.fit)
    by_model = table.set_index("model")
    errors = replays.side_errors(
        found, fit.gamma, by_model["accuracy"].to_dict(), by_model["split"].to_dict()
    )
    st.plotly_chart(
        motion.replay_figure(table, found, fit, errors, colours),
        key="replay",
        alt=f"Accuracy on {fit.task} against the capability score at {len(found.at)} stages of the "
        "optimisation, with the fitted law and the errors of each",
    )
    what = (
        "Steps of the paper's loop; the one with the lowest validation error was kept."
        if fit.choice is None
        else "From the baseline that the weights are pulled towards, over ever weaker penalties, "
        "to the one that was chosen."
    )
    st.caption(f"{what} Every stage is measured: its own weights, its own law. The axes stay.")
