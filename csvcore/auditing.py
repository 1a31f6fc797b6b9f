"""What stored losses must satisfy, found from the losses and the texts alone."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from csvcore.alignment import Aligner
from csvcore.records import Ints, ModelLosses


def character_edges(text: str) -> Ints:
    """Byte boundaries of the characters of a text, (n_chars + 1,)."""
    return np.cumsum([0, *(len(char.encode()) for char in text)], dtype=np.int64)


def mass_error(losses: ModelLosses, aligner: Aligner) -> float:
    """How much of the total loss alignment loses or adds, as a share of it; 0 but for rounding."""
    total = float(losses.nll.sum())
    moved = float(aligner.map(losses).sum())
    return abs(moved - total) / max(abs(total), np.finfo(np.float64).tiny)


def unspelt_bytes(
    texts: Sequence[bytes],
    n_tokens: NDArray[np.int64],
    byte_end: NDArray[np.int64],
    token_id: NDArray[np.int64],
) -> int:
    """Bytes of tokens that do not spell their text: unknown tokens, or changed characters.

    A token that spells its text always covers the same bytes. The first token of a text is not
    looked at, since a dummy space before the text belongs to no byte.

    Args:
        texts: UTF-8 of each document.
        n_tokens: (n_docs,) tokens of each.
        byte_end: (sum of n_tokens,) where each token ends in its document.
        token_id: (sum of n_tokens,) the source tokenizer's ids.
    """
    covered: defaultdict[int, set[bytes]] = defaultdict(set)
    n_bytes: defaultdict[int, int] = defaultdict(int)
    cuts = np.cumsum(n_tokens)[:-1]
    parts = zip(texts, np.split(byte_end, cuts), np.split(token_id, cuts), strict=True)
    for text, ends, ids in parts:
        edges = ends.tolist()
        for start, end, token in zip(edges, edges[1:], ids[1:].tolist(), strict=False):
            covered[token].add(text[start:end])
            n_bytes[token] += end - start
    return sum(n_bytes[token] for token, spellings in covered.items() if len(spellings) > 1)
