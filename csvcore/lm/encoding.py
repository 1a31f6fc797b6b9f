"""Tokenization with byte spans, and windows over long texts that score every token once."""

from dataclasses import dataclass
from typing import Any

from csvcore.alignment import Tiling, tile


@dataclass(frozen=True, slots=True)
class Encoding:
    """Tokens of a text: ids (n_tokens,) without prefix, and their byte boundaries."""

    token_ids: tuple[int, ...]
    tiling: Tiling


@dataclass(frozen=True, slots=True)
class Window:
    """Tokens start <= i < stop of one forward pass; those from score_from on are scored."""

    start: int
    score_from: int
    stop: int


def encode(tokenizer: Any, text: str) -> Encoding:
    """Tokenize a text with byte boundaries and without special tokens.

    Special-token strings inside the text are read as text, never as control tokens.
    """
    coded = tokenizer(
        text, add_special_tokens=False, return_offsets_mapping=True, split_special_tokens=True
    )
    ids = tuple(int(i) for i in coded["input_ids"])
    pieces = tokenizer.convert_ids_to_tokens(list(ids))
    return Encoding(ids, tile(text, pieces, coded["offset_mapping"]))


def windows(n_tokens: int, context: int, stride: int) -> list[Window]:
    """Return overlapping windows over a text, with each token scored in exactly one window.

    A window of `context` tokens needs `context` inputs: the prefix and all its tokens but the last.
    The first window scores all its tokens. Each later window scores `stride` new tokens, after at
    least context - stride tokens and the prefix.

    Args:
        n_tokens: tokens of the text, without prefix.
        context: most inputs of one forward pass, at least 2.
        stride: new tokens a window, 1 <= stride <= context.
    """
    if not 1 <= stride <= context:
        raise ValueError(f"stride must be from 1 to the context of {context}, got {stride}")
    result = [Window(0, 0, min(context, n_tokens))]
    while (scored := result[-1].stop) < n_tokens:
        stop = min(scored + stride, n_tokens)
        result.append(Window(stop - context, scored, stop))
    return result
