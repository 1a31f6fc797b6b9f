"""Losses of one text mapped to other tokens, for tests of Algorithm 1."""

import numpy as np

from csvcore.alignment import Spans, sharing
from csvcore.records import Floats, Ints


def map_nll(nll: Floats, source_edges: Ints, target_edges: Ints, clock: Floats) -> Floats:
    """Share each source token's nll among its characters, then sum them per target token.

    Returns:
        (n_target,) nats. Their sum is nll.sum() to rounding: nothing is lost or counted twice.
    """
    size = np.array([clock.size - 1])
    source = Spans.of_edges([source_edges], size, "source")
    return sharing(source, Spans.of_edges([target_edges], size, "target"), clock).apply(nll)
