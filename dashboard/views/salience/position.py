"""Order of the documents that are read, positions of tokens, and matches of a search."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from csvcore.records import Document
from dashboard.queries.fit_tokens import FitTokens

FIRST = 2_000  # cells shown at first; each time more are choice for, as many again
STEP = 4_000
MOST = 24_000
MOST_MATCHES = 5_000


@dataclass(frozen=True, slots=True)
class Position:
    """A cell of a document, as the address names it."""

    doc_id: str
    cell: int

    def __str__(self) -> str:
        """Return the text in the address."""
        return f"{self.doc_id}:{self.cell}"


def parse(text: str) -> Position | None:
    """Return the position that a text of the address names, None if it names none."""
    doc_id, _, cell = text.rpartition(":")
    return Position(doc_id, int(cell)) if doc_id and re.fullmatch(r"[0-9]{1,9}", cell) else None


def order(docs: Sequence[Document], sources: Sequence[str], chosen: Sequence[str]) -> list[int]:
    """Return the indices of the documents to read: the chosen ones, then later ones of the sources.

    Args:
        docs: the corpus.
        sources: read these; all if there are none.
        chosen: ids of the documents to jump to.
    """
    at = {doc.doc_id: i for i, doc in enumerate(docs)}
    first = dict.fromkeys(at[name] for name in chosen if name in at)
    after = next(reversed(first), -1)
    rest = (i for i in range(after + 1, len(docs)) if not sources or docs[i].source in sources)
    return list(dict.fromkeys([*first, *rest]))


def fitting(texts: FitTokens, ordered: Sequence[int], wanted: int, needed: int = 1) -> list[int]:
    """Return the documents that fill the wanted number of cells, and at least those needed."""
    taken: list[int] = []
    cells = 0
    for i in ordered:
        full = cells >= wanted and len(taken) >= needed
        if full or (taken and cells + texts.n_cells(i) > MOST):
            break
        taken.append(i)
        cells += texts.n_cells(i)
    return taken


def n_matches(texts: FitTokens, docs: Sequence[int], wanted: str) -> list[int]:
    """Return the number of matches of a plain string in each of these documents."""
    return [len(occurrences(texts.docs[i].text, wanted)) for i in docs]


class Screen:
    """The cells of the documents on the screen, one after another."""

    def __init__(self, texts: FitTokens, docs: Sequence[int]) -> None:
        """Collect the cells of these documents."""
        self._texts = texts
        self.docs = list(docs)
        self.first = np.cumsum([0, *(texts.n_cells(i) for i in docs)])
        spans = [np.arange(texts.first_cell[i], texts.first_cell[i + 1]) for i in docs]
        self.cells = np.concatenate(spans) if spans else np.zeros(0, dtype=np.int64)

    def position(self, cell: int) -> Position:
        """Return the position of a cell of the screen."""
        number = int(np.searchsorted(self.first, cell, side="right")) - 1
        return Position(self._texts.docs[self.docs[number]].doc_id, cell - int(self.first[number]))

    def find(self, wanted: Position) -> int | None:
        """Return the cell of the screen at a position, None if it is not on the screen."""
        for number, (start, end) in enumerate(pairwise(self.first.tolist())):
            if self._texts.docs[self.docs[number]].doc_id == wanted.doc_id:
                return start + wanted.cell if start + wanted.cell < end else None
        return None

    def matches(self, text: str) -> list[tuple[int, int]]:
        """Return the ranges of cells with a match, ends included, up to MOST_MATCHES."""
        ranges: list[tuple[int, int]] = []
        for number, i in enumerate(self.docs):
            at = self._texts.cell_at[self._texts.first_cell[i] : self._texts.first_cell[i + 1]]
            spans = np.array(occurrences(self._texts.docs[i].text, text)).reshape(-1, 2)
            starts = np.searchsorted(at, spans[:, 0], side="right") - 1 + self.first[number]
            ends = np.searchsorted(at, spans[:, 1] - 1, side="right") - 1 + self.first[number]
            ranges += zip(starts.tolist(), ends.tolist(), strict=True)
            if len(ranges) >= MOST_MATCHES:
                break
        return ranges[:MOST_MATCHES]


def occurrences(text: str, wanted: str) -> list[tuple[int, int]]:
    """Return the spans of a plain string in a text, in characters; case is ignored."""
    if not wanted:
        return []
    return [match.span() for match in re.finditer(re.escape(wanted), text, re.IGNORECASE)]
