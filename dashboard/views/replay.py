"""The replay of a fit's optimisation on a page (Figure 6 of the paper)."""

import numpy as np
import pandas as pd
import streamlit as st

from csvcore.records import Fit, Replay
from dashboard.queries import database, figures
from dashboard.queries.database import Database
from dashboard.widgets import figure, text


def stages(found: Replay, models: pd.DataFrame) -> pd.DataFrame:
    """One row a stage and model: stage, at, alpha, beta, model, split, accuracy, score.

    Args:
        found: the replay.
        models: those that may be shown, with model, split and accuracy.
    """
    law = pd.DataFrame({"at": found.at, "alpha": found.alpha, "beta": found.beta})
    stage, model = np.indices(found.score.shape)
    long = pd.DataFrame(
        {
            "stage": stage.ravel(),
            "model": np.array(found.models)[model.ravel()],
            "score": found.score.ravel(),
        }
    )
    told = models[["model", "split", "accuracy"]]
    return long.merge(law, left_on="stage", right_index=True).merge(told, on="model")


def section(db: Database, fit: Fit) -> None:
    """A figure with a slider and a button that plays, or why there is none."""
    found = database.replay(db, fit.fit)
    if found is None:
        moved = len(fit.trace) > 1
        text.next_step(
            "No replay is kept of this fit" if moved else "Nothing moved in this fit",
            "It is of an older version, or its file beside the database is gone. Start it again "
            "on the Fit page with the same settings; the new one takes its place."
            if moved
            else "It kept the weights it began with, so there is no optimisation to replay.",
        )
        return
    figure.figure(
        figures.replay(db, fit.fit),
        lambda: stages(found, database.predictions(db, fit.fit)),
        key="replay",
        name=f"replay-{fit.task}",
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
