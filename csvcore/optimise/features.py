"""Features and losses of the tokens, read block by block, in memory or on disk."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Lock
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from csvcore import mapped
from csvcore.errors import InputError
from csvcore.records import Ints

Singles = NDArray[np.float32]
Result = TypeVar("Result")
_ALONE = Lock()  # the number of torch's threads is one for the whole process
BLOCK = 4096  # tokens in one product; the products' results stay in the cache
RANK = 128  # directions kept of wide hidden states
SAMPLE = 12_000  # tokens the directions are found from
OVERSAMPLED = 16  # random directions more than are kept
POWERS = 4  # subspace iterations
WIDE_BLOCK = 1 << 19  # numbers in a block of hidden states; it is passed over several times
HELD_BLOCKS = 16  # blocks read before the pages of memory maps are given back


@dataclass(frozen=True, slots=True)
class TokenTable:
    """The tokens of a corpus as input of the fast fit.

    states: (n_tokens, rank) features of each token, mean squared length 1, see `token_features`.
    nll: (n_models, n_tokens) nats, of train and validation models alone. source: (n_tokens,) index
    of each token's source, 0 to n_sources - 1. pulls: (n_pulls, n_tokens) weights at
    theta = 0, mean 1 each; the first is all ones. states and nll may be memory maps, which are
    read block by block.
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

    def blocks(self, rows: Ints, device: torch.device, starts: range) -> Iterator["Block"]:
        """Yield the blocks that begin at these tokens, with the losses of these models."""
        everything = rows.size == self.nll.shape[0]
        for at in _pausing(starts, self.states, self.nll):
            span = slice(at, at + starts.step)
            nll = self.nll[:, span] if everything else self.nll[rows, span]
            source = torch.from_numpy(np.require(self.source[span], requirements="W"))
            yield Block(
                _singles(self.states[span]).to(device),
                torch.nn.functional.one_hot(source, self.n_sources).float().to(device),
                _singles(nll).to(device),
                _singles(self.pulls[:, span]).to(device),
            )


@dataclass(frozen=True, slots=True)
class Block:
    """Some tokens: states (b, rank), own (b, n_sources), nll (n_rows, b), pulls (n_pulls, b).

    own is 1 in the column of the token's source; states and own are the features of a head.
    """

    states: torch.Tensor
    own: torch.Tensor
    nll: torch.Tensor
    pulls: torch.Tensor

    def logits(self, coefficients: torch.Tensor) -> torch.Tensor:
        """Return the logits of heads (n_features, n_heads) at the tokens, (b, n_heads)."""
        rank = self.states.shape[1]
        return torch.addmm(self.own @ coefficients[rank:], self.states, coefficients[:rank])

    def add_gradients(self, by_logit: torch.Tensor, total: torch.Tensor) -> None:
        """Add derivatives by features, computed from those by logits (n, b), to total.

        total: (n, n_features).
        """
        rank = self.states.shape[1]
        total[:, :rank].addmm_(by_logit, self.states)
        total[:, rank:].addmm_(by_logit, self.own)


def over_tokens(
    n_tokens: int,
    work: Callable[[range], Result],
    device: torch.device | None = None,
    block: int = BLOCK,
) -> list[Result]:
    """Distribute the blocks of tokens over threads; return the results in order.

    work is called with the starts of its blocks. torch's own threads are not used: they
    synchronise after every operation, at many times its cost on a busy machine.
    """
    starts = range(0, n_tokens, block)
    if device is not None and device.type != "cpu":
        return [work(starts)]
    with _ALONE:
        return _shared(starts, work)


def _shared(starts: range, work: Callable[[range], Result]) -> list[Result]:
    n_threads = torch.get_num_threads()
    share = max(1, -(-len(starts) // n_threads))
    parts = [starts[at : at + share] for at in range(0, len(starts), share)]
    with ThreadPoolExecutor(max(len(parts), 1)) as pool:
        torch.set_num_threads(1)
        try:
            return list(pool.map(work, parts))
        finally:
            torch.set_num_threads(n_threads)


def token_features(
    hidden: NDArray[np.floating], rank: int | None = RANK, out: Singles | None = None
) -> Singles:
    """Return hidden states as features of rank dimensions and mean squared length 1.

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
    width = int(alive.sum())
    if width == 0:
        raise InputError(f"hidden states of {n_tokens} tokens do not vary; use another scorer")
    basis = torch.diag(torch.where(alive, 1.0 / spread, 0.0))[:, alive].float()
    if rank is not None and width > rank:
        basis = basis @ _directions(hidden, centre, basis, rank)
    result = np.empty((n_tokens, basis.shape[1]), dtype=np.float32) if out is None else out
    minus = -(centre.float() @ basis)

    def project(starts: range) -> float:
        total = 0.0
        for at in _pausing(starts, hidden, result):
            span = slice(at, at + starts.step)
            part = torch.addmm(minus, _singles(hidden[span]), basis)
            total += float(part.square().sum())
            result[span] = part.numpy()
        return total

    block = _wide_block(hidden)
    scale = np.float32(np.sqrt(n_tokens / sum(over_tokens(n_tokens, project, block=block))))
    for at in _pausing(range(0, n_tokens, BLOCK), result):
        result[at : at + BLOCK] *= scale
    return result


def _wide_block(hidden: NDArray[np.floating]) -> int:
    return max(1, WIDE_BLOCK // int(hidden.shape[1]))


def _singles(block: NDArray[np.floating]) -> torch.Tensor:
    """Convert a block to float32 by torch, which is faster than numpy."""
    return torch.from_numpy(np.require(block, requirements=["C", "W"])).float()


def _pausing(starts: range, *arrays: NDArray[np.generic]) -> Iterator[int]:
    """Yield the starts; release pages of memory maps at intervals."""
    every = max(1, HELD_BLOCKS * BLOCK // starts.step)
    for number, at in enumerate(starts):
        if number % every == 0:
            mapped.release(*arrays)
        yield at


def _moments(hidden: NDArray[np.floating]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return mean and standard deviation of every unit, (width,) float64 each, in one pass."""
    shift = _singles(hidden[:1])[0]  # near the mean, so that squares do not cancel

    def sums(starts: range) -> torch.Tensor:
        total = torch.zeros(2, shift.numel(), dtype=torch.float64)
        for at in _pausing(starts, hidden):
            block = _singles(hidden[at : at + starts.step]).sub(shift)
            total[0] += block.sum(dim=0)
            total[1] += block.square_().sum(dim=0)
        return total

    shares = over_tokens(hidden.shape[0], sums, block=_wide_block(hidden))
    first, second = torch.stack(shares).sum(dim=0) / hidden.shape[0]
    return first + shift, (second - first.square()).clamp(min=0.0).sqrt()


def _directions(
    hidden: NDArray[np.floating], centre: torch.Tensor, scale: torch.Tensor, rank: int
) -> torch.Tensor:
    """Return leading principal directions of the standardised states, (width, rank).

    scale: (all units, width) selects the varying units and divides them by their spread.
    """
    stride = max(1, hidden.shape[0] // SAMPLE)
    blocks = _pausing(range(0, hidden.shape[0], BLOCK), hidden)
    parts = [hidden[at : at + BLOCK][-at % stride :: stride].copy() for at in blocks]
    sample = np.concatenate(parts)
    kept = scale.any(dim=1)
    width = int(kept.sum())
    shift, factor = centre.float()[kept], scale.sum(dim=1)[kept]

    def gram_times(columns: torch.Tensor) -> torch.Tensor:
        """Multiply the Gram matrix of the standardised sample by (width, n) columns."""

        def work(starts: range) -> torch.Tensor:
            total = torch.zeros_like(columns)
            for at in starts:
                block = _singles(sample[at : at + starts.step])
                block = (block if width == kept.numel() else block[:, kept]).sub(shift).mul_(factor)
                total.addmm_(block.T, block @ columns)
            return total

        return torch.stack(over_tokens(sample.shape[0], work, block=_wide_block(hidden))).sum(dim=0)

    generator = torch.Generator().manual_seed(0)
    start = torch.randn(width, min(rank + OVERSAMPLED, width), generator=generator)
    for _ in range(POWERS):
        start, _ = torch.linalg.qr(gram_times(start))
    _, right = torch.linalg.eigh(start.T @ gram_times(start))  # ascending
    directions: torch.Tensor = start @ right[:, -rank:].flip(1)
    largest = directions.gather(0, directions.abs().argmax(dim=0, keepdim=True))  # (1, rank)
    return directions * largest.sign()  # an eigenvector's sign is a matter of rounding
