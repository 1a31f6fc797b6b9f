"""What is known of trained models, and the ladders that they make."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from csvcore.forecasting.ladder import Ladder
from csvcore.forecasting.score_table import ScoreTable, score_table
from csvcore.records import Accuracy, ModelCard, Task, Trained
from csvcore.splits import run_name


@dataclass(frozen=True, slots=True)
class Known:
    """Trained models with scores; their cards are in the order of the table's models.

    accuracies: by model and task. tasks: in the order of the table's. in_split: names of those that
    train or validate; the others are known as checkpoints of their run alone.
    """

    cards: tuple[ModelCard, ...]
    tasks: tuple[Task, ...]
    accuracies: dict[tuple[str, str], Accuracy]
    table: ScoreTable
    in_split: frozenset[str]

    def families(self) -> list[str]:
        """Return the families of the models."""
        return sorted({card.family for card in self.cards if card.model in self.in_split})

    def has_stage(self, stage: str | None) -> bool:
        """Tell whether a train or validation model has this stage."""
        return any(card.stage == stage for card in self.cards if card.model in self.in_split)

    def observed(self, family: str, task: str) -> list[float]:
        """Return the accuracies of a family's train and validation models on a task."""
        return [
            entry.accuracy
            for card in self.cards
            if card.family == family and card.model in self.in_split
            if (entry := self.accuracies.get((card.model, task))) is not None
        ]

    def usual_stage(self) -> str | None:
        """Return the stage that most of the models have."""
        stages = Counter(card.stage for card in self.cards if card.model in self.in_split)
        return stages.most_common(1)[0][0]

    def runs(self) -> dict[str, list[ModelCard]]:
        """Return the checkpoints of every run whose size and tokens are known, first ones first."""
        found: dict[str, list[ModelCard]] = {}
        for card in self.cards:
            if card.n_params and card.train_tokens and card.step is not None:
                found.setdefault(run_name(card), []).append(card)
        for own in found.values():
            own.sort(key=lambda card: card.train_tokens or 0)
        return found

    def rows(self, families: Collection[str], stage: str | None) -> list[int]:
        """Return the models of some families and one stage whose parameters and tokens are known.

        Points of a decayed end are never mixed with those of a constant learning rate, since the
        decay alone raises accuracy.
        """
        return [
            row
            for row, card in enumerate(self.cards)
            if card.family in families and card.stage == stage and card.model in self.in_split
            if card.n_params and card.train_tokens
        ]

    def measured(self, row: int, task: Task) -> bool:
        """Tell whether a model has an accuracy on a task."""
        return (self.cards[row].model, task.task) in self.accuracies

    def is_ladder(self, families: Collection[str], stage: str | None) -> bool:
        """Tell whether these models are a ladder on every task that any of them was measured on."""
        rows = self.rows(families, stage)
        groups = self.task_groups(rows)
        return bool(groups) and all(self.ladder(rows, tasks).long_enough for tasks in groups)

    def task_groups(self, rows: Sequence[int]) -> list[list[Task]]:
        """Return the tasks in groups that were measured on the same of these models."""
        groups: dict[tuple[int, ...], list[Task]] = {}
        for task in self.tasks:
            has = tuple(
                row for row in rows if (self.cards[row].model, task.task) in self.accuracies
            )
            if has:
                groups.setdefault(has, []).append(task)
        return list(groups.values())

    def ladder(self, rows: Sequence[int], tasks: Sequence[Task], run: str | None = None) -> Ladder:
        """Return the ladder of those of these models that have an accuracy on each of the tasks.

        Args:
            rows: of the models.
            tasks: names and chance levels.
            run: name of a run whose checkpoints are added, with accuracies of NaN where not known.
        """
        own = [card.model for card in self.runs().get(run, [])] if run else []
        has = [
            row
            for row, card in enumerate(self.cards)
            if card.model in own
            or (row in rows and all(self.measured(row, task) for task in tasks))
        ]
        cards = [self.cards[row] for row in has]
        uses = self.table.uses[[self.tasks.index(task) for task in tasks]]
        columns = np.flatnonzero(uses.any(axis=0))
        return Ladder(
            names=tuple(card.model for card in cards),
            n_params=np.array([card.n_params for card in cards], dtype=np.float64),
            train_tokens=np.array([card.train_tokens for card in cards], dtype=np.float64),
            run=tuple(run_name(card) for card in cards),
            tasks=tuple(task.task for task in tasks),
            gamma=np.array([task.chance for task in tasks]),
            accuracy=np.array([[self._accuracy(row, task) for row in has] for task in tasks]),
            scores=tuple(self.table.scores[column] for column in columns),
            score=self.table.score[columns][:, has],
            probable=self.table.probable[columns],
            uses=uses[:, columns],
        )

    def _accuracy(self, row: int, task: Task) -> float:
        entry = self.accuracies.get((self.cards[row].model, task.task))
        return np.nan if entry is None else entry.accuracy


def known_of(trained: Trained) -> Known:
    """Score what was read of the trained models."""
    table = score_table(trained.docs, trained.tasks, trained.losses)
    return Known(
        cards=tuple(trained.cards[name] for name in table.models),
        tasks=trained.tasks,
        accuracies=trained.accuracies,
        table=table,
        in_split=trained.in_split,
    )
