"""Weights of the baselines."""

import time
from collections.abc import Callable

import numpy as np

from csvcore.analysis import label_weights
from csvcore.analysis.label_weights import LabelSpans
from csvcore.fitting.config import FitConfig
from csvcore.fitting.dataset import Dataset, TaskModels
from csvcore.fitting.ranked import rank_tokens
from csvcore.methods import METHODS
from csvcore.optimise import WeightResult
from csvcore.records import Floats, Mask, Task
from csvcore.scaling import FEWEST, fit_sigmoid_laws

# The mask tells which train and validation models of the task may be looked at.
WeightFunction = Callable[[Dataset, TaskModels, FitConfig, Mask], Floats]
WEIGHTS: dict[str, WeightFunction] = {}  # by name of the method, as in `methods.METHODS`

LABEL_SHARE = 0.25  # of counted text; " B" for "B" is half, and a word with its mark a third


def weights(name: str) -> Callable[[WeightFunction], WeightFunction]:
    """Register the function that gives a method's weights, (n_tokens,) before scaling."""

    def register(function: WeightFunction) -> WeightFunction:
        WEIGHTS[name] = function
        return function

    return register


def possible(method: str, task: Task, data: Dataset) -> bool:
    """Check if the corpus meets a method's needs for this task."""
    return METHODS[method].needs(data.docs, task)


def baseline_result(
    data: Dataset, method: str, chosen: TaskModels, config: FitConfig
) -> WeightResult:
    """Compute the weights of a baseline; where accuracies affect them, also without each group.

    Raises:
        InputError: the corpus lacks what the method needs.
    """
    started = time.perf_counter()
    train = chosen.on("train")
    known = train | chosen.on("validation")
    weight = WEIGHTS[method](data, chosen, config, known)
    without = {}
    if METHODS[method].from_accuracies:
        groups = {name: mask[chosen.rows] for name, mask in data.interval_groups().items()}
        without = {
            name: WEIGHTS[method](data, chosen, config, known & ~mask)
            for name, mask in groups.items()
            if (train & ~mask).sum() >= FEWEST
        }
    return WeightResult(
        chosen.task.task,
        weight,
        fold_weight=without,
        notes=baseline_notes(data, method, chosen, weight, config.label_spans),
        seconds=time.perf_counter() - started,
    )


@weights("all-token")
def _all_tokens(data: Dataset, chosen: TaskModels, config: FitConfig, seen: Mask) -> Floats:
    return label_weights.uniform_weight(data.nll.shape[1])


@weights("label-token")
def _label_tokens(data: Dataset, chosen: TaskModels, config: FitConfig, seen: Mask) -> Floats:
    return label_weights.label_weight(
        data.docs, data.units.edges, chosen.task.sources, config.label, config.label_spans
    )


@weights("source-token")
def _source_tokens(data: Dataset, chosen: TaskModels, config: FitConfig, seen: Mask) -> Floats:
    return label_weights.source_weight(data.docs, data.units.edges, chosen.task.sources)


def baseline_notes(
    data: Dataset, method: str, chosen: TaskModels, weight: Floats, label_spans: LabelSpans
) -> tuple[str, ...]:
    """Return the notes on a baseline: label-token that mostly weighs other text than answers."""
    if method != "label-token":
        return ()
    share = label_weights.answer_share(
        data.docs, data.units.edges, chosen.task.sources, weight, label_spans
    )
    if share >= LABEL_SHARE:
        return ()
    return (
        f"coarse: {share:.0%} of the text that label-token counts is answers, the rest lies in the "
        "same units; finer losses would tell them apart",
    )


@weights("best-source")
def _best_source(data: Dataset, chosen: TaskModels, config: FitConfig, seen: Mask) -> Floats:
    """Weigh by 1 the tokens of the source with the lowest error on validation, else train."""
    names, source = data.sources()
    in_source = (source == np.arange(len(names))[:, None]) & data.counts  # (n_sources, n_tokens)
    score = chosen.score(data, in_source.astype(np.float64))
    train, validation = seen & chosen.on("train"), seen & chosen.on("validation")
    judges = validation if validation.any() else train
    gamma = np.full(len(names), chosen.task.chance)
    accuracy = np.tile(chosen.accuracy, (len(names), 1))
    share = np.tile(train / train.sum(), (len(names), 1))
    wrong = fit_sigmoid_laws(score, accuracy, gamma, share).predict(score, gamma) - accuracy
    best = int(np.argmin(np.square(wrong[:, judges]).mean(axis=1)))
    return np.asarray(in_source[best], dtype=np.float64)


@weights("rank-token")
def _rank_tokens(data: Dataset, chosen: TaskModels, config: FitConfig, seen: Mask) -> Floats:
    seen_train = seen & chosen.on("train")
    return np.asarray(rank_tokens(data, [chosen], seen_train)[0], dtype=np.float64)
