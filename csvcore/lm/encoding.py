"""Texts to tokens with byte spans, and long texts to windows that score every token once."""

from dataclasses import dataclass
from typing import Any

from csvcore.alignment import Tiling, tile


@dataclass(frozen=True, slots=True)
class Encoding:
    """A text as a model's tokens: ids (n_tokens,) without prefix, and where they lie."""

    token_ids: tuple[int, ...]
    tiling: Tiling


@dataclass(frozen=True, slots=True)
class Window:
    """The tokens start <= i < stop of a text seen together; those from score_from on are scored."""

    start: int
    score_from: int
    stop: int


def encode(tokenizer: Any, text: str) -> Encoding:
    """A text's tokens and their byte boundaries, no special token among them.

    Special-token strings inside the text are read as text, never as control tokens.
    """
    coded = tokenizer(
        text, add_special_tokens=False, return_offsets_mapping=True, split_special_tokens=True
    )
    ids = tuple(int(i) for i in coded["input_ids"])
    pieces = tokenizer.convert_ids_to_tokens(list(ids))
    return Encoding(ids, tile(text, pieces, coded["offset_mapping"]))


def windows(n_tokens: int, context: int, stride: int) -> list[Window]:
    """Overlapping windows over a text, each token scored in exactly one of them.

    A window of `context` tokens needs `context` inputs: the prefix and all its tokens but the last.
    All tokens of the first window are scored; each later one scores `stride` new tokens, which
    have at least context - stride tokens and the prefix before them.

    Args:
        n_tokens: tokens of the text, without prefix.
        context: most inputs of one forward pass, at least 2.
        stride: new tokens a window, 1 <= stride <= context.
    """
    if not 1 <= stride <= context:
        raise ValueError(f"stride must be from 1 to the context of {context}, got {stride}")
    found = [Window(0, 0, min(context, n_tokens))]
    while (done := found[-1].stop) < n_tokens:
        stop = min(done + stride, n_tokens)
        found.append(Window(stop - context, done, stop))
    return found
