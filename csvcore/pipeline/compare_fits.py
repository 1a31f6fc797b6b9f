"""Two stored fits side by side."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from csvcore import frames, store
from csvcore.analysis.two_fits import (
    Agreement,
    ErrorDifference,
    agreement,
    common_pieces,
    error_difference,
)
from csvcore.splits import run_of


@dataclass(frozen=True, slots=True)
class TwoFits:
    """Differences of fit a and fit b; tables as of `frames`.

    weights, agreement: None where they cannot be compared, for the reason why_not.
    """

    a: str
    b: str
    settings: pd.DataFrame
    predictions: pd.DataFrame
    errors: ErrorDifference | None
    weights: pd.DataFrame | None
    agreement: Agreement | None
    why_not: str | None


def compare_fits(database: Path, a: str, b: str) -> TwoFits:
    """Compare two stored fits, each given by its id or its name.

    Raises:
        InputError: there is no such fit.
    """
    with store.connect(database, read_only=True) as db:
        left, right = (store.fit(db, store.fit_named(db, name)) for name in (a, b))
        runs = {card.model: run_of(card) for card in store.models(db)}
        docs = store.documents(db, left.corpus)
        units = [store.fit_units(db, fit.fit) for fit in (left, right)]
    settings = frames.settings_side_by_side(left, right)
    predictions = frames.predictions_side_by_side(left, right)
    errors = error_difference(left, right, runs)
    weight_a, weight_b = units[0].weight, units[1].weight
    why_not = None
    if left.corpus != right.corpus:
        why_not = f"the fits are of other corpora, {left.corpus} and {right.corpus}"
    elif weight_a is None or weight_b is None:
        method = left.method if weight_a is None else right.method
        why_not = f"{method} gives no token a weight"
    if weight_a is None or weight_b is None or why_not is not None:
        return TwoFits(left.fit, right.fit, settings, predictions, errors, None, None, why_not)
    pieces = common_pieces(units[0].edges, weight_a, units[1].edges, weight_b)
    return TwoFits(
        left.fit, right.fit, settings, predictions, errors,
        frames.weights_side_by_side(pieces, docs), agreement(pieces.a, pieces.b), None,
    )  # fmt: skip
