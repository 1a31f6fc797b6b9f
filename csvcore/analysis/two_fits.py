"""Two fits side by side: their settings, their weights on common pieces of text, their errors."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import pearsonr, spearmanr

from csvcore.analysis.intervals import bootstrap_difference
from csvcore.errors import InputError
from csvcore.records import Fit, Floats, Ints

STRONG = 0.01  # share of the pieces that count as strong
DESCRIBED = ("corpus", "split", "task", "method")


@dataclass(frozen=True, slots=True)
class Pieces:
    """Weights of two fits on the pieces that the tokens of both cut the texts into.

    doc: (n_pieces,) index of the document. start, end: (n_pieces,) half-open bytes in it. a, b:
    (n_pieces,) weight of the token of each fit that covers the piece.
    """

    doc: Ints
    start: Ints
    end: Ints
    a: Floats
    b: Floats


@dataclass(frozen=True, slots=True)
class Agreement:
    """Agreement of the weights of two fits; the correlations are None where one is constant.

    opposite: share of the pieces with weights of opposite signs. strong: share of the strongest
    STRONG of the pieces of a, by absolute weight, that are among those of b.
    """

    n_pieces: int
    pearson: float | None
    spearman: float | None
    opposite: float
    strong: float


@dataclass(frozen=True, slots=True)
class ErrorDifference:
    """Mean squared errors of two fits on the same models that neither was trained on.

    difference: mse_a - mse_b, with its 90 % interval over training runs; None with one run.
    """

    n_models: int
    mse_a: float
    mse_b: float
    difference: float
    low: float | None
    high: float | None

    @property
    def is_distinguishable(self) -> bool | None:
        """Return whether the interval excludes 0; None where there is none."""
        if self.low is None or self.high is None:
            return None
        return self.low > 0.0 or self.high < 0.0


def differing_settings(a: Fit, b: Fit) -> list[tuple[str, Any, Any]]:
    """Return name and both values of each setting that differs; None where a fit has none."""
    left, right = (
        {name: getattr(fit, name) for name in DESCRIBED} | dict(fit.config) for fit in (a, b)
    )
    return [
        (name, left.get(name), right.get(name))
        for name in (*left, *(name for name in right if name not in left))
        if left.get(name) != right.get(name)
    ]


def common_pieces(
    edges_a: Sequence[Ints], weight_a: Floats, edges_b: Sequence[Ints], weight_b: Floats
) -> Pieces:
    """Return the weights of two fits on common pieces of text: the tokens, where these are equal.

    A weight counts for every byte of its token, so two tokenizations are compared where they
    overlap.

    Args:
        edges_a: for each document (n_tokens + 1,) byte boundaries of the tokens of a.
        weight_a: (sum of n_tokens,) weights.
        edges_b: likewise of b, of the same documents.
        weight_b: likewise.

    Raises:
        InputError: other documents.
    """
    if len(edges_a) != len(edges_b) or any(
        x[-1] != y[-1] for x, y in zip(edges_a, edges_b, strict=True)
    ):
        raise InputError("the two fits are of other texts, so their weights cannot be compared")
    first_a, first_b = 0, 0
    parts: list[tuple[Ints, ...]] = []
    for doc, (x, y) in enumerate(zip(edges_a, edges_b, strict=True)):
        cuts = np.union1d(x, y)
        start, end = cuts[:-1], cuts[1:]
        rows = [np.searchsorted(edges, start, side="right") - 1 for edges in (x, y)]
        parts.append((np.full(start.size, doc), start, end, first_a + rows[0], first_b + rows[1]))
        first_a, first_b = first_a + x.size - 1, first_b + y.size - 1
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
    docs, starts, ends, at_a, at_b = columns
    return Pieces(docs, starts, ends, weight_a[at_a], weight_b[at_b])


def agreement(a: Floats, b: Floats) -> Agreement:
    """Return how far two weight vectors agree, (n_pieces,) each."""
    varied = a.size > 1 and np.ptp(a) > 0.0 and np.ptp(b) > 0.0
    n_strong = max(int(a.size * STRONG), 1)
    strong_a, strong_b = (
        set(np.argsort(-np.abs(weight), kind="stable")[:n_strong].tolist()) for weight in (a, b)
    )
    return Agreement(
        n_pieces=a.size,
        pearson=float(pearsonr(a, b).statistic) if varied else None,
        spearman=float(spearmanr(a, b).statistic) if varied else None,
        opposite=float(np.mean(a * b < 0.0)),
        strong=len(strong_a & strong_b) / n_strong,
    )


def agreement_sentence(found: Agreement) -> str:
    """Return the agreement of two weight vectors in words."""
    if found.pearson is None or found.spearman is None:
        correlated = "one of the weights is constant, so there is no correlation"
    else:
        correlated = f"correlation {found.pearson:.2f}, of the ranks {found.spearman:.2f}"
    return (
        f"Weights on {found.n_pieces:,} tokens: {correlated}; {found.opposite:.0%} have opposite "
        f"signs; {found.strong:.0%} of A's strongest {STRONG:.0%} are among B's."
    )


def error_difference(a: Fit, b: Fit, runs: Mapping[str, Hashable]) -> ErrorDifference | None:
    """Compare the errors of two fits of one task on the models that neither was trained on.

    Args:
        a: a fit.
        b: another one.
        runs: training run of each model.

    Returns:
        None where the tasks differ or there is no such model.
    """
    left, right = ({p.model: p for p in fit.predictions if p.side != "train"} for fit in (a, b))
    trained = {p.model for fit in (a, b) for p in fit.predictions if p.side == "train"}
    models = [model for model in left if model in right and model not in trained]
    if a.task != b.task or not models:
        return None
    squares = [
        np.array([(one[model].predicted - one[model].accuracy) ** 2 for model in models])
        for one in (left, right)
    ]
    clusters = [runs.get(model, model) for model in models]
    low = high = None
    if len(set(clusters)) > 1:
        rng = np.random.default_rng(0)
        low, high = bootstrap_difference(squares[0], squares[1], clusters, rng)
    mse_a, mse_b = (float(square.mean()) for square in squares)
    return ErrorDifference(len(models), mse_a, mse_b, mse_a - mse_b, low, high)


def error_sentence(found: ErrorDifference) -> str:
    """Return the comparison of two fits' errors in words."""
    counted = (
        f"MSE {found.mse_a:.1e} of A and {found.mse_b:.1e} of B on {found.n_models} models that "
        "neither was trained on"
    )
    if found.low is None or found.high is None:
        return f"{counted}; the models are of one training run, so there is no interval."
    interval = f"difference {found.low:+.1e} to {found.high:+.1e} (90 % CI)"
    if not found.is_distinguishable:
        return f"A and B are not distinguishable: {counted}, {interval}."
    better = "A" if found.difference < 0 else "B"
    return f"{better} has the smaller error: {counted}, {interval}."
