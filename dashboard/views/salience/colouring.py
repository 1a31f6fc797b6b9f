"""Colourings of the tokens on the Salience page: values, scale and hatching."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from csvcore import salience
from csvcore.errors import InputError
from csvcore.figures.scales import Scale, fitted, weight_scale
from csvcore.records import Floats
from dashboard.queries import fit_tokens
from dashboard.queries.database import Database
from dashboard.queries.fit_tokens import FitTokens

COLOURINGS = ("weight", "loss", "loss difference", "task difference", "instability")
PER = ("token", "character")
UNSTABLE = "within one spread of zero or of the median weight: sign or rank may change"


@dataclass(frozen=True, slots=True)
class ColourChoice:
    """A colouring with its models (first, second) and another task with its fit."""

    by: str = "weight"
    first: str = ""
    second: str = ""
    per: str = "token"
    other: str = ""
    other_task: str = ""


@dataclass(frozen=True, slots=True)
class Coloured:
    """Values of (n_tokens,) tokens and (n_cells,) cells with their scale; hatched: (n_cells,)."""

    tokens: Floats
    cells: Floats
    scale: Scale
    hatched: NDArray[np.bool_] | None = None
    note: str = ""


def coloured(db: Database, texts: FitTokens, choice: ColourChoice) -> Coloured:
    """Return the values of a colouring on all tokens of a fit.

    Raises:
        InputError: its losses or spread are not stored, or the two fits have different tokens.
    """
    if choice.by == "loss":
        return _loss(db, texts, choice)
    if choice.by == "loss difference":
        return _losses(db, texts, choice)
    if choice.by == "task difference":
        return _tasks(texts, fit_tokens.read(db, choice.other), choice.other_task)
    if choice.by == "instability":
        return _spread(texts)
    return _weight(texts)


def _weight(texts: FitTokens) -> Coloured:
    return Coloured(texts.weight, texts.cells.mean(texts.weight), weight_scale(texts.weight))


def _loss(db: Database, texts: FitTokens, choice: ColourChoice) -> Coloured:
    nll = fit_tokens.losses(db, texts.fit.fit, (choice.first,))[0].astype(np.float64)
    tokens, cells = _per(texts, nll, choice.per)
    name = f"loss of {choice.first}"
    top, knee = fitted(cells)
    scale = Scale(name, f"nats per {choice.per}", top, "violet", knee=knee)
    return Coloured(tokens, cells, scale)


def _losses(db: Database, texts: FitTokens, choice: ColourChoice) -> Coloured:
    both = fit_tokens.losses(db, texts.fit.fit, (choice.first, choice.second)).astype(np.float64)
    tokens, cells = _per(texts, both[0] - both[1], choice.per)
    name = f"loss of {choice.first} less that of {choice.second}"
    top, knee = fitted(cells)
    scale = Scale(name, f"nats per {choice.per}", top, "orange", "blue", knee)
    return Coloured(tokens, cells, scale)


def _per(texts: FitTokens, nll: Floats, per: str) -> tuple[Floats, Floats]:
    """Return the losses of tokens and cells per token or character; 0 for zero-width tokens."""
    if per == "token":
        return nll, texts.cells.sum(nll)
    filled = texts.chars > 0
    tokens = np.divide(nll, texts.chars, out=np.zeros_like(nll), where=filled)
    return tokens, texts.cells.sum(nll) / texts.cells.sum(texts.chars)


def _tasks(texts: FitTokens, other: FitTokens, task: str) -> Coloured:
    same = texts.fit.corpus == other.fit.corpus and len(texts.edges) == len(other.edges)
    if not same or not all(map(np.array_equal, texts.edges, other.edges)):
        raise InputError(
            f"the fit of {task} was made on the tokens of another scorer; fit both tasks with one"
        )
    tokens = texts.weight - other.weight
    cells = texts.cells.mean(tokens)
    name = f"weight for {texts.fit.task} less that for {task}"
    top, knee = fitted(tokens)
    return Coloured(tokens, cells, Scale(name, "both mean 1", top, "orange", "blue", knee))


def _spread(texts: FitTokens) -> Coloured:
    if texts.spread is None:
        raise InputError(
            "this fit kept no spread of its weights; fit it again with the fast algorithm"
        )
    unsure = salience.unstable(texts.weight, texts.spread).astype(np.float64)
    top, knee = fitted(texts.spread)
    name, unit = "spread of the weight", "standard deviation over bootstrap draws"
    scale = Scale(name, unit, top, "violet", knee=knee)
    hatched = texts.cells.sum(unsure) > 0
    return Coloured(texts.spread, texts.cells.mean(texts.spread), scale, hatched, UNSTABLE)
