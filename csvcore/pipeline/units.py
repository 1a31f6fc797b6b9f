"""The scorer's tokens and hidden states on a corpus, computed once, kept beside the database."""

import logging
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from csvcore import scoring
from csvcore.records import Document, Ints

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Units:
    """The units that get a weight: the scorer's tokens.

    edges: for each document its (n_tokens + 1,) byte boundaries. hidden: (sum of n_tokens, width)
    last hidden states. scorer_sha256: identity of its weights and tokenizer.
    """

    edges: list[Ints]
    hidden: NDArray[np.float32]
    scorer_sha256: str


def scoring_units(database: Path, corpus_sha256: str, docs: list[Document], scorer: str) -> Units:
    """Tokens and hidden states of a scorer on a corpus; from the cache where it has them."""
    identity = scoring.scorer_sha256(scorer)
    folder = database.with_name(f"{database.name}.cache")
    file = folder / f"{corpus_sha256[:16]}-{identity[:16]}.npz"
    if not file.exists():
        log.info("hidden states of %s on %d documents", scorer, len(docs))
        lm = scoring.load(scorer)
        found = list(scoring.hidden_states(lm, [doc.text for doc in docs]))
        edges = [encoding.tiling.edges for encoding, _ in found]
        folder.mkdir(exist_ok=True)
        building = file.with_suffix(f".{os.getpid()}.part")
        with building.open("wb") as stream:
            np.savez(
                stream,
                edges=np.concatenate(edges),
                n_edges=[cuts.size for cuts in edges],
                hidden=np.concatenate([states for _, states in found]),
            )
        building.replace(file)
    with np.load(file, allow_pickle=False) as parts:
        cuts = np.split(parts["edges"], np.cumsum(parts["n_edges"])[:-1])
        return Units(edges=cuts, hidden=parts["hidden"], scorer_sha256=identity)
