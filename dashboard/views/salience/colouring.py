"""What the tokens of the Salience page can be coloured by: values, their scale, what is hatched."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from csvcore import salience
from csvcore.errors import InputError
from csvcore.figures.scales import Scale, weight_scale
from csvcore.records import Floats
from dashboard.queries import fit_tokens
from dashboard.queries.database import Database
from dashboard.queries.fit_tokens import Texts

COLOURINGS = ("weight", "loss", "loss difference", "task difference", "instability")
PER = ("token", "character")
TOP_SHARE = 0.995  # of the values lies below the fullest colour
UNSTABLE = "within one spread of zero or of the median weight: its sign or rank could turn"


@dataclass(frozen=True, slots=True)
class Asked:
    """A colouring and what it is of; first, second: models. other: a fit of another task."""

    by: str = "weight"
    first: str = ""
    second: str = ""
    per: str = "token"
    other: str = ""
    other_task: str = ""


@dataclass(frozen=True, slots=True)
class Coloured:
    """tokens: (n_tokens,) values; cells: (n_cells,) the same as shown. hatched: (n_cells,)."""

    tokens: Floats
    cells: Floats
    scale: Scale
    hatched: NDArray[np.bool_] | None = None
    note: str = ""


def coloured(db: Database, own: Texts, asked: Asked) -> Coloured:
    """The values of a colouring on all tokens of a fit.

    Raises:
        InputError: what it needs is not stored, or the two fits have different tokens.
    """
    if asked.by == "loss":
        return _loss(db, own, asked)
    if asked.by == "loss difference":
        return _losses(db, own, asked)
    if asked.by == "task difference":
        return _tasks(own, fit_tokens.texts(db, asked.other), asked.other_task)
    if asked.by == "instability":
        return _spread(own)
    return _weight(own)


def top(values: Floats) -> float:
    """Value of the fullest colour: nearly all lie below, so that one odd token dims no other."""
    return float(np.quantile(np.abs(values), TOP_SHARE))


def _weight(own: Texts) -> Coloured:
    scale = weight_scale(top(own.weight))
    if own.weight.min() < 0.0:
        scale = Scale(scale.name, scale.unit, scale.top, "orange", "blue")
    return Coloured(own.weight, own.cells.mean(own.weight), scale)


def _loss(db: Database, own: Texts, asked: Asked) -> Coloured:
    nll = fit_tokens.losses(db, own.fit.fit, (asked.first,))[0].astype(np.float64)
    tokens, cells = _per(own, nll, asked.per)
    name = f"loss of {asked.first}"
    return Coloured(tokens, cells, Scale(name, f"nats per {asked.per}", top(cells), "violet"))


def _losses(db: Database, own: Texts, asked: Asked) -> Coloured:
    both = fit_tokens.losses(db, own.fit.fit, (asked.first, asked.second)).astype(np.float64)
    tokens, cells = _per(own, both[0] - both[1], asked.per)
    name = f"loss of {asked.first} less that of {asked.second}"
    scale = Scale(name, f"nats per {asked.per}", top(cells), "orange", "blue")
    return Coloured(tokens, cells, scale)


def _per(own: Texts, nll: Floats, per: str) -> tuple[Floats, Floats]:
    """Losses of tokens and of cells, per token or per character; a token of no byte has none."""
    if per == "token":
        return nll, own.cells.sum(nll)
    filled = own.chars > 0
    tokens = np.divide(nll, own.chars, out=np.zeros_like(nll), where=filled)
    return tokens, own.cells.sum(nll) / own.cells.sum(own.chars)


def _tasks(own: Texts, other: Texts, task: str) -> Coloured:
    same = own.fit.corpus == other.fit.corpus and len(own.edges) == len(other.edges)
    if not same or not all(map(np.array_equal, own.edges, other.edges)):
        raise InputError(
            f"the fit of {task} was made on the tokens of another scorer; fit both tasks with one"
        )
    tokens = own.weight - other.weight
    cells = own.cells.mean(tokens)
    name = f"weight for {own.fit.task} less that for {task}"
    return Coloured(tokens, cells, Scale(name, "both mean 1", top(tokens), "orange", "blue"))


def _spread(own: Texts) -> Coloured:
    if own.spread is None:
        raise InputError(
            "this fit kept no spread of its weights; fit it again with the fast algorithm"
        )
    unsure = salience.unstable(own.weight, own.spread).astype(np.float64)
    scale = Scale(
        "spread of the weight", "standard deviation over bootstrap draws",
        top(own.spread), "violet",
    )  # fmt: skip
    hatched = own.cells.sum(unsure) > 0
    return Coloured(own.spread, own.cells.mean(own.spread), scale, hatched, UNSTABLE)
