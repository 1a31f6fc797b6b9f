"""Kinds of tokens, and how much of the weight each carries. Kinds may overlap."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from csvcore.errors import InputError
from csvcore.records import Document, Floats, Ints, Mask
from csvcore.salience import byte_spans, touches

KINDS = {
    "digits": "has a digit",
    "capitalised words": "touches a word that begins with a capital letter, names above all",
    "other words": "has letters of none but words in small letters",
    "CJK": "has a Chinese, Japanese or Korean character",
    "punctuation": "is punctuation or symbols and nothing else but spaces",
    "whitespace": "is spaces and line breaks alone",
    "answers": "touches an answer span of the corpus",
    "results": "touches an intermediate result of the corpus",
    "no bytes": "covers no byte of the text",
}
LONGEST_PATTERN = 200
LONGEST_TOKEN = 1000  # characters of a token that a pattern is tried on
_CJK = ((0x2E80, 0x9FFF), (0xAC00, 0xD7AF), (0xF900, 0xFAFF), (0xFF66, 0xFF9D), (0x20000, 0x3FFFF))


@dataclass(frozen=True, slots=True)
class Tally:
    """Weight of the tokens of a kind.

    mean: of their weights. share: of the total absolute weight, 0 to 1. Both are None where a kind
    has no token.
    """

    kind: str
    n_tokens: int
    mean: float | None
    share: float | None


def kinds(docs: Sequence[Document], edges: Sequence[Ints]) -> dict[str, Mask]:
    """Return a mask for each of KINDS, (sum of n_tokens,) over all documents in order.

    Args:
        docs: the corpus.
        edges: for each document its (n_tokens + 1,) byte boundaries.
    """
    found = [_document(doc, cuts) for doc, cuts in zip(docs, edges, strict=True)]
    return {name: np.concatenate([one[name] for one in found]) for name in KINDS}


def _document(doc: Document, edges: Ints) -> dict[str, Mask]:
    codes = np.frombuffer(doc.text.encode("utf-32-le"), dtype=np.uint32)
    letter, upper, digit, space = (
        _chars(codes, test) for test in (str.isalpha, str.isupper, str.isdigit, str.isspace)
    )
    cjk = np.zeros(codes.size, dtype=bool)
    for low, high in _CJK:
        cjk |= (codes >= low) & (codes <= high)
    cjk &= letter
    letter &= ~cjk
    capital = _capitalised(letter, upper)
    # Each character's bytes, so that a running count over bytes answers for any token.
    width = 1 + (codes > 0x7F) + (codes > 0x7FF) + (codes > 0xFFFF)
    starts, ends = edges[:-1], edges[1:]
    filled = ends > starts

    def has(chars: Mask) -> Mask:
        counts = np.concatenate([[0], np.cumsum(np.repeat(chars, width))])
        return np.asarray(counts[ends] > counts[starts])

    return {
        "digits": has(digit),
        "capitalised words": has(capital),
        "other words": has(letter) & ~has(capital),
        "CJK": has(cjk),
        "punctuation": has(~(letter | cjk | digit | space)) & ~has(letter | cjk | digit),
        "whitespace": filled & ~has(~space),
        "answers": filled & touches(starts, ends, answer_bytes(doc)),
        "results": filled & touches(starts, ends, result_bytes(doc)),
        "no bytes": ~filled,
    }


def _chars(codes: NDArray[np.uint32], test: Callable[[str], bool]) -> Mask:
    """Test every character with a method of str; each different character is tested once."""
    different, place = np.unique(codes, return_inverse=True)
    return np.array([test(chr(code)) for code in different.tolist()], dtype=bool)[place]


def _capitalised(letter: Mask, upper: Mask) -> Mask:
    """Return the characters of words whose first letter is a capital."""
    begins = letter & ~np.concatenate([[False], letter[:-1]])
    word = np.cumsum(begins)  # of each letter, from 1
    first = np.concatenate([[False], upper[begins]])
    return np.asarray(letter & first[word])


def matching(texts: Sequence[str], pattern: str) -> Mask:
    """Return a mask of the texts that a regular expression matches, (n_texts,).

    By RE2, whose time grows with the text alone, so no pattern can hang; back-references and
    look-around do not exist in it. Each text counts with its first LONGEST_TOKEN characters.

    Raises:
        InputError: the pattern cannot be read, or is longer than LONGEST_PATTERN.
    """
    if len(pattern) > LONGEST_PATTERN:
        raise InputError(
            f"the pattern has {len(pattern)} characters, more than {LONGEST_PATTERN}; shorten it"
        )
    words = pa.array([text[:LONGEST_TOKEN] for text in texts], pa.string()).dictionary_encode()
    try:
        hit = pc.match_substring_regex(words.dictionary, pattern)
    except pa.ArrowInvalid as error:
        reason = str(error).removeprefix("Invalid regular expression: ")
        raise InputError(
            f"{pattern!r} is no regular expression of RE2 ({reason}); correct it, or put a "
            "backslash before a sign that stands for itself"
        ) from error
    return np.asarray(hit.to_numpy(zero_copy_only=False)[words.indices.to_numpy()], dtype=bool)


def tally(weight: Floats, masks: dict[str, Mask]) -> list[Tally]:
    """Compute count, mean weight and share of the total absolute weight of each kind.

    Args:
        weight: (n_tokens,) salience.
        masks: (n_tokens,) each, as from `kinds`.
    """
    total = float(np.abs(weight).sum())
    return [
        Tally(
            kind,
            int(mask.sum()),
            float(weight[mask].mean()) if mask.any() else None,
            float(np.abs(weight[mask]).sum()) / total if mask.any() and total else None,
        )
        for kind, mask in masks.items()
    ]


def answer_bytes(doc: Document) -> list[tuple[int, int]]:
    """Return the document's answer spans in UTF-8 bytes."""
    return byte_spans(doc.text, doc.answers)


def result_bytes(doc: Document) -> list[tuple[int, int]]:
    """Return the spans of the document's intermediate results in UTF-8 bytes."""
    return byte_spans(doc.text, doc.results)
