"""The units that get a weight: the scorer's tokens, or those that the losses come in."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial

import numpy as np
from numpy.typing import NDArray

from csvcore.alignment import first_token_ends
from csvcore.errors import InputError
from csvcore.records import Document, Ints, ModelLosses

States = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Units:
    """The units that get a weight: the scorer's tokens, or those that the losses come in.

    edges: for each document its (n_tokens + 1,) byte boundaries. states: returns `hidden`; called
    by what needs them alone, since it may take a scorer minutes. scorer_sha256: identity of its
    weights and tokenizer.
    """

    edges: list[Ints]
    states: Callable[[], States]
    scorer_sha256: str

    @property
    def n_tokens(self) -> int:
        """Number of units of all documents."""
        return sum(cuts.size - 1 for cuts in self.edges)

    @property
    def hidden(self) -> States:
        """Last hidden states, (n_tokens, width)."""
        return self.states()

    def __reduce__(self) -> tuple[type["Units"], tuple[object, ...]]:
        """Pickle the states in place of what makes them, which stays on this machine."""
        return Units, (self.edges, partial(np.asarray, self.hidden), self.scorer_sha256)


def units_of_losses(units: Units, losses: Sequence[ModelLosses]) -> Units:
    """Return the units that all models' losses come in, such as words, for the scorer's tokens.

    The state of a unit is the mean of the scorer's states over its bytes. Units without bytes are
    dropped; alignment moves their loss to a neighbour.

    Raises:
        InputError: there are no losses, or those of two models come in other units.
    """
    if not losses:
        raise InputError("no model has losses on every document, so there are no units to weigh")
    first = losses[0]
    for other in losses[1:]:
        same = np.array_equal(other.n_tokens, first.n_tokens)
        if not same or not np.array_equal(other.byte_end, first.byte_end):
            raise InputError(
                f"the losses of {first.model} and {other.model} come in other units; own units "
                "need one for all models, otherwise weigh the scorer's tokens"
            )
    ends = np.split(first.byte_end, np.cumsum(first.n_tokens)[:-1])
    edges = [np.unique(np.concatenate([[0], end])) for end in ends]
    return replace(units, edges=edges, states=cache(lambda: _states_of(edges, units)))


def _states_of(edges: Sequence[Ints], units: Units) -> States:
    """Return the states of other units of the same texts."""
    starts = np.cumsum([0, *(cuts.size - 1 for cuts in units.edges)])
    hidden = units.hidden
    states = [
        _mean_states(own, cuts, hidden[start : start + cuts.size - 1])
        for own, cuts, start in zip(edges, units.edges, starts, strict=False)
    ]
    return np.concatenate(states).astype(np.float32)


def _mean_states(edges: Ints, token_edges: Ints, hidden: States) -> States:
    """Return states of units as byte-weighted means over their tokens, (n_units, width)."""
    stop = np.minimum(edges[1:, None], token_edges[None, 1:])
    start = np.maximum(edges[:-1, None], token_edges[None, :-1])
    overlap = np.maximum(stop - start, 0)  # (n_units, n_tokens) bytes
    mean: States = (overlap / np.diff(edges)[:, None]) @ hidden
    return mean


def without_first_tokens(
    units: Units, docs: Sequence[Document], losses: Sequence[ModelLosses]
) -> tuple[Units, NDArray[np.bool_], int]:
    """Cut the units at the end of the longest first token; return units, mask and N_c.

    A unit that straddles the cut becomes two with the same hidden state.

    Args:
        units: those of the whole texts.
        docs: the corpus.
        losses: of all models that are fitted or judged.

    Raises:
        InputError: nothing is left.
    """
    texts = [doc.text for doc in docs]
    ends = first_token_ends(losses, texts)
    parts = [_with_cut(cuts, int(end)) for cuts, end in zip(units.edges, ends, strict=True)]
    starts = np.cumsum([0, *(cuts.size - 1 for cuts in units.edges[:-1])])
    whole = np.concatenate([start + owner for start, (_, owner) in zip(starts, parts, strict=True)])
    edges = [cuts for cuts, _ in parts]
    counts = np.concatenate([cuts[:-1] >= end for cuts, end in zip(edges, ends, strict=True)])
    n_chars = sum(
        len(text.encode()[end:].decode()) for text, end in zip(texts, ends.tolist(), strict=True)
    )
    if n_chars == 0:
        raise InputError("every document is the first token of some model; nothing is left to fit")
    cut = replace(units, edges=edges, states=cache(lambda: units.hidden[whole]))
    return cut, counts, n_chars


def _with_cut(cuts: Ints, cut: int) -> tuple[Ints, Ints]:
    """Return the edges with one more at cut, and the original unit of each new one."""
    owner = np.arange(cuts.size - 1)
    if cut in cuts:
        return cuts, owner
    index = int(np.searchsorted(cuts, cut))  # the cut lies within the unit before
    return np.insert(cuts, index, cut), np.insert(owner, index, index - 1)
