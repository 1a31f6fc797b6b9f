"""Forecasts of models that are not trained yet, from the database."""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from csvcore import store
from csvcore.errors import InputError
from csvcore.forecasting.answers import BacktestRow, ForecastRow, answer, target
from csvcore.forecasting.course import Course, courses
from csvcore.forecasting.iso_accuracy import IsoPoint, iso_accuracy
from csvcore.forecasting.known import Known, known_of
from csvcore.forecasting.outlook import outlooks
from csvcore.records import ModelCard

SHOWN = 5  # runs in a message


@dataclass(frozen=True, slots=True)
class Forecast:
    """Forecasts of some models on some tasks, and the backtests behind them."""

    rows: list[ForecastRow]
    backtest: list[BacktestRow]


def forecast(
    database: Path,
    corpus: str,
    split: str,
    sizes: Sequence[tuple[int, int]] = (),
    models: Sequence[str] = (),
    families: Sequence[str] = (),
    tasks: Sequence[str] = (),
) -> Forecast:
    """Forecast accuracies of models from the train and validation models of a split.

    Args:
        database: the results database.
        corpus: whose losses are used.
        split: its test models are not looked at.
        sizes: parameters and training tokens of models.
        models: names of stored models; of these only n_params and train_tokens are read.
        families: whose models are taken; by default the named model's own, else all.
        tasks: names; by default all.

    Raises:
        InputError: an unknown name, a size that is not positive, a model without n_params or
            train_tokens, or too few trained models.
    """
    for n_params, train_tokens in sizes:
        if n_params < 1 or train_tokens < 1:
            raise InputError(
                f"parameters and tokens are positive, got {n_params} and {train_tokens}"
            )
    with store.connect(database, read_only=True) as db:
        stored = {card.model: card for card in store.models(db)}
        known = known_of(store.trained(db, corpus, split, tasks))
    _check_families(known, families)
    cards = [ModelCard("", "", *size) for size in sizes]
    for name in models:
        if name not in stored:
            raise InputError(f"there is no model {name!r}; csvcore models lists those stored")
        card = stored[name]
        if not card.n_params or not card.train_tokens:
            raise InputError(
                f"n_params or train_tokens of {name} is not known; give both in models.csv"
            )
        cards.append(card)
    return Forecast(*answer(known, [target(known, card, families) for card in cards]))


def iso_accuracies(
    database: Path,
    corpus: str,
    split: str,
    accuracy: float,
    families: Sequence[str] = (),
    tasks: Sequence[str] = (),
) -> dict[str, list[IsoPoint]]:
    """Return for every task what an accuracy takes in tokens, by size; see `iso_accuracy`.

    Raises:
        InputError: an unknown name, or too few trained models.
    """
    with store.connect(database, read_only=True) as db:
        known = known_of(store.trained(db, corpus, split, tasks))
    _check_families(known, families)
    chosen = tuple(families) or tuple(known.families())
    return {
        task: iso_accuracy(outlook, task, accuracy)
        for outlook in outlooks(known, chosen, known.usual_stage())
        for task in outlook.tasks
    }


def course(
    database: Path, corpus: str, split: str, run: str, end: int, tasks: Sequence[str] = ()
) -> list[Course]:
    """Forecast the course of a run on every task from its checkpoints' losses; see `courses`.

    Args:
        database: the results database.
        corpus: whose losses are used.
        split: its train and validation models are the other runs.
        run: as `splits.run_name` has it, or a part of that name which no other run has.
        end: training tokens at its end.
        tasks: names; by default all.

    Raises:
        InputError: an unknown name, or too few models.
    """
    with store.connect(database, read_only=True) as db:
        known = known_of(store.trained(db, corpus, split, tasks))
    runs = known.runs()
    named = [name for name in runs if name == run] or [name for name in runs if run in name]
    if len(named) != 1:
        raise InputError(_which_run(run, named, list(runs)))
    last = runs[named[0]][-1]
    if end < (last.train_tokens or 0):
        raise InputError(f"{last.model} has seen {last.train_tokens} tokens, more than {end}")
    chosen = target(known, last, ())
    return courses(known, chosen.families, chosen.stage, named[0], float(end))


def _check_families(known: Known, families: Sequence[str]) -> None:
    unknown = sorted(set(families) - set(known.families()))
    if unknown:
        raise InputError(
            f"no train or validation model is of the family {unknown[0]!r}; there are "
            f"{', '.join(known.families())}"
        )


def _which_run(run: str, named: Sequence[str], runs: Sequence[str]) -> str:
    """Return that no run, or several, have a name."""
    if named:
        return f"{len(named)} runs have {run!r} in their names: {', '.join(named)}; name one whole"
    near = difflib.get_close_matches(run, runs, SHOWN, 0.0)
    return f"no run is called {run!r}; of {len(runs)} runs the nearest are {', '.join(near)}"
