"""What is asked of a head, and what comes back, whichever way it is optimised."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from csvcore.records import Floats, Glimpse, Mask, PenaltyChoice, TraceStep

Singles = NDArray[np.float32]
# Tells how far the heads are at the moment it is called; costs nothing while nobody calls it.
Look = Callable[[], list[Glimpse]]


@dataclass(frozen=True, slots=True)
class HeadProblem:
    """One task: accuracies of the models by row of the losses, which train and which validate.

    accuracy: (n_models,), read only where train or validation is true. pulls: rows
    of `TokenTable.pulls` that the weights may be pulled towards, by name.
    """

    task: str
    gamma: float
    accuracy: Floats
    train: Mask
    validation: Mask
    pulls: Mapping[str, int] = field(default_factory=lambda: {"all-token": 0})


@dataclass(frozen=True, slots=True)
class HeadResult:
    """The selected head of one task: weight (n_tokens,) before scaling, its step, and the trace.

    stages: (n_tokens,) weights before scaling at some stages on the way, by the step, or the fast
    fit by the penalty; the selected one is among them.

    The rest is of the fast fit alone. spread: (n_tokens,) standard deviation of the weights over
    heads of random draws of training runs, each scaled to mean 1 as `weight` then is. choice: the
    penalties
    that were tried. fold_weight: (n_tokens,) weights of the same penalty without a group of train
    models, by the group's name. converged: whether the stopping rule held in the end.
    """

    task: str
    weight: Floats
    step: int
    trace: tuple[TraceStep, ...]
    stages: Mapping[float, Singles] = field(default_factory=dict)
    spread: Floats | None = None
    choice: PenaltyChoice | None = None
    fold_weight: Mapping[str, Floats] = field(default_factory=dict)
    converged: bool = True


def glimpse(problem: HeadProblem, trace: Sequence[TraceStep], score: Floats) -> Glimpse:
    """A problem on its way; score (n_models,) of all models, of which some are read."""
    known = problem.train | problem.validation
    return Glimpse(
        task=problem.task,
        gamma=problem.gamma,
        trace=tuple(trace),
        score=tuple(score[known].tolist()),
        accuracy=tuple(problem.accuracy[known].tolist()),
        validates=tuple(problem.validation[known].tolist()),
    )
