"""Forecasts of models that are not trained yet, from the train and validation models of a split."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import streamlit as st

from csvcore import store
from csvcore.analysis.trivial_baselines import FLOPS
from csvcore.forecasting.answers import BacktestRow, backtest_rows, target
from csvcore.forecasting.course import Course, courses
from csvcore.forecasting.iso_accuracy import IsoPoint, iso_accuracy
from csvcore.forecasting.known import Known, known_of
from csvcore.forecasting.outlook import Outlook, outlooks
from dashboard.queries import test_set
from dashboard.queries.database import Database

N_POINTS = 60  # of a band
FURTHER = 10.0  # times the target's compute, to which the band goes on


@dataclass(frozen=True, slots=True)
class Size:
    """Parameters and training tokens of a model."""

    n_params: float
    train_tokens: float

    @property
    def flops(self) -> float:
        """Return its training FLOPs."""
        return FLOPS * self.n_params * self.train_tokens


@st.cache_resource(max_entries=4, show_spinner="Reading the losses")
def known(db: Database, corpus: str, split: str) -> Known:
    """Return what is known of the trained models; test models are not read."""
    with store.connect(db.path, read_only=True) as con:
        return known_of(test_set.trained(con, corpus, split))


@st.cache_resource(max_entries=16, show_spinner="Fitting the forecast and its backtest")
def _outlooks(
    db: Database, corpus: str, split: str, families: tuple[str, ...]
) -> dict[str, Outlook]:
    """Return the outlook of every task that a model was measured on."""
    trained = known(db, corpus, split)
    made = outlooks(trained, families, trained.usual_stage())
    return {task: one for one in made for task in one.tasks}


def outlook(
    db: Database, corpus: str, split: str, families: tuple[str, ...], task: str
) -> Outlook | None:
    """Return the outlook that has a task, or None if no model was measured on it."""
    return _outlooks(db, corpus, split, families).get(task)


def answers(found: Outlook, size: Size) -> pd.DataFrame:
    """Return a row for each task: predicted, low, high, and flags in words."""
    n, d = np.array([size.n_params]), np.array([size.train_tokens])
    band, flags = found.predict(n, d), found.flags(size.n_params, size.train_tokens)
    return pd.DataFrame(
        {
            "task": found.tasks,
            "predicted": band.predicted[:, 0],
            "low": band.low[:, 0],
            "high": band.high[:, 0],
            "horizon": band.horizon[0],
            "flags": ["; ".join(own) for own in flags],
        }
    )


def path(found: Outlook, task: str, size: Size) -> pd.DataFrame:
    """Return forecasts at this ratio of tokens to parameters, over growing compute."""
    least = min(float(one.ladder.compute.min()) for one in found.forecasters)
    share = np.sqrt(np.geomspace(least / (size.n_params * size.train_tokens), FURTHER, N_POINTS))
    n, d = size.n_params * share, size.train_tokens * share
    band, number = found.predict(n, d), found.tasks.index(task)
    return pd.DataFrame(
        {
            "n_params": n,
            "train_tokens": d,
            "flops": FLOPS * n * d,
            "predicted": band.predicted[number],
            "low": band.low[number],
            "high": band.high[number],
        }
    )


def ladder_points(found: Outlook, task: str) -> pd.DataFrame:
    """Return a row for each trained model of an outlook, with its compute and accuracy."""
    number = found.tasks.index(task)
    return pd.concat(
        [
            pd.DataFrame(
                {
                    "model": one.ladder.names,
                    "run": one.ladder.run,
                    "n_params": one.ladder.n_params,
                    "train_tokens": one.ladder.train_tokens,
                    "flops": FLOPS * one.ladder.compute,
                    "accuracy": one.ladder.accuracy[number],
                }
            )
            for one in found.forecasters
        ]
    )


def backtest(found: Outlook, task: str) -> list[BacktestRow]:
    """Return the errors of the outlook's backtest on a task by horizon."""
    return [row for row in backtest_rows(found.forecasters) if row.task == task]


@st.cache_data(max_entries=64, show_spinner=False)
def iso(
    db: Database, corpus: str, split: str, families: tuple[str, ...], task: str, accuracy: float
) -> list[IsoPoint]:
    """Return what an accuracy takes in tokens, by size."""
    found = outlook(db, corpus, split, families, task)
    return [] if found is None else iso_accuracy(found, task, accuracy)


@st.cache_resource(max_entries=16, show_spinner="Following the run")
def _courses(db: Database, corpus: str, split: str, run: str, end: float) -> dict[str, Course]:
    """Return the course of a run on every task that a model was measured on."""
    trained = known(db, corpus, split)
    chosen = target(trained, trained.runs()[run][-1], ())
    made = courses(trained, chosen.families, chosen.stage, run, end)
    return {one.task: one for one in made}


def course(db: Database, corpus: str, split: str, run: str, end: float, task: str) -> Course | None:
    """Return the course of a run on a task, or None if no model was measured on it."""
    return _courses(db, corpus, split, run, end).get(task)
