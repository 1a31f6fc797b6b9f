"""The outlook of models that are not trained yet, from the ladders of one family or of several."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from csvcore.analysis.stack import NORMAL_90, mix
from csvcore.errors import InputError
from csvcore.forecasting.forecaster import Band, Forecaster, forecaster, run_forecaster
from csvcore.forecasting.known import Known
from csvcore.forecasting.ladder import ABOVE_CHANCE, Ladder
from csvcore.records import Floats, Task

FAR = 10.0  # times the farthest horizon of the backtest


@dataclass(frozen=True, slots=True)
class Outlook:
    """Forecasters of some tasks, one for each family whose models are a ladder.

    families: their names, or one name for several families taken as one ladder. notes: sentences
    on how the models were chosen.
    """

    forecasters: tuple[Forecaster, ...]
    families: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def tasks(self) -> tuple[str, ...]:
        """Return the tasks."""
        return self.forecasters[0].ladder.tasks

    def predict(self, n_params: Floats, train_tokens: Floats) -> Band:
        """Forecast accuracies with 90 % intervals; families count alike.

        Each side of an interval has two parts, as squares: the mean of the families' own sides, and
        1.645 standard deviations of the families about their mix.

        Args:
            n_params: (n_targets,), positive.
            train_tokens: likewise.
        """
        bands = [one.predict(n_params, train_tokens) for one in self.forecasters]
        if len(bands) == 1:
            return bands[0]
        each = np.stack([one.predicted for one in bands])  # (n_families, n_tasks, n_targets)
        share = np.full(len(each), 1.0 / len(each))
        predicted = np.stack([mix(each[:, task], share) for task in range(each.shape[1])])
        below = np.mean([np.square(one.predicted - one.low) for one in bands], axis=0)
        above = np.mean([np.square(one.high - one.predicted) for one in bands], axis=0)
        between = np.square(NORMAL_90) * np.mean(np.square(each - predicted), axis=0)
        return Band(
            predicted,
            np.maximum(predicted - np.sqrt(below + between), 0.0),
            np.minimum(predicted + np.sqrt(above + between), 1.0),
            np.min([one.horizon for one in bands], axis=0),
        )

    def flags(self, n_params: float, train_tokens: float) -> list[list[str]]:
        """Return for each task what speaks against its forecast, in words."""
        at = np.array([n_params]), np.array([train_tokens])
        bands = [one.predict(*at) for one in self.forecasters]
        horizon = min(float(one.horizon[0]) for one in bands)
        reach = max(one.reach for one in self.forecasters)
        every = list(self.notes)
        if horizon > reach:
            often = "far " if horizon > FAR * reach else ""
            every.append(
                f"{often}beyond the backtest: {horizon:.3g} times the ladder, of which "
                f"{reach:.3g} were tested"
            )
        every += self._below(n_params, train_tokens)
        flags = []
        for task in range(len(self.tasks)):
            own = list(every)
            ladders = [one.ladder for one in self.forecasters]
            if all(_at_chance(ladder, task) for ladder in ladders):
                own.append("near chance: no model of the ladder is clearly above it")
            each = [float(one.predicted[task, 0]) for one in bands]
            half = np.mean([(one.high - one.low)[task, 0] / 2 for one in bands])
            if max(each) - min(each) > 2 * half:
                own.append(f"families disagree: {min(each):.2f} to {max(each):.2f}")
            flags.append(own)
        return flags

    def _below(self, n_params: float, train_tokens: float) -> list[str]:
        """Return that a model is far smaller than all of the ladder, or had far less text."""
        ladders = [one.ladder for one in self.forecasters]
        least_n = min(float(ladder.n_params.min()) for ladder in ladders)
        least_d = min(float(ladder.train_tokens.min()) for ladder in ladders)
        if n_params * FAR >= least_n and train_tokens * FAR >= least_d:
            return []
        return [
            f"far below the ladder, which begins at {least_n:.3g} parameters and {least_d:.3g} "
            "tokens; K, M, B and T stand for thousands to trillions"
        ]


def _at_chance(ladder: Ladder, task: int) -> bool:
    return bool(ladder.accuracy[task].max() < ladder.gamma[task] + ABOVE_CHANCE)


def outlooks(known: Known, families: Sequence[str], stage: str | None) -> list[Outlook]:
    """Fit the forecasters of all tasks, an outlook for each group of tasks with the same models.

    A family whose models are a ladder has a forecaster of its own; where none of them is, all
    their models are one ladder.

    Args:
        known: trained models.
        families: whose models are taken.
        stage: that the model to forecast has.

    Raises:
        InputError: there are too few models or sizes.
    """
    rows = known.rows(families, stage)
    others = {card.stage for card in known.cards if card.family in families} - {stage}
    notes = [f"models of the stage {other} are left out" for other in sorted(map(str, others))]
    groups = known.task_groups(rows)
    if not groups:
        raise InputError(
            f"no model of {', '.join(families) or 'any family'} has losses, an accuracy, n_params "
            "and train_tokens; a forecast needs all four"
        )
    return [_outlook(known, families, rows, tasks, notes) for tasks in groups]


def _outlook(
    known: Known,
    families: Sequence[str],
    rows: Sequence[int],
    tasks: Sequence[Task],
    notes: Sequence[str],
) -> Outlook:
    ladders = {
        family: known.ladder([row for row in rows if known.cards[row].family == family], tasks)
        for family in families
    }
    long = {family: ladder for family, ladder in ladders.items() if ladder.long_enough}
    if not long:
        if len(families) > 1:
            notes = [*notes, "no family is a ladder by itself, so all are taken as one"]
        long = {" + ".join(families): known.ladder(rows, tasks)}
    made = tuple(forecaster(ladder) for ladder in long.values())
    return Outlook(made, tuple(long), tuple(notes))


def run_outlooks(
    known: Known, families: Sequence[str], stage: str | None, run: str, end: float
) -> list[Outlook]:
    """Fit the forecasters of the rest of a run, an outlook for each group of tasks.

    Args:
        known: trained models, the run's first checkpoints among them.
        families: whose models are taken.
        stage: of the run.
        run: its name.
        end: tokens at its end.

    Raises:
        InputError: the run has fewer than two checkpoints, or there are too few models.
    """
    rows = known.rows(families, stage)
    return [
        Outlook((run_forecaster(known.ladder(rows, tasks, run), run, end),), (run,), ())
        for tasks in known.task_groups(rows)
    ]
