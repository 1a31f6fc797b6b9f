"""Fits with weights that the caller brings: as they are, or to pull learnt weights towards."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from csvcore.errors import InputError
from csvcore.fitting.config import FitConfig, settings_of
from csvcore.fitting.dataset import Dataset, task_models
from csvcore.fitting.identity import FitRequest, fit_id
from csvcore.fitting.learn import Report
from csvcore.fitting.outcome import finish
from csvcore.frames import token_table
from csvcore.methods import GIVEN, METHODS
from csvcore.optimise import WeightResult
from csvcore.pipeline.dataset import load_dataset
from csvcore.pipeline.fit import fit_dataset, store_results
from csvcore.records import Fit, Floats

# (n_tokens,) in the order of `frames.token_table`, or a function that makes them of this table.
Weights = ArrayLike | Callable[[pd.DataFrame], ArrayLike]


def tokens(database: Path, corpus: str, split: str, config: FitConfig) -> pd.DataFrame:
    """Return the tokens that a fit with these settings weighs; see `frames.token_table`."""
    data = _dataset(database, corpus, split, config)
    return token_table(data.docs, data.units.edges)


def fit_weights(
    database: Path,
    corpus: str,
    split: str,
    tasks: Sequence[str],
    weights: Weights,
    config: FitConfig,
    report: Report = lambda step, total, message: None,
) -> list[Fit]:
    """Fit the law of each task to the scores of these weights, and store the fits.

    Args:
        database: the results database.
        corpus: name of a stored corpus.
        split: name of a stored split.
        tasks: names of tasks.
        weights: of either sign; only their ratios matter.
        config: settings; those of the units and of the law are used.
        report: called with (step, steps, message); may raise to stop, then nothing is stored.

    Raises:
        InputError: not one finite weight a token, all weights are zero, or a task cannot be fitted.
        FitError: no law can be fitted to the train models.
    """
    report(0, 1, "reading losses")
    data = _dataset(database, corpus, split, config)
    weight = _checked("weights", weights, data)
    settings = settings_of(GIVEN, config)
    settings["weights"] = sha256(np.ascontiguousarray(weight).tobytes()).hexdigest()[:16]
    results = []
    for task in tasks:
        chosen = task_models(data, task)
        request = FitRequest(fit_id(data, chosen, GIVEN, settings), task, GIVEN, settings)
        result = finish(data, chosen, request, WeightResult(task, weight))
        results.append(replace(result, fit=replace(result.fit, left_out=chosen.left_out)))
    report(1, 1, "storing")
    store_results(database, data, results)
    return [result.fit for result in results]


def fit_pulled(
    database: Path,
    corpus: str,
    split: str,
    wanted: Sequence[tuple[str, str]],
    pulls: Mapping[str, Weights],
    config: FitConfig,
    report: Report = lambda step, total, message: None,
) -> list[Fit]:
    """Fit as `pipeline.fit` does, with further weights that learnt ones may be pulled towards.

    Errors on left-out models choose between these pulls and the usual ones.

    Args:
        database: the results database.
        corpus: name of a stored corpus.
        split: name of a stored split.
        wanted: (task, method) pairs of methods that learn weights.
        pulls: by name, none negative; a token of weight 0 keeps it.
        config: settings.
        report: see `fit_weights`.

    Raises:
        InputError: a method or an algorithm that is pulled to nothing, a name that is a method's,
            or weights that no head can be pulled to.
    """
    for method in {method for _, method in wanted}:
        if METHODS[method].kind not in ("learnt", "stack") or config.algorithm == "paper":
            raise InputError(
                f"{method} by the {config.algorithm} algorithm is pulled to no weights; pulls are "
                "for csv and stack by the fast one"
            )
    report(0, 1, "reading losses")
    data = _dataset(database, corpus, split, config)
    rows: dict[str, Floats] = {}
    for name, weights in pulls.items():
        if name in METHODS:
            raise InputError(f"a pull needs a name that is no method's, got {name!r}")
        rows[name] = _checked(f"the pull {name!r}", weights, data)
        if (rows[name] < 0).any():
            raise InputError(f"the pull {name!r} has negative weights; a head changes no sign")
    data = replace(data, pulls=rows)
    chosen = {task: task_models(data, task) for task, _ in wanted}
    return fit_dataset(database, data, chosen, wanted, config, report, only_missing=True)


def _dataset(database: Path, corpus: str, split: str, config: FitConfig) -> Dataset:
    """Return the dataset of these settings."""
    scorer, masked, own = config.scorer, config.mask_first_token, config.own_units
    return load_dataset(database, corpus, split, scorer, masked, own)


def _checked(what: str, weights: Weights, data: Dataset) -> Floats:
    """Return weights as (n_tokens,) numbers.

    Raises:
        InputError: another shape, values that are no finite numbers, or nothing but zeros.
    """
    made = weights(token_table(data.docs, data.units.edges)) if callable(weights) else weights
    try:
        weight = np.asarray(made, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{what} must be numbers: {error}") from error
    if weight.shape != (data.units.n_tokens,):
        raise InputError(
            f"{what} must be one number for each of the {data.units.n_tokens} tokens that "
            f"lab.tokens() lists, got an array of shape {weight.shape}"
        )
    wrong = np.flatnonzero(~np.isfinite(weight))
    if wrong.size:
        raise InputError(
            f"{what} must be finite; token {wrong[0]} and {wrong.size - 1} others are not"
        )
    if not weight[data.counts].any():
        raise InputError(f"{what} are 0 for every token; a score needs one that counts")
    return weight
