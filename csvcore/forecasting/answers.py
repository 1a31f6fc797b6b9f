"""Answers to "what will it score?": rows of a forecast, and its backtest by horizon."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from csvcore.forecasting.forecaster import Forecaster, held
from csvcore.forecasting.known import Known
from csvcore.forecasting.outlook import Outlook, outlooks, run_outlooks
from csvcore.records import ModelCard
from csvcore.splits import run_name

BOUNDS = (1.5, 2.0, 4.0, 10.0, 16.0, 100.0)  # upper bounds of the horizons that errors are told by


@dataclass(frozen=True, slots=True)
class ForecastRow:
    """Forecast accuracy of a model on a task, with its 90 % interval.

    model: its name, or None of parameters and tokens alone. horizon: how far beyond the trained
    models, as a factor. flags: what speaks against the forecast.
    """

    task: str
    model: str | None
    n_params: int
    train_tokens: int
    predicted: float
    low: float
    high: float
    horizon: float
    flags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BacktestRow:
    """Errors of forecasts at horizons up to this one and above the bound before it.

    The last of BOUNDS has all horizons beyond it as well; only runs reach so far.

    error, carried: mean absolute error of forecasts and of the accuracy of the largest known model.
    coverage: share of 90 % intervals that held. n: forecast models.
    """

    task: str
    horizon: float
    error: float
    carried: float
    coverage: float
    n: int


@dataclass(frozen=True, slots=True)
class Target:
    """A model to forecast, and the families and the stage of the trained models to take for it.

    run: its training run, if first checkpoints of it are known.
    """

    card: ModelCard
    families: tuple[str, ...]
    stage: str | None
    run: str | None


def target(known: Known, card: ModelCard, families: Sequence[str]) -> Target:
    """Choose the trained models that a model is forecast from.

    Args:
        known: trained models.
        card: of the model, with n_params and train_tokens.
        families: to take; if none, the model's own where that is a ladder, else all.
    """
    stage = card.stage if known.has_stage(card.stage) else known.usual_stage()
    chosen = tuple(families) or tuple(known.families())
    if not families and known.is_ladder((card.family,), stage):
        chosen = (card.family,)
    earlier = [
        known.cards[row]
        for row in known.rows(chosen, stage)
        if run_name(known.cards[row]) == run_name(card)
        and (known.cards[row].train_tokens or 0) < (card.train_tokens or 0)
    ]
    return Target(card, chosen, stage, run_name(card) if len(earlier) >= 2 else None)


def answer(known: Known, targets: Sequence[Target]) -> tuple[list[ForecastRow], list[BacktestRow]]:
    """Return forecasts of every target on every task, and the backtests behind them.

    Raises:
        InputError: there are too few models or sizes for a ladder.
    """
    rows: list[ForecastRow] = []
    used: list[Outlook] = []
    for key in dict.fromkeys((one.families, one.stage, one.run) for one in targets):
        own = [one.card for one in targets if (one.families, one.stage, one.run) == key]
        families, stage, run = key
        if run is None:
            made = outlooks(known, families, stage)
        else:
            made = run_outlooks(known, families, stage, run, _tokens(own))
        for outlook in made:
            rows += _rows(outlook, own, stage)
        used += made
    order = {task.task: at for at, task in enumerate(known.tasks)}
    rows.sort(key=lambda row: order[row.task])
    distinct = {  # a family that several targets are forecast from counts once
        (one.ladder.names, one.ladder.tasks, one.end_of): one
        for outlook in used
        for one in outlook.forecasters
    }
    return rows, backtest_rows(distinct.values())


def _tokens(cards: Sequence[ModelCard]) -> float:
    return float(max(card.train_tokens or 0 for card in cards))


def _rows(outlook: Outlook, cards: Sequence[ModelCard], stage: str | None) -> list[ForecastRow]:
    n = np.array([card.n_params for card in cards], dtype=np.float64)
    d = np.array([card.train_tokens for card in cards], dtype=np.float64)
    band = outlook.predict(n, d)
    rows = []
    for at, card in enumerate(cards):
        flags = outlook.flags(n[at], d[at])
        if card.stage not in (None, stage):
            instead = stage or "those without a stage"
            other = f"no {card.stage} model is known, so {instead} are taken"
            flags = [[*own, other] for own in flags]
        rows += [
            ForecastRow(
                task=task,
                model=card.model or None,
                n_params=card.n_params or 0,
                train_tokens=card.train_tokens or 0,
                predicted=float(band.predicted[number, at]),
                low=float(band.low[number, at]),
                high=float(band.high[number, at]),
                horizon=float(band.horizon[at]),
                flags=tuple(flags[number]),
            )
            for number, task in enumerate(outlook.tasks)
        ]
    return rows


def backtest_rows(forecasters: Iterable[Forecaster]) -> list[BacktestRow]:
    """Return the errors of backtests by task and horizon; horizons without a model are left out."""
    found: dict[tuple[str, float], list[list[float]]] = {}
    for one in forecasters:
        tested = one.tested
        if not tested.fold.size:
            continue
        covered = held(tested)
        values = np.stack([np.abs(tested.error), np.abs(tested.carried), covered], axis=2)
        bound = np.minimum(np.searchsorted(BOUNDS, tested.horizon), len(BOUNDS) - 1)
        for number, task in enumerate(one.ladder.tasks):
            for at, row in zip(bound.tolist(), values[number].tolist(), strict=True):
                found.setdefault((task, BOUNDS[at]), []).append(row)
    rows = []
    for (task, horizon), entries in sorted(found.items()):
        error, carried, coverage = np.mean(entries, axis=0).tolist()
        rows.append(BacktestRow(task, horizon, error, carried, coverage, len(entries)))
    return rows
