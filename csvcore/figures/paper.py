"""The paper's figures on the bundled zoo, from the tables of data/evidence."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from csvcore.analysis.metrics import mean_squared_error
from csvcore.figures import panels
from csvcore.figures.law import family_colours
from csvcore.paper_claims import SISTERS
from csvcore.records import ScalingFit

# Figures of models around laws: a table each, with the panels in a row of it.
OF_LAWS = {"Figure 2": 3, "Figure 4": 3, "Figure 5": 3, "Figure 6": 4}


def draw(name: str, tables: Mapping[str, pd.DataFrame]) -> Any:
    """Draw one of the paper's Figures 1, 2 and 4 to 8.

    Args:
        name: as in the paper, such as "Figure 2".
        tables: what it is drawn from. `zoo`: a row a checkpoint and task, with model, family,
            n_params, train_tokens, task and accuracy. `mixes`: as `panels.mix_panels` takes it,
            and noise_floor. By the name of a figure of models: the columns of `store.predictions`,
            and panel (its title), alpha, beta, gamma.

    Raises:
        KeyError: its table is not among them, or there is no such figure.
    """
    if name == "Figure 1":
        return _compute(tables["zoo"])
    if name == "Figure 8":
        rows = tables["mixes"]
        floor = {
            str(task): float(of) for task, of in rows.groupby("task")["noise_floor"].first().items()
        }
        return panels.mix_panels(rows, rows["task"].unique().tolist(), floor)
    points = tables[name]
    colours = family_colours(points["family"].tolist())
    if name == "Figure 7":  # a row a task
        return panels.parity_panels(
            [(str(of), rows) for of, rows in points.groupby("panel")], colours
        )
    found = [(str(title), rows) for title, rows in points.groupby("panel", sort=False)]
    return panels.law_panels(
        [(title, rows, _law(rows)) for title, rows in found], colours, OF_LAWS[name]
    )


def _compute(zoo: pd.DataFrame) -> Any:
    sisters = zoo[zoo["family"].isin(SISTERS)]
    wide = sisters.pivot(
        index=["model", "family", "n_params", "train_tokens"], columns="task", values="accuracy"
    ).reset_index()
    colours = family_colours(zoo["family"].tolist())
    return panels.compute_panels(wide, zoo["task"].unique().tolist(), colours)


def _law(rows: pd.DataFrame) -> ScalingFit:
    """Return the law of a panel's models."""
    alpha, beta, gamma = rows[["alpha", "beta", "gamma"]].iloc[0]
    train = rows[rows["split"] == "train"]
    error = mean_squared_error(train["accuracy"].to_numpy(), train["predicted"].to_numpy())
    return ScalingFit(alpha, beta, gamma, error, len(train))
