"""The optimisation problem of a head and its result, common to all optimisers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from csvcore.records import Floats, Glimpse, Mask, PenaltyChoice, TraceStep

Singles = NDArray[np.float32]
# Returns the current progress of every head; lazy.
Look = Callable[[], list[Glimpse]]


@dataclass(frozen=True, slots=True)
class HeadProblem:
    """One task: accuracies of the models by row of the losses, which train and which validate.

    accuracy: (n_models,), read only where train or validation is true. pulls: rows
    of `TokenTable.pulls` that the weights may be pulled towards, by name. pulls_without: other rows
    in their place for heads without a group of train models, by (name, group): a pull that was
    learnt from accuracies must not know those of the models left out.
    """

    task: str
    gamma: float
    accuracy: Floats
    train: Mask
    validation: Mask
    pulls: Mapping[str, int] = field(default_factory=lambda: {"all-token": 0})
    pulls_without: Mapping[tuple[str, str], int] = field(default_factory=dict)

    def pull_row(self, name: str, group: str | None) -> int:
        """Return the row of a pull for the head without a group; None leaves nobody out."""
        row = self.pulls[name]
        return row if group is None else self.pulls_without.get((name, group), row)


@dataclass(frozen=True, slots=True)
class Head:
    """A head of the fast fit, for those that go on from it.

    theta: (n_features,). pull: row of `TokenTable.pulls`. strength: its penalty. without,
    pull_without: theta and pull of the same penalty without a group of train models, by the group's
    name.
    """

    theta: Floats
    pull: int
    strength: float
    without: Mapping[str, Floats]
    pull_without: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class WeightResult:
    """The weights of one task before scaling, with a record of the optimisation.

    weight: (n_tokens,). All other fields are of learnt weights.

    step, trace: the selected step and all of them. stages: (n_tokens,) weights at some stages on
    the way, by the step, or the fast fit by the penalty; the selected one is among them. seconds:
    the task's share of the time.

    Of the fast fit alone: draws: (n_draws, n_tokens) weights of heads of random draws of training
    runs. choice: the penalties that were tried. fold_weight: (n_tokens,) weights of the same
    penalty without a group of train models, by the group's name. converged: whether the stopping
    rule held in the end. head: the head itself.
    """

    task: str
    weight: Floats
    step: int = 0
    trace: tuple[TraceStep, ...] = ()
    stages: Mapping[float, Singles] = field(default_factory=dict)
    draws: Floats | None = None
    choice: PenaltyChoice | None = None
    fold_weight: Mapping[str, Floats] = field(default_factory=dict)
    converged: bool = True
    head: Head | None = None
    seconds: float = 0.0
    notes: tuple[str, ...] = ()

    @property
    def learnt(self) -> bool:
        """True if the weights were learnt from the train models, so not for a baseline."""
        return bool(self.trace)


def glimpse(problem: HeadProblem, trace: Sequence[TraceStep], score: Floats) -> Glimpse:
    """Return the progress of a problem; score: (n_models,), test models are not read."""
    seen = problem.train | problem.validation
    return Glimpse(
        task=problem.task,
        gamma=problem.gamma,
        trace=tuple(trace),
        score=tuple(score[seen].tolist()),
        accuracy=tuple(problem.accuracy[seen].tolist()),
        validates=tuple(problem.validation[seen].tolist()),
    )
