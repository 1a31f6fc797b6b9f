"""Tokens and hidden states of the scorer on a corpus, cached beside the database."""

import logging
import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np

from csvcore import lm
from csvcore.fitting.units import States, Units
from csvcore.formats import atomic
from csvcore.records import Document, Ints

log = logging.getLogger(__name__)


def scoring_units(database: Path, corpus_sha256: str, docs: list[Document], scorer: str) -> Units:
    """Return tokens and hidden states of a scorer on a corpus, from the cache if present.

    The scorer's weights are loaded for the states alone, once these are asked for; they are then a
    memory map, read in blocks where they are used.
    """
    identity = lm.scorer_sha256(scorer)
    folder = database.with_name(f"{database.name}.cache")
    base = folder / f"{corpus_sha256[:16]}-{identity[:16]}"
    edges_file, hidden_file = base.with_suffix(".edges.npz"), base.with_suffix(".hidden.npy")
    if not edges_file.exists():
        folder.mkdir(exist_ok=True)
        _write_edges(lm.token_edges(scorer, [doc.text for doc in docs]), edges_file)
    with np.load(edges_file, allow_pickle=False) as parts:
        edges = np.split(parts["edges"], np.cumsum(parts["n_edges"])[:-1])

    @cache
    def states() -> States:
        if not hidden_file.exists():
            log.info("hidden states of %s on %d documents", scorer, len(docs))
            _compute(scorer, docs, edges, hidden_file)
        found: States = np.load(hidden_file, mmap_mode="r")
        return found

    return Units(edges, states, identity)


def _write_edges(edges: Sequence[Ints], file: Path) -> None:
    with atomic.file(file) as building, building.open("wb") as stream:
        np.savez(stream, edges=np.concatenate(edges), n_edges=[cuts.size for cuts in edges])


def _compute(scorer: str, docs: list[Document], edges: Sequence[Ints], hidden_file: Path) -> None:
    """Score the documents one by one and write their states, whole or not at all."""
    model = lm.load(scorer)
    raw = hidden_file.with_suffix(f".{os.getpid()}.raw")
    width = 0
    with raw.open("wb") as stream:
        for _, states in lm.hidden_states(model, [doc.text for doc in docs]):
            width = states.shape[1]
            stream.write(np.ascontiguousarray(states, dtype=np.float32).tobytes())
    n_tokens = sum(cuts.size - 1 for cuts in edges)
    with atomic.file(hidden_file) as building:
        whole = np.lib.format.open_memmap(building, "w+", np.float32, (n_tokens, width))
        whole[:] = np.memmap(raw, np.float32, "r", shape=(n_tokens, width))
        whole.flush()
        raw.unlink()
