"""Byte spans of tokens, and transfer of nll between tokenizations (Algorithm 1).

The unit is the UTF-8 byte, since byte-level tokenizers cut inside characters. No tokenizer is
loaded: token pieces and offsets are plain strings and integers.
"""

import hashlib
import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from csvcore.errors import OffsetsError
from csvcore.records import Floats, Ints, ModelLosses

_SPACE_MARK = "\u2581"
_BYTE_PIECE = re.compile("<0x[0-9A-Fa-f]{2}>")


@dataclass(frozen=True, slots=True)
class Tiling:
    """Byte boundaries of the tokens of one text.

    edges: (n_tokens + 1,) rising from 0 to the text's UTF-8 length; token i covers the bytes
    edges[i] <= b < edges[i + 1] and may be empty. exact: False if the pieces do not spell the text
    (normalised or unknown characters) and the tokenizer's offsets are used instead.
    """

    edges: Ints
    exact: bool


@lru_cache(maxsize=1)
def _byte_of_letter() -> dict[str, int]:
    """Return GPT-2's table from the letters of byte-level pieces back to bytes."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    table = {chr(byte): byte for byte in printable}
    hidden = [byte for byte in range(256) if byte not in set(printable)]
    return table | {chr(256 + i): byte for i, byte in enumerate(hidden)}


def _byte_level(pieces: Sequence[str]) -> list[bytes] | None:
    table = _byte_of_letter()
    try:
        return [bytes(table[letter] for letter in piece) for piece in pieces]
    except KeyError:
        return None


def _sentencepiece(pieces: Sequence[str]) -> list[bytes]:
    return [
        bytes([int(piece[3:5], 16)])
        if _BYTE_PIECE.fullmatch(piece)
        else piece.replace(_SPACE_MARK, " ").encode()
        for piece in pieces
    ]


def tile(text: str, pieces: Sequence[str], offsets: Sequence[tuple[int, int]]) -> Tiling:
    """Return the boundaries of a text's tokens, from the tokenizer's output.

    The pieces are read as byte-level BPE, then as SentencePiece with byte fallback. If either
    spells the text, possibly after one dummy space, the result is exact; the dummy space has no
    bytes. Otherwise the character offsets decide: a gap belongs to the next token, and a character
    shared by several tokens belongs to the last one.

    Args:
        text: the text that was tokenized, without special tokens.
        pieces: (n_tokens,) the vocabulary's strings, e.g. "Ġthe" or "▁the".
        offsets: (n_tokens,) character spans as the tokenizer gives them.

    Raises:
        OffsetsError: a text with bytes has no tokens.
    """
    data = text.encode()
    if data and not pieces:
        raise OffsetsError(
            f"no tokens for the text {text[:40]!r}; its tokenizer drops every character of it"
        )
    for spelled in (_byte_level(pieces), _sentencepiece(pieces)):
        if spelled is None:
            continue
        joined = b"".join(spelled)
        dummy = int(joined != data and joined == b" " + data)
        if joined[dummy:] == data:
            ends = np.cumsum([0, *map(len, spelled)], dtype=np.int64)
            return Tiling(np.maximum(ends - dummy, 0), exact=True)
    return Tiling(_edges_from_offsets(text, offsets), exact=False)


def _edges_from_offsets(text: str, offsets: Sequence[tuple[int, int]]) -> Ints:
    if not offsets:
        return np.zeros(1, dtype=np.int64)
    spans = np.asarray(offsets, dtype=np.int64)
    ends = np.maximum.accumulate(spans[:, 1])
    cuts = np.maximum.accumulate(np.minimum(ends[:-1], spans[1:, 0]))
    byte_at = np.cumsum([0, *(len(char.encode()) for char in text)], dtype=np.int64)
    chars = np.clip([0, *cuts, len(text)], 0, len(text))
    return np.asarray(byte_at[chars], dtype=np.int64)


def character_clock(text: str) -> Floats:
    """Return the number of characters before each byte boundary, (n_bytes + 1,).

    Inside a character of k bytes it advances by 1 / k per byte. Spreading a loss evenly along it
    is the paper's even share per character, extended to tokens that cut characters.
    """
    data = np.frombuffer(text.encode(), dtype=np.uint8)
    # All bytes of a character but its first begin with the bits 10.
    starts = np.append(np.flatnonzero((data & 0xC0) != 0x80), data.size)
    width = np.diff(starts)
    clock = np.concatenate([[0.0], np.cumsum(np.repeat(1.0 / width, width))])
    clock[starts] = np.arange(starts.size)  # whole characters are whole numbers, not 2.9999
    return clock


def byte_clock(text: str) -> Floats:
    """Return the number of bytes before each byte boundary, (n_bytes + 1,), for losses by byte."""
    return np.arange(len(text.encode()) + 1, dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Sharing:
    """Shares of each source token's nll in the target tokens.

    Three arrays of one length; the shares of one source token add up to 1.
    """

    source: NDArray[np.intp]
    target: NDArray[np.intp]
    share: Floats
    n_source: int
    n_target: int

    def apply(self, nll: Floats) -> Floats:
        """Return the target nll (n_target,) of source nll (n_source,), nats, with equal totals."""
        if nll.shape != (self.n_source,):
            raise OffsetsError(f"{nll.size} losses for {self.n_source} source tokens")
        moved = nll[self.source] * self.share
        return np.bincount(self.target, weights=moved, minlength=self.n_target).astype(np.float64)


def sharing(source_edges: Ints, target_edges: Ints, clock: Floats) -> Sharing:
    """Compute the shares of source tokens' nll in target tokens (Algorithm 1, accumulating).

    Each source token spreads its nll evenly over its characters, and each target token sums the
    shares of its own characters. The printed algorithm assigns instead of adding, and so loses mass
    where two tokens share a character. An empty token passes its nll to the next token with bytes,
    or at the end of the text to the last one.

    Args:
        source_edges: (n_source + 1,) byte boundaries, rising from 0 to the text's length.
        target_edges: (n_target + 1,) byte boundaries of the same text.
        clock: (n_bytes + 1,) from `character_clock`.

    Raises:
        OffsetsError: edges do not rise from 0 to the end of the text, or an empty text has source
            tokens but no target token.
    """
    for name, edges in (("source", source_edges), ("target", target_edges)):
        check_edges(edges, clock.size - 1, name)
    n_source, n_target = source_edges.size - 1, target_edges.size - 1
    cuts = np.union1d(source_edges, target_edges)
    if cuts.size < 2:
        return _without_bytes(n_source, n_target)
    # The token that has bytes and covers the segment [cuts[i], cuts[i + 1]): the last to start.
    source = np.searchsorted(source_edges, cuts[:-1], side="right") - 1
    target = np.searchsorted(target_edges, cuts[:-1], side="right") - 1
    share = np.diff(clock[cuts]) / (clock[source_edges[source + 1]] - clock[source_edges[source]])
    # Empty source tokens copy the shares of the token that carries for them.
    empty = np.flatnonzero(np.diff(source_edges) == 0)
    carrier = np.searchsorted(source_edges, source_edges[empty], side="right") - 1
    carrier = np.where(carrier >= n_source, source[-1], carrier)
    first = np.searchsorted(source, carrier, side="left")
    count = np.searchsorted(source, carrier, side="right") - first
    copied = np.repeat(first - np.cumsum(count) + count, count) + np.arange(count.sum())
    return Sharing(
        source=np.concatenate([source, np.repeat(empty, count)]),
        target=np.concatenate([target, target[copied]]),
        share=np.concatenate([share, share[copied]]),
        n_source=n_source,
        n_target=n_target,
    )


def _without_bytes(n_source: int, n_target: int) -> Sharing:
    """Assign all nll of an empty text, such as of a dummy prefix, to its first token."""
    if n_source and not n_target:
        raise OffsetsError(f"{n_source} source tokens but no target token for an empty text")
    every = np.arange(n_source)
    return Sharing(every, np.zeros(n_source, np.intp), np.ones(n_source), n_source, n_target)


def first_token_ends(losses: Sequence[ModelLosses], texts: Sequence[str]) -> Ints:
    """Return the length in bytes of the longest first token of each text, (n_docs,).

    A first token's loss depends on the prefix, which differs between families, so leaving out
    these bytes for all models makes the rest comparable. Rounded up to whole characters.

    Args:
        losses: all models' losses, on all texts.
        texts: the corpus, in order.
    """
    furthest = np.zeros(len(texts), dtype=np.int64)
    for entry in losses:
        ends = np.where(entry.byte_end > 0, entry.byte_end, np.iinfo(np.int64).max)
        starts = np.cumsum([0, *entry.n_tokens[:-1]])
        furthest = np.maximum(furthest, np.minimum.reduceat(ends, starts))
    for i, text in enumerate(texts):
        ends_of_chars = np.cumsum([len(char.encode()) for char in text])
        furthest[i] = ends_of_chars[np.searchsorted(ends_of_chars, furthest[i])]
    return furthest


class Aligner:
    """Map of models' losses on a corpus, or a part of it, to one tokenization.

    Models with the same tokenizer have the same byte spans, so shares are computed once per
    tokenization and cached.
    """

    def __init__(
        self,
        texts: Sequence[str],
        target_edges: Sequence[Ints],
        clock: Callable[[str], Floats] = character_clock,
    ) -> None:
        """Prepare texts with (n_target + 1,) byte boundaries; clock: unit for sharing losses."""
        self._clocks = [clock(text) for text in texts]
        self._target_edges = target_edges
        self._sharings: dict[bytes, Sharing] = {}

    def map(self, losses: ModelLosses) -> Floats:
        """Return the model's nll on the target tokens of all texts, (sum of n_target,) nats.

        Raises:
            OffsetsError: the losses do not cover exactly these texts.
        """
        key = hashlib.sha256(losses.n_tokens.tobytes() + losses.byte_end.tobytes()).digest()
        if key not in self._sharings:
            self._sharings[key] = self._sharing(losses)
        return self._sharings[key].apply(losses.nll)

    def _sharing(self, losses: ModelLosses) -> Sharing:
        if losses.n_tokens.size != len(self._clocks):
            raise OffsetsError(
                f"{losses.model} has losses on {losses.n_tokens.size} of {len(self._clocks)} texts"
            )
        parts = []
        ends = np.split(losses.byte_end, np.cumsum(losses.n_tokens)[:-1])
        for end, target, clock in zip(ends, self._target_edges, self._clocks, strict=True):
            parts.append(sharing(np.concatenate([[0], end]), target, clock))
        source_at = np.cumsum([0, *(part.n_source for part in parts)])
        target_at = np.cumsum([0, *(part.n_target for part in parts)])
        return Sharing(
            source=np.concatenate([p.source + at for p, at in zip(parts, source_at, strict=False)]),
            target=np.concatenate([p.target + at for p, at in zip(parts, target_at, strict=False)]),
            share=np.concatenate([part.share for part in parts]),
            n_source=int(source_at[-1]),
            n_target=int(target_at[-1]),
        )


def character_edges(text: str) -> Ints:
    """Return the byte boundaries of characters, (n_chars + 1,): the finest common tokenization."""
    return np.cumsum([0, *(len(char.encode()) for char in text)], dtype=np.int64)


def lost_share(losses: ModelLosses, aligner: Aligner) -> float:
    """Return the share of a model's total nll that alignment loses or adds; 0 up to rounding.

    Raises:
        OffsetsError: the losses do not cover exactly the aligner's texts.
    """
    total = float(losses.nll.sum())
    return abs(float(aligner.map(losses).sum()) - total) / max(total, 1e-12)


def check_edges(edges: Ints, n_bytes: int, name: str) -> None:
    """Raise OffsetsError unless edges rise, in steps of 0 or more, from 0 to n_bytes."""
    if edges.size == 0 or edges[0] != 0 or np.any(np.diff(edges) < 0):
        raise OffsetsError(f"{name} edges must rise from 0, got {edges[:8].tolist()}")
    if edges[-1] != n_bytes:
        raise OffsetsError(
            f"{name} tokens end at byte {edges[-1]} of a text of {n_bytes} bytes; "
            "were both given the same text?"
        )


def unspelt_bytes(
    texts: Sequence[bytes],
    n_tokens: NDArray[np.int64],
    byte_end: NDArray[np.int64],
    token_id: NDArray[np.int64],
) -> int:
    """Return the number of bytes of tokens that do not spell their text.

    Such tokens stand for unknown or normalised characters; a token that spells its text always
    covers the same bytes. The first token of a text is skipped, since a dummy space before the
    text has no bytes.

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
