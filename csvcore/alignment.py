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
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from csvcore.errors import OffsetsError
from csvcore.records import Floats, Ints, ModelLosses

BLOCK = 1 << 20  # bytes of the texts whose shares are computed at once
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


def character_clock(*texts: str) -> Floats:
    """Return the number of characters before each byte boundary of each text, one after another.

    Inside a character of k bytes it advances by 1 / k per byte. Spreading a loss evenly along it
    is the paper's even share per character, extended to tokens that cut characters.

    Returns:
        (n_bytes + 1 of all texts,).
    """
    # A character of one byte after each text has the place of the boundary at its end.
    data = np.frombuffer("".join(f"{text}\0" for text in texts).encode(), dtype=np.uint8)
    n_chars = np.array([len(text) + 1 for text in texts], dtype=np.int64)
    begins = np.flatnonzero((data & 0xC0) != 0x80)  # other bytes than the first begin with 10
    width = np.diff(begins, append=data.size)
    number = np.arange(begins.size) - np.repeat(np.cumsum(n_chars) - n_chars, n_chars)
    if begins.size == data.size:
        return number.astype(np.float64)
    passed = np.arange(data.size) - np.repeat(begins, width)  # bytes of the character so far
    return np.asarray(np.repeat(number, width) + passed / np.repeat(width, width))


def byte_clock(*texts: str) -> Floats:
    """Return the number of bytes before each byte boundary, for losses by byte."""
    return np.concatenate([np.arange(len(text.encode()) + 1, dtype=np.float64) for text in texts])


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


@dataclass(frozen=True, slots=True)
class Spans:
    """The tokens of texts that lie one after another, each with its n_bytes + 1 boundaries.

    start, end: (n_tokens,) boundaries of each token. text: (n_tokens,) of each token. first:
    (n_texts,) token of each text. text_end: (n_texts,) last boundary of each text.
    """

    start: Ints
    end: Ints
    text: Ints
    first: Ints
    text_end: Ints

    @classmethod
    def of_ends(cls, n_tokens: Ints, byte_end: Ints, n_bytes: Ints, name: str) -> "Spans":
        """Return the tokens that end at these bytes of their texts.

        Args:
            n_tokens: (n_texts,).
            byte_end: (all tokens,).
            n_bytes: (n_texts,).
            name: of the tokens, for a refusal.

        Raises:
            OffsetsError: ends do not rise from 0 to the end of each text.
        """
        text = np.repeat(np.arange(n_tokens.size), n_tokens)
        text_start = np.cumsum(n_bytes + 1) - n_bytes - 1
        first = np.cumsum(n_tokens) - n_tokens
        end = byte_end + text_start[text]
        filled = n_tokens > 0
        start = np.concatenate([[0], end])[:-1]
        start[first[filled]] = text_start[filled]
        last = np.zeros(n_tokens.size, dtype=np.int64)
        last[filled] = byte_end[(first + n_tokens - 1)[filled]]
        wrong = last != n_bytes
        wrong[text[end < start]] = True
        if wrong.any():
            at = int(np.argmax(wrong))
            edges = np.concatenate([[0], byte_end[first[at] : first[at] + n_tokens[at]]])
            check_edges(edges, int(n_bytes[at]), name)
        return cls(start, end, text, first, text_start + n_bytes)

    @classmethod
    def of_edges(cls, edges: Sequence[Ints], n_bytes: Ints, name: str) -> "Spans":
        """Return the tokens between these byte boundaries of each text, see `of_ends`."""
        for own, size in zip(edges, n_bytes, strict=True):
            if own.size == 0 or own[0] != 0:
                check_edges(own, int(size), name)
        sizes = np.array([own.size - 1 for own in edges], dtype=np.int64)
        return cls.of_ends(sizes, np.concatenate([own[1:] for own in edges]), n_bytes, name)


def sharing(source: Spans, target: Spans, clock: Floats) -> Sharing:
    """Compute the shares of source tokens' nll in target tokens (Algorithm 1, accumulating).

    Each source token spreads its nll evenly over its characters, and each target token sums the
    shares of its own characters. The printed algorithm assigns instead of adding, and so loses mass
    where two tokens share a character. An empty token passes its nll to the next token with bytes,
    or at the end of its text to the last one; in an empty text to the first target token.

    Args:
        source: tokens of some texts.
        target: other tokens of the same texts.
        clock: (n_boundaries,) such as `character_clock`.

    Raises:
        OffsetsError: an empty text has source tokens but no target token.
    """
    cut = np.zeros(clock.size, dtype=bool)
    cut[source.start] = cut[target.start] = cut[source.text_end] = True
    cuts = np.flatnonzero(cut)
    cut[source.text_end] = False
    within = cut[cuts[:-1]]  # a segment begins there
    begin, end = cuts[:-1][within], cuts[1:][within]
    # The token that has bytes and covers a segment: the last to start there or before.
    source_at = np.cumsum(np.bincount(source.start, minlength=clock.size)) - 1
    target_at = np.cumsum(np.bincount(target.start, minlength=clock.size)) - 1
    own, other = source_at[begin], target_at[begin]
    share = (clock[end] - clock[begin]) / (clock[source.end[own]] - clock[source.start[own]])
    # Empty source tokens copy the shares of the token that carries for them.
    empty, bare = _empty(source, target)
    place = source.start[empty]
    trailing = place == source.text_end[source.text[empty]]
    carrier = source_at[place - trailing]
    at = np.searchsorted(own, carrier, side="left")
    count = np.searchsorted(own, carrier, side="right") - at
    copied = np.repeat(at - np.cumsum(count) + count, count) + np.arange(count.sum())
    return Sharing(
        source=np.concatenate([own, np.repeat(empty, count), bare]),
        target=np.concatenate([other, other[copied], target.first[source.text[bare]]]),
        share=np.concatenate([share, share[copied], np.ones(bare.size)]),
        n_source=source.start.size,
        n_target=target.start.size,
    )


def _empty(source: Spans, target: Spans) -> tuple[Ints, Ints]:
    """Return the source tokens without bytes, and those of texts without any, as after a prefix."""
    empty = np.flatnonzero(source.start == source.end)
    n_target = np.bincount(target.text, minlength=target.first.size)
    text_start = np.concatenate([[0], source.text_end[:-1] + 1])
    bare = (source.text_end == text_start)[source.text[empty]]
    homes, n_source = np.unique(source.text[empty[bare]], return_counts=True)
    if (n_target[homes] == 0).any():
        n_lost = n_source[n_target[homes] == 0][0]
        raise OffsetsError(f"{n_lost} source tokens but no target token for an empty text")
    return empty[~bare], empty[bare]


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
        clock: Callable[..., Floats] = character_clock,
    ) -> None:
        """Prepare texts with (n_target + 1,) byte boundaries; clock: unit for sharing losses."""
        self._texts, self._target_edges, self._clock = texts, target_edges, clock
        self._n_bytes = np.array([len(text.encode()) for text in texts], dtype=np.int64)
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
        """Compute the shares, some texts at a time."""
        if losses.n_tokens.size != len(self._texts):
            raise OffsetsError(
                f"{losses.model} has losses on {losses.n_tokens.size} of {len(self._texts)} texts"
            )
        token = np.cumsum([0, *losses.n_tokens])
        blocks = np.cumsum(self._n_bytes) // BLOCK
        starts = np.flatnonzero(np.diff(blocks, prepend=-1))
        parts = []
        for begin, end in pairwise([*starts.tolist(), len(self._texts)]):
            n_bytes, tokens = self._n_bytes[begin:end], slice(token[begin], token[end])
            source = Spans.of_ends(
                losses.n_tokens[begin:end], losses.byte_end[tokens], n_bytes, "source"
            )
            target = Spans.of_edges(self._target_edges[begin:end], n_bytes, "target")
            parts.append(sharing(source, target, self._clock(*self._texts[begin:end])))
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
