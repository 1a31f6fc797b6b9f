"""Completion of a table of models and tasks by a low-rank product beside the models' cards.

Zhang et al. (2024), arXiv 2407.01300, in its linear form: an entry is

    y_mj = level_j + w_j . c_m + v_j . u_m

with known features c_m of the model and factors u_m, v_j that are learnt by alternating ridge
regressions. Columns are standardised, so one ridge fits all: factors of variance 1 under noise of
variance NOISE.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from csvcore.records import Floats, Ints, Mask, ModelCard

NOISE = 0.1  # share of a column's variance that the product leaves
MAX_ROUNDS = 200  # of the alternation
TOLERANCE = 1e-4  # change of the completed table, in spreads of a column, that ends it


def card_features(cards: Sequence[ModelCard]) -> Floats:
    """Return log10 of parameters and of training tokens, standardised, (n_models, 2).

    A number that a card lacks is the mean, 0.
    """
    numbers = [[card.n_params or np.nan, card.train_tokens or np.nan] for card in cards]
    logs = np.log10(np.array(numbers, dtype=np.float64))
    return np.nan_to_num(_standardised(logs)[0])


def completed(table: Floats, known: Floats, rank: int) -> Floats:
    """Return the table (n_rows, n_columns) as its low-rank product gives it, all entries filled.

    Args:
        table: NaN where an entry is missing; every column has an entry.
        known: (n_rows, n_features) features of the rows, standardised.
        rank: factors that are learnt.
    """
    y, level, spread = _standardised(table)
    measured = np.isfinite(y)
    y = np.nan_to_num(y)
    rank = min(rank, *y.shape)
    known = np.column_stack([np.ones(len(y)), known])
    of_rows, of_columns = _Measured.of(measured), _Measured.of(measured.T)
    loading = _ridges(known, y.T, of_columns)  # (n_columns, 1 + n_features)
    # The alternation starts at the axes of what the known features leave.
    left = np.where(measured, y - known @ loading.T, 0.0)
    axes = np.linalg.svd(left, full_matrices=False)[2][:rank].T
    product = known @ loading.T
    for _ in range(MAX_ROUNDS):
        factor = _ridges(axes, y - known @ loading.T, of_rows)  # (n_rows, rank)
        both = np.column_stack([known, factor])
        loading, axes = np.split(_ridges(both, y.T, of_columns), [known.shape[1]], axis=1)
        before, product = product, known @ loading.T + factor @ axes.T
        if np.abs(product - before).max() < TOLERANCE:
            break
    return np.asarray(level + spread * product)


@dataclass(frozen=True, slots=True)
class _Measured:
    """Measured entries of each row; most rows have the same ones, and share a system.

    mask: (n_rows, n_entries) 1 or 0. kinds: (n_kinds, n_entries) the different rows of mask.
    kind: (n_rows,) of each row.
    """

    mask: Floats
    kinds: Floats
    kind: Ints

    @classmethod
    def of(cls, measured: Mask) -> "_Measured":
        """Find the different rows of a mask (n_rows, n_entries)."""
        kinds, kind = np.unique(measured, axis=0, return_inverse=True)
        return cls(measured.astype(np.float64), kinds.astype(np.float64), kind)


def _ridges(features: Floats, y: Floats, measured: _Measured) -> Floats:
    """Return a ridge regression for each row of y (n_rows, n_entries) on features of the entries.

    Args:
        features: (n_entries, n_features).
        y: finite; only read where measured.
        measured: entries of the rows.

    Returns:
        (n_rows, n_features).
    """
    width = features.shape[1]
    products = (features[:, :, None] * features[:, None, :]).reshape(-1, width * width)
    gram = (measured.kinds @ products).reshape(-1, width, width)
    inverse = np.linalg.inv(gram + NOISE * np.eye(width))
    right = (measured.mask * y) @ features
    return np.asarray(np.einsum("rp,rpq->rq", right, inverse[measured.kind]))


def _standardised(table: Floats) -> tuple[Floats, Floats, Floats]:
    """Return columns of mean 0 and spread 1 over their entries, with levels and spreads."""
    measured = np.isfinite(table)
    count = np.maximum(measured.sum(axis=0), 1)
    level = np.where(measured, table, 0.0).sum(axis=0) / count
    spread = np.sqrt(np.where(measured, np.square(table - level), 0.0).sum(axis=0) / count)
    spread = np.where(spread > 0, spread, 1.0)
    return (table - level) / spread, level, spread
