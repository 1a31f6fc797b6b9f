"""What is asked of a head, and what comes back, whichever way it is optimised."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from csvcore.records import Floats, PenaltyChoice, TraceStep

Singles = NDArray[np.float32]
Mask = NDArray[np.bool_]


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
    spread: Floats | None = None
    choice: PenaltyChoice | None = None
    fold_weight: Mapping[str, Floats] = field(default_factory=dict)
    converged: bool = True
