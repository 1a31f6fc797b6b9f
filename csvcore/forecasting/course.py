"""The course of a run: what its first checkpoints and the other runs say of its end."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from csvcore.errors import InputError
from csvcore.forecasting.answers import BacktestRow, backtest_rows
from csvcore.forecasting.forecaster import Forecaster, forecaster, run_forecaster
from csvcore.forecasting.known import Known
from csvcore.forecasting.ladder import (
    ABOVE_CHANCE,
    FEWEST_MODELS,
    FEWEST_SIZES,
    Ladder,
    without_run,
)
from csvcore.records import Floats, Ints, Task

N_POINTS = 60  # of a band, evenly spread in log tokens


@dataclass(frozen=True, slots=True)
class Lag:
    """A checkpoint beside what its size and tokens promise, by the models of other runs.

    difference: observed less promised accuracy; low and high are its 90 % interval.
    """

    train_tokens: int
    difference: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Course:
    """The course of a run on one task, from its last known checkpoint to its end.

    known_tokens, known_accuracy: (n_known,); measured tells whether these accuracies were measured,
    or all taken from losses (`from_losses`). tokens, predicted, low, high: (N_POINTS,), the last
    being the end. leaves_chance: tokens at which the run leaves chance, or None if it has or never
    does. lag: of the known checkpoints. behind_since: tokens
    since which every checkpoint has been significantly below what was promised, or None. backtest:
    of other runs' ends.
    """

    run: str
    task: str
    n_params: int
    known_tokens: Floats
    known_accuracy: Floats
    measured: bool
    tokens: Floats
    predicted: Floats
    low: Floats
    high: Floats
    leaves_chance: int | None
    lag: tuple[Lag, ...]
    behind_since: int | None
    backtest: tuple[BacktestRow, ...]


def courses(
    known: Known, families: Sequence[str], stage: str | None, run: str, end: float
) -> list[Course]:
    """Return the course of a run on every task.

    Args:
        known: trained models, the run's checkpoints among them.
        families: whose models are taken.
        stage: of the run.
        run: its name.
        end: tokens at its end.

    Raises:
        InputError: the run has fewer than two checkpoints, or there are too few models.
    """
    rows = known.rows(families, stage)
    made: list[Course] = []
    for tasks in known.task_groups(rows):
        ladder = known.ladder(rows, tasks, run)
        others = without_run(ladder, run)
        if not others.long_enough:
            raise InputError(
                f"the course of {run} needs other runs: {FEWEST_MODELS} models of {FEWEST_SIZES} "
                f"sizes or more with accuracies, got {len(others.names)} of {others.n_sizes}"
            )
        made += _courses(ladder, run_forecaster(ladder, run, end), forecaster(others), tasks, end)
    if not made:
        raise InputError(f"no model of {', '.join(families)} has an accuracy; import accuracies")
    return made


def _courses(
    observed: Ladder, fitted: Forecaster, promise: Forecaster, tasks: Sequence[Task], end: float
) -> list[Course]:
    ladder = fitted.ladder
    own = ladder.of_run(str(fitted.end_of))
    last = float(ladder.train_tokens[own[-1]])
    tokens = np.geomspace(last, max(end, last), N_POINTS)
    band = fitted.predict(np.full(N_POINTS, ladder.n_params[own[0]]), tokens)
    backtest = backtest_rows([fitted])
    lags = _lags(ladder, own, promise)
    made = []
    for number, task in enumerate(tasks):
        accuracy, lag = ladder.accuracy[number, own], lags[number]
        made.append(
            Course(
                run=str(fitted.end_of),
                task=task.task,
                n_params=int(ladder.n_params[own[0]]),
                known_tokens=ladder.train_tokens[own],
                known_accuracy=accuracy,
                measured=bool(np.isfinite(observed.accuracy[:, own]).all()),
                tokens=tokens,
                predicted=band.predicted[number],
                low=band.low[number],
                high=band.high[number],
                leaves_chance=_leaves_chance(accuracy, tokens, band.predicted[number], task.chance),
                lag=lag,
                behind_since=_behind_since(lag),
                backtest=tuple(row for row in backtest if row.task == task.task),
            )
        )
    return made


def _lags(ladder: Ladder, own: Ints, promise: Forecaster) -> list[tuple[Lag, ...]]:
    """Return the lags of a run's checkpoints on every task."""
    tokens = ladder.train_tokens[own]
    promised = promise.predict(ladder.n_params[own], tokens)
    lags = []
    for task, observed in enumerate(ladder.accuracy[:, own]):
        rows = zip(
            tokens.tolist(),
            (observed - promised.predicted[task]).tolist(),
            (observed - promised.high[task]).tolist(),
            (observed - promised.low[task]).tolist(),
            strict=True,
        )
        lags.append(tuple(Lag(int(at), *values) for at, *values in rows))
    return lags


def _behind_since(lag: Sequence[Lag]) -> int | None:
    since = None
    for one in reversed(lag):
        if one.high >= 0.0:
            break
        since = one.train_tokens
    return since


def _leaves_chance(
    observed: Floats, tokens: Floats, predicted: Floats, chance: float
) -> int | None:
    """Return the tokens at which a run is forecast to leave chance, if it has not already."""
    if observed[-1] >= chance + ABOVE_CHANCE:
        return None
    above = np.flatnonzero(predicted >= chance + ABOVE_CHANCE)
    return round(float(tokens[above[0]])) if above.size else None
