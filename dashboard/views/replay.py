"""The replay of a fit's optimisation (Figure 6 of the paper)."""

import numpy as np
import pandas as pd
import streamlit as st

from csvcore.records import Fit, Replay
from dashboard.queries import database, figures
from dashboard.queries.database import Database
from dashboard.widgets import figure, text


def stages(replay: Replay, models: pd.DataFrame) -> pd.DataFrame:
    """Return a row per stage and model: stage, at, alpha, beta, model, split, accuracy, score.

    Args:
        replay: the replay.
        models: those that may be shown, with model, split and accuracy.
    """
    law = pd.DataFrame({"at": replay.at, "alpha": replay.alpha, "beta": replay.beta})
    stage, model = np.indices(replay.score.shape)
    long = pd.DataFrame(
        {
            "stage": stage.ravel(),
            "model": np.array(replay.models)[model.ravel()],
            "score": replay.score.ravel(),
        }
    )
    columns = models[["model", "split", "accuracy"]]
    return long.merge(law, left_on="stage", right_index=True).merge(columns, on="model")


def show(db: Database, fit: Fit) -> None:
    """Draw the replay with its slider, or say why there is none."""
    replay = database.replay(db, fit.fit)
    if replay is None:
        moved = len(fit.trace) > 1
        text.next_step(
            "No replay stored" if moved else "No optimisation to replay",
            "The fit is of an older version, or its replay file is gone. Fit it again on the "
            "Fit page "
            "with the same settings."
            if moved
            else "The fit kept its initial weights.",
        )
        return
    figure.show(
        figures.replay(db, fit.fit),
        lambda: stages(replay, database.predictions(db, fit.fit)),
        key="replay",
        name=f"replay-{fit.task}",
        alt=f"Accuracy on {fit.task} against the capability score at {len(replay.at)} stages of "
        f"the "
        "optimisation, with the fitted law and the errors of each",
    )
    what = (
        "Steps of Algorithm 2; the step with the lowest validation error was kept."
        if fit.choice is None
        else "Weaker and weaker penalties, from the baseline to the chosen one."
    )
    st.caption(f"{what} Each stage has its own weights and law. The axes are fixed.")
