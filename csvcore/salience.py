"""Token weights and the capability score, the weighted loss of a model (equation 1)."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from csvcore import mapped
from csvcore.errors import InputError
from csvcore.records import Document, Floats, Ints

BLOCK = 8192  # tokens summed in one product
MODELS_AT_ONCE = 256


def capability_score(weight: Floats, nll: NDArray[np.floating], n_chars: int) -> Floats:
    """Return the weighted nll per character of the text, C_m of equation 1; lower is better.

    Args:
        weight: (n_tokens,) salience of each target token, one vector for all models; or
            (n_heads, n_tokens), several at once.
        nll: (n_models, n_tokens) nats, mapped to the target tokens.
        n_chars: characters of the validation text, N_c.

    Returns:
        (n_models,) or (n_heads, n_models), nats per character; sums are in float64.
    """
    if nll.ndim != 2 or weight.shape[-1:] != nll.shape[1:]:
        raise InputError(f"{weight.shape} weights for losses of shape {nll.shape}")
    if n_chars < 1:
        raise InputError(f"a score per character needs characters, got {n_chars}")
    total = np.zeros((*weight.shape[:-1], nll.shape[0]))
    for first in range(0, nll.shape[0], MODELS_AT_ONCE):
        some = slice(first, first + MODELS_AT_ONCE)
        for at in range(0, nll.shape[1], BLOCK):
            span = slice(at, at + BLOCK)
            total[..., some] += weight[..., span] @ nll[some, span].T.astype(np.float64)
            mapped.release(nll)
    return total / n_chars


def partial_scores(
    weight: Floats, nll: NDArray[np.floating], source: Ints, n_sources: int, n_chars: int
) -> Floats:
    """Return each source's part of every model's score, (n_models, n_sources), nats per character.

    A score is the sum over sources, so leaving out or reweighting a source needs no tokens.

    Args:
        weight: (n_tokens,) salience.
        nll: (n_models, n_tokens) nats.
        source: (n_tokens,) index of each token's source.
        n_sources: number of sources.
        n_chars: N_c of equation 1.
    """
    by_source = weight * (source == np.arange(n_sources)[:, None])  # (n_sources, n_tokens)
    return capability_score(by_source, nll, n_chars).T


def strongest_source(docs: Sequence[Document], edges: Sequence[Ints], weight: Floats) -> str:
    """Return the source whose tokens carry the largest share of the absolute weight.

    It is the total over the source's tokens, not their mean, so a source of many light tokens can
    precede one of few heavy tokens. Of equal sources it is the first in the corpus.

    Args:
        docs: the corpus, at least one document, in order.
        edges: for each document its (n_tokens + 1,) byte boundaries.
        weight: (sum of n_tokens,) salience.
    """
    total: dict[str, float] = {}
    ends = np.cumsum([0, *(cuts.size - 1 for cuts in edges)])
    for doc, start, end in zip(docs, ends[:-1], ends[1:], strict=True):
        total[doc.source] = total.get(doc.source, 0.0) + float(np.abs(weight[start:end]).sum())
    return max(total, key=total.__getitem__)


def byte_spans(text: str, spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return half-open character spans of a text as spans of its UTF-8 bytes."""
    return [(len(text[:start].encode()), len(text[:end].encode())) for start, end in spans]


def touches(starts: Ints, ends: Ints, spans: Sequence[tuple[int, int]]) -> NDArray[np.bool_]:
    """Return the mask of tokens that share a byte with any of the spans, (n_tokens,)."""
    hit = np.zeros(starts.size, dtype=bool)
    for start, end in spans:
        hit |= (starts < end) & (ends > start)
    return hit


def unstable(weight: Floats, spread: Floats) -> NDArray[np.bool_]:
    """Return the mask of weights whose sign or rank is uncertain, (n_tokens,).

    These are weights within one spread of zero (uncertain sign) or of the median weight (uncertain
    rank) over bootstrap draws of the training runs.

    Args:
        weight: (n_tokens,) salience.
        spread: (n_tokens,) its standard deviation over bootstrap draws.
    """
    middle = float(np.median(weight))
    return np.asarray((np.abs(weight) < spread) | (np.abs(weight - middle) < spread))


def mean_absolute(weight: Floats) -> float:
    """Return the scale c of weights; w, alpha, beta is equivalent to w / c, alpha * c, beta / c."""
    scale = float(np.mean(np.abs(weight)))
    if scale == 0.0:
        raise InputError("all weights are zero; a score needs at least one token that counts")
    return scale
