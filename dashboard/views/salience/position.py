"""Which documents of a corpus are read, in which order, how far, and where a search finds text."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from csvcore.records import Document
from dashboard.queries.fit_tokens import Texts

FIRST = 2_000  # cells shown at first; each time more are asked for, as many again
STEP = 4_000
MOST = 24_000
MOST_MATCHES = 5_000


@dataclass(frozen=True, slots=True)
class Place:
    """A cell of a document, as a link names it."""

    doc_id: str
    cell: int

    def __str__(self) -> str:
        """As in the address line."""
        return f"{self.doc_id}:{self.cell}"


def place(text: str) -> Place | None:
    """A place as the address line has it, None where it says nothing."""
    doc_id, _, cell = text.rpartition(":")
    return Place(doc_id, int(cell)) if doc_id and re.fullmatch(r"[0-9]{1,9}", cell) else None


def order(docs: Sequence[Document], sources: Sequence[str], chosen: Sequence[str]) -> list[int]:
    """Indices of the documents to read: the chosen ones, then those of the sources that follow.

    Args:
        docs: the corpus.
        sources: read these; all if there are none.
        chosen: ids of documents to begin with.
    """
    at = {doc.doc_id: i for i, doc in enumerate(docs)}
    first = dict.fromkeys(at[name] for name in chosen if name in at)
    after = next(reversed(first), -1)
    rest = (i for i in range(after + 1, len(docs)) if not sources or docs[i].source in sources)
    return list(dict.fromkeys([*first, *rest]))


def shown(own: Texts, ordered: Sequence[int], wanted: int, needed: int = 1) -> list[int]:
    """As many of the documents as hold the wanted number of cells, and at least those needed."""
    taken: list[int] = []
    cells = 0
    for i in ordered:
        full = cells >= wanted and len(taken) >= needed
        if full or (taken and cells + own.n_cells(i) > MOST):
            break
        taken.append(i)
        cells += own.n_cells(i)
    return taken


def n_matches(own: Texts, docs: Sequence[int], wanted: str) -> list[int]:
    """How often a plain string occurs in each of these documents."""
    return [len(occurrences(own.docs[i].text, wanted)) for i in docs]


class Shown:
    """The cells on the screen: those of some documents, one after another."""

    def __init__(self, own: Texts, docs: Sequence[int]) -> None:
        """Take these documents."""
        self._own = own
        self.docs = list(docs)
        self.first = np.cumsum([0, *(own.n_cells(i) for i in docs)])
        spans = [np.arange(own.first_cell[i], own.first_cell[i + 1]) for i in docs]
        self.cells = np.concatenate(spans) if spans else np.zeros(0, dtype=np.int64)

    def place(self, cell: int) -> Place:
        """What a cell of the screen is called in a link."""
        number = int(np.searchsorted(self.first, cell, side="right")) - 1
        return Place(self._own.docs[self.docs[number]].doc_id, cell - int(self.first[number]))

    def find(self, wanted: Place) -> int | None:
        """Where a place is on the screen; None if it is not, or is nowhere."""
        for number, (start, end) in enumerate(pairwise(self.first.tolist())):
            if self._own.docs[self.docs[number]].doc_id == wanted.doc_id:
                return start + wanted.cell if start + wanted.cell < end else None
        return None

    def matches(self, text: str) -> list[tuple[int, int]]:
        """Ranges of cells on the screen in which the text occurs, ends included; at most some."""
        found: list[tuple[int, int]] = []
        for number, i in enumerate(self.docs):
            at = self._own.cell_at[self._own.first_cell[i] : self._own.first_cell[i + 1]]
            spans = np.array(occurrences(self._own.docs[i].text, text)).reshape(-1, 2)
            starts = np.searchsorted(at, spans[:, 0], side="right") - 1 + self.first[number]
            ends = np.searchsorted(at, spans[:, 1] - 1, side="right") - 1 + self.first[number]
            found += zip(starts.tolist(), ends.tolist(), strict=True)
            if len(found) >= MOST_MATCHES:
                break
        return found[:MOST_MATCHES]


def occurrences(text: str, wanted: str) -> list[tuple[int, int]]:
    """Where a plain string occurs in a text, in characters; capital or small alike."""
    if not wanted:
        return []
    return [found.span() for found in re.finditer(re.escape(wanted), text, re.IGNORECASE)]
