"""Completion of a table of models and tasks by a low-rank product beside the models' cards.

Zhang et al. (2024), arXiv 2407.01300, in its linear form: an entry is

    y_mj = level_j + w_j . c_m + v_j . u_m

with known features c_m of the model and factors u_m, v_j that are learnt by alternating ridge
regressions. Columns are standardised, so one ridge fits all: factors of variance 1 under noise of
variance NOISE.
"""

from collections.abc import Sequence

import numpy as np

from csvcore.records import Floats, Mask, ModelCard

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
    loading = _ridges(known, y.T, measured.T)  # (n_columns, 1 + n_features)
    # The alternation starts at the axes of what the known features leave.
    left = np.where(measured, y - known @ loading.T, 0.0)
    axes = np.linalg.svd(left, full_matrices=False)[2][:rank].T
    product = known @ loading.T
    for _ in range(MAX_ROUNDS):
        factor = _ridges(axes, y - known @ loading.T, measured)  # (n_rows, rank)
        both = np.column_stack([known, factor])
        loading, axes = np.split(_ridges(both, y.T, measured.T), [known.shape[1]], axis=1)
        before, product = product, known @ loading.T + factor @ axes.T
        if np.abs(product - before).max() < TOLERANCE:
            break
    return np.asarray(level + spread * product)


def _ridges(features: Floats, y: Floats, measured: Mask) -> Floats:
    """Return a ridge regression for each row of y (n_rows, n_entries) on features of the entries.

    Args:
        features: (n_entries, n_features).
        y: only read where `measured`.
        measured: (n_rows, n_entries).

    Returns:
        (n_rows, n_features).
    """
    width = features.shape[1]
    products = (features[:, :, None] * features[:, None, :]).reshape(-1, width * width)
    gram = (measured.astype(np.float64) @ products).reshape(-1, width, width)
    gram += NOISE * np.eye(width)
    right = (np.where(measured, y, 0.0) @ features)[:, :, None]
    return np.asarray(np.linalg.solve(gram, right)[:, :, 0])


def _standardised(table: Floats) -> tuple[Floats, Floats, Floats]:
    """Return columns of mean 0 and spread 1 over their entries, with levels and spreads."""
    measured = np.isfinite(table)
    count = np.maximum(measured.sum(axis=0), 1)
    level = np.where(measured, table, 0.0).sum(axis=0) / count
    spread = np.sqrt(np.where(measured, np.square(table - level), 0.0).sum(axis=0) / count)
    spread = np.where(spread > 0, spread, 1.0)
    return (table - level) / spread, level, spread
