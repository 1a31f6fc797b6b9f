"""Weights by token type: all tokens with the same text taken together."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from csvcore.errors import InputError
from csvcore.records import Floats


@dataclass(frozen=True, slots=True)
class TokenType:
    """Values of all tokens with one text.

    mean, median, spread: of the values; spread is their standard deviation, None for one token.
    share: of the total absolute value over all tokens given, 0 to 1, None where that is 0.
    example: index of the token with the largest absolute value.
    """

    text: str
    count: int
    mean: float
    median: float
    spread: float | None
    share: float | None
    example: int


def by_type(texts: Sequence[str], values: Floats, least: int = 1) -> list[TokenType]:
    """Return the types of these tokens, the largest absolute mean first.

    A type seen once is a single token under another name, so its mean is no better known than that
    token's value; `least` leaves such types out.

    Args:
        texts: (n_tokens,) text of each token; spaces and case count.
        values: (n_tokens,) such as the salience weights.
        least: occurrences of a type that is listed, 1 or more.

    Raises:
        InputError: least is below 1, or the two lengths differ.
    """
    if least < 1:
        raise InputError(f"a token type occurs at least once, got {least}; give 1 or more")
    if len(texts) != values.size:
        raise InputError(f"{values.size} values for {len(texts)} tokens; give one for each")
    if not texts:
        return []
    words = pa.array(texts, pa.string()).dictionary_encode()  # types in order of occurrence
    names, code = words.dictionary.to_pylist(), words.indices.to_numpy()
    count = np.bincount(code)
    first = np.cumsum(count) - count  # of each type, where tokens are sorted by type
    ordered = values[np.lexsort((values, code))]
    largest = np.lexsort((-np.abs(values), code))[first]  # stable: the first of equal ones
    mean = np.bincount(code, values) / count
    median = (ordered[first + (count - 1) // 2] + ordered[first + count // 2]) / 2.0
    squares = np.bincount(code, (values - mean[code]) ** 2)
    size = np.bincount(code, np.abs(values))
    total = float(size.sum())
    kept = np.flatnonzero(count >= least)
    return [
        TokenType(
            text=names[k],
            count=int(count[k]),
            mean=float(mean[k]),
            median=float(median[k]),
            spread=float(np.sqrt(squares[k] / (count[k] - 1))) if count[k] > 1 else None,
            share=float(size[k]) / total if total else None,
            example=int(largest[k]),
        )
        for k in kept[np.argsort(-np.abs(mean[kept]), kind="stable")].tolist()
    ]
