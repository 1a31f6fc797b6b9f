"""The parts of a text that carry a weight: its sources, kinds of tokens, types and tokens."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from csvcore.analysis.token_kinds import Tally, kinds, tally
from csvcore.analysis.token_types import TokenType, by_type
from csvcore.records import Document, Floats, Ints

LEAST = 5  # occurrences of a token type that is listed


@dataclass(frozen=True, slots=True)
class Place:
    """A token: its document, its place in it, its text with the text around it, and its weight."""

    doc_id: str
    source: str
    token: int
    text: str
    before: str
    after: str
    weight: float


@dataclass(frozen=True, slots=True)
class Carriers:
    """The sources and kinds that carry a weight, with their share, and types by their mean."""

    sources: tuple[Tally, ...]
    kinds: tuple[Tally, ...]
    types: tuple[TokenType, ...]


def carriers(
    docs: Sequence[Document], edges: Sequence[Ints], weight: Floats, n_types: int = 20
) -> Carriers:
    """Return the sources, kinds and types that carry a weight, the largest mean first.

    Args:
        docs: the corpus.
        edges: for each document its (n_tokens + 1,) byte boundaries.
        weight: (sum of n_tokens,); may be a difference of two weights.
        n_types: types that are listed.
    """
    source = np.repeat([doc.source for doc in docs], [cuts.size - 1 for cuts in edges])
    by_source = {name: source == name for name in dict.fromkeys(source.tolist())}
    found = kinds(docs, edges)
    return Carriers(
        _sorted(tally(weight, by_source)),
        _sorted([one for one in tally(weight, found) if one.n_tokens]),
        tuple(by_type(token_texts(docs, edges), weight, LEAST)[:n_types]),
    )


def token_texts(docs: Sequence[Document], edges: Sequence[Ints]) -> list[str]:
    """Return the text of each token; parts of a character have the replacement character."""
    texts = []
    for doc, cuts in zip(docs, edges, strict=True):
        raw, ends = doc.text.encode(), cuts.tolist()
        texts += [raw[a:b].decode(errors="replace") for a, b in pairwise(ends)]
    return texts


def heaviest(
    docs: Sequence[Document], edges: Sequence[Ints], weight: Floats, n_tokens: int = 20
) -> list[Place]:
    """Return the tokens of the largest weights with 40 bytes of text on both sides."""
    starts = np.cumsum([0, *(cuts.size - 1 for cuts in edges)])
    places = []
    for at in np.argsort(-weight, kind="stable")[:n_tokens].tolist():
        number = int(np.searchsorted(starts, at, side="right")) - 1
        doc, token = docs[number], at - int(starts[number])
        raw, (a, b) = doc.text.encode(), edges[number][token : token + 2].tolist()
        parts = raw[max(a - 40, 0) : a], raw[a:b], raw[b : b + 40]
        before, text, after = (part.decode(errors="ignore") for part in parts)
        places.append(Place(doc.doc_id, doc.source, token, text, before, after, float(weight[at])))
    return places


def _sorted(tallies: Sequence[Tally]) -> tuple[Tally, ...]:
    return tuple(sorted(tallies, key=lambda one: -(one.mean or 0.0)))
