"""Tokens and hidden states of the scorer on a corpus, cached beside the database."""

import logging
import os
from pathlib import Path

import numpy as np

from csvcore import lm
from csvcore.fitting.units import Units
from csvcore.formats import atomic
from csvcore.records import Document, Ints

log = logging.getLogger(__name__)


def scoring_units(database: Path, corpus_sha256: str, docs: list[Document], scorer: str) -> Units:
    """Return tokens and hidden states of a scorer on a corpus, from the cache if present.

    The states are a memory map, read in blocks where they are used.
    """
    identity = lm.scorer_sha256(scorer)
    folder = database.with_name(f"{database.name}.cache")
    base = folder / f"{corpus_sha256[:16]}-{identity[:16]}"
    files = base.with_suffix(".edges.npz"), base.with_suffix(".hidden.npy")
    if not all(file.exists() for file in files):
        log.info("hidden states of %s on %d documents", scorer, len(docs))
        folder.mkdir(exist_ok=True)
        _compute(scorer, docs, *files)
    with np.load(files[0], allow_pickle=False) as parts:
        cuts = np.split(parts["edges"], np.cumsum(parts["n_edges"])[:-1])
    return Units(cuts, np.load(files[1], mmap_mode="r"), identity)


def _compute(scorer: str, docs: list[Document], edges_file: Path, hidden_file: Path) -> None:
    """Score the documents one by one and write both files, whole or not at all."""
    model = lm.load(scorer)
    edges: list[Ints] = []
    raw = hidden_file.with_suffix(f".{os.getpid()}.raw")
    width = 0
    with raw.open("wb") as stream:
        for encoding, states in lm.hidden_states(model, [doc.text for doc in docs]):
            edges.append(encoding.tiling.edges)
            width = states.shape[1]
            stream.write(np.ascontiguousarray(states, dtype=np.float32).tobytes())
    n_tokens = sum(cuts.size - 1 for cuts in edges)
    with atomic.file(hidden_file) as building:
        whole = np.lib.format.open_memmap(building, "w+", np.float32, (n_tokens, width))
        whole[:] = np.memmap(raw, np.float32, "r", shape=(n_tokens, width))
        whole.flush()
        raw.unlink()
    with atomic.file(edges_file) as building, building.open("wb") as stream:
        np.savez(stream, edges=np.concatenate(edges), n_edges=[cuts.size for cuts in edges])
