"""Losses of one text mapped to other tokens, for tests of Algorithm 1."""

from csvcore.alignment import sharing
from csvcore.records import Floats, Ints


def map_nll(nll: Floats, source_edges: Ints, target_edges: Ints, clock: Floats) -> Floats:
    """Share each source token's nll among its characters, then sum them per target token.

    Returns:
        (n_target,) nats. Their sum is nll.sum() to rounding: nothing is lost or counted twice.
    """
    return sharing(source_edges, target_edges, clock).apply(nll)
