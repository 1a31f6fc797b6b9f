"""What every head reads: the tokens' features and losses, block by block, in memory or on disk."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from csvcore.errors import InputError
from csvcore.records import Floats, Ints

Singles = NDArray[np.float32]
BLOCK = 2048  # tokens in one product; the products' results stay in the cache
RANK = 128  # directions kept of wide hidden states
SAMPLE = 20_000  # tokens the directions are found from
OVERSAMPLED = 16  # random directions more than are kept


@dataclass(frozen=True, slots=True)
class TokenTable:
    """The tokens of a corpus as the fit sees them.

    states: (n_tokens, rank) features of each token, mean squared length 1, see `features`.
    nll: (n_models, n_tokens) nats, of train and validation models alone. source: (n_tokens,) index
    of each token's source, 0 to n_sources - 1. pulls: (n_pulls, n_tokens) what the weights are
    where the head says nothing, mean 1 each; the first is all ones. states and nll may be memory
    maps; then only blocks of them are read.
    """

    states: NDArray[np.floating]
    nll: Singles
    source: Ints
    n_sources: int
    pulls: Singles
    n_chars: int

    def __post_init__(self) -> None:
        """Check that all parts are of the same tokens."""
        n_tokens = self.states.shape[0]
        shapes = self.nll.shape[1], self.source.size, self.pulls.shape[1]
        if any(size != n_tokens for size in shapes):
            raise InputError(
                f"hidden states of {n_tokens} tokens, but losses, sources and pulls of {shapes}"
            )

    @property
    def n_features(self) -> int:
        """Length of a head: one number a direction and one a source."""
        return int(self.states.shape[1]) + self.n_sources

    def blocks(
        self, rows: Ints, device: torch.device
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
        """Blocks of features (b, n_features), losses of these models (n_rows, b), pulls."""
        everything = rows.size == self.nll.shape[0]
        for at in range(0, self.states.shape[0], BLOCK):
            span = slice(at, at + BLOCK)
            block = self.nll[:, span] if everything else self.nll[rows, span]
            states = torch.from_numpy(np.asarray(self.states[span], dtype=np.float32))
            source = torch.from_numpy(self.source[span])
            own = torch.nn.functional.one_hot(source, self.n_sources).float()
            yield (
                torch.cat([states, own], dim=1).to(device),
                torch.from_numpy(np.ascontiguousarray(block)).to(device),
                torch.from_numpy(np.ascontiguousarray(self.pulls[:, span])).to(device),
            )


def features(
    hidden: NDArray[np.floating], rank: int | None = RANK, out: Singles | None = None
) -> Singles:
    """Hidden states as features: standardised, reduced to rank directions, mean squared length 1.

    Each unit is given mean 0 and variance 1. States wider than rank are projected on the leading
    principal directions of a sample of tokens, found by a randomised SVD; a ridge penalty on a
    head over them is then one on a head over the whole width.

    Args:
        hidden: (n_tokens, width), float16 or float32, may be a memory map; read in blocks.
        rank: directions to keep; None keeps the whole width.
        out: where to write the result, such as a memory map; a new array if None.

    Returns:
        (n_tokens, min(rank, width of units that vary)).

    Raises:
        InputError: no unit varies, so the scorer tells no tokens apart.
    """
    n_tokens = hidden.shape[0]
    centre, spread = _moments(hidden)
    alive = spread > 1e-6
    if not alive.any():
        raise InputError(f"hidden states of {n_tokens} tokens do not vary; use another scorer")
    width = int(alive.sum())
    basis = torch.diag(torch.from_numpy(1.0 / spread[alive]))
    if rank is not None and width > rank:
        basis = basis @ _directions(hidden, centre, spread, alive, rank)
    basis = (basis / np.sqrt(width)).float()
    shift = torch.from_numpy(centre[alive]).float() @ basis
    result = np.empty((n_tokens, basis.shape[1]), dtype=np.float32) if out is None else out
    total = 0.0
    for at in range(0, n_tokens, BLOCK):
        block = torch.from_numpy(np.asarray(hidden[at : at + BLOCK], dtype=np.float32)[:, alive])
        part = (block @ basis - shift).numpy()
        total += float(np.square(part, dtype=np.float64).sum())
        result[at : at + BLOCK] = part
    scale = np.float32(np.sqrt(n_tokens / total))
    for at in range(0, n_tokens, BLOCK):
        result[at : at + BLOCK] *= scale
    return result


def _moments(hidden: NDArray[np.floating]) -> tuple[Floats, Floats]:
    """Mean and standard deviation of every unit, (width,) each, in one pass."""
    n_tokens = hidden.shape[0]
    shift = np.asarray(hidden[0], dtype=np.float64)  # near the mean, so that squares do not cancel
    first, second = np.zeros_like(shift), np.zeros_like(shift)
    for at in range(0, n_tokens, BLOCK):
        block = np.asarray(hidden[at : at + BLOCK], dtype=np.float64) - shift
        first += block.sum(axis=0)
        second += np.einsum("ij,ij->j", block, block)
    mean = first / n_tokens
    return mean + shift, np.sqrt(np.maximum(second / n_tokens - mean**2, 0.0))


def _directions(
    hidden: NDArray[np.floating],
    centre: Floats,
    spread: Floats,
    alive: NDArray[np.bool_],
    rank: int,
) -> torch.Tensor:
    """Leading principal directions of the standardised states, (width, rank), orthonormal."""
    stride = max(1, hidden.shape[0] // SAMPLE)
    sample = (np.asarray(hidden[::stride], dtype=np.float64) - centre)[:, alive] / spread[alive]
    states = torch.from_numpy(sample.astype(np.float32))
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(states.shape[1], rank + OVERSAMPLED, generator=generator)
    for _ in range(3):  # subspace iteration
        start, _ = torch.linalg.qr(states.T @ (states @ start))
    _, _, right = torch.linalg.svd(states @ start, full_matrices=False)
    found: torch.Tensor = (start @ right.T[:, :rank]).double()
    return found
