"""Forward passes over many texts at once: packed rows, padded rows, or one text at a time.

Packed: texts are concatenated in one row with attention computed per text, so nothing is padded.
Padded: one text per row with padding on the right, which no token of a causal model attends to.
`selftest` decides between them for each model, since a wrong mask raises no error.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from transformers import AttentionInterface

from csvcore.lm.output_layer import Head

Rows = Literal["packed", "padded", "alone"]
Losses = NDArray[np.float32]
PACKED_ATTENTION = "csvcore_packed"
GLIBC_LARGEST = 32 * 2**20 - 4096  # bytes; its threshold goes no higher
LOGIT_ROWS = 256  # positions of full logits cast to float32 at a time


@dataclass(frozen=True, slots=True)
class Segment:
    """Input and targets of one window of a text.

    inputs: (n_inputs,) the prefix and all tokens but the last. targets: (n_scored,) the tokens to
    score, predicted by the last n_scored inputs.
    """

    inputs: NDArray[np.int64]
    targets: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Passes:
    """A model with its row layout and its output layer, if the self-test found one.

    Without an output layer (`head`) every pass computes all logits, as transformers does.
    """

    model: Any
    device: str
    rows: Rows
    head: Head | None

    def nll(self, segments: Sequence[Segment], batch_tokens: int) -> list[Losses]:
        """Return nats of each segment's targets, in order; see `in_batches`."""
        by_segment: dict[int, Losses] = {}
        for batch in self.in_batches(segments, batch_tokens):
            by_segment |= batch
        return [by_segment[i] for i in range(len(segments))]

    def in_batches(
        self, segments: Sequence[Segment], batch_tokens: int
    ) -> Iterator[dict[int, Losses]]:
        """Yield nats of each segment's targets by segment index, one dict per forward pass.

        A batch that does not fit in memory is halved and tried again.

        Raises:
            torch.OutOfMemoryError: one segment alone does not fit.
        """
        for batch in batches([s.inputs.size for s in segments], batch_tokens, self.rows):
            yield from self._halving(segments, batch)

    def _halving(
        self, segments: Sequence[Segment], batch: Sequence[int]
    ) -> Iterator[dict[int, Losses]]:
        try:
            values = self._batch([segments[i] for i in batch])
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            if len(batch) == 1:
                raise torch.OutOfMemoryError(str(error)) from error
        else:
            yield dict(zip(batch, values, strict=True))
            return
        if self.device.startswith("cuda"):
            torch.cuda.empty_cache()
        middle = len(batch) // 2
        yield from self._halving(segments, batch[:middle])
        yield from self._halving(segments, batch[middle:])

    @torch.inference_mode()
    def _batch(self, batch: Sequence[Segment]) -> list[Losses]:
        n_scored = [segment.targets.size for segment in batch]
        targets = torch.from_numpy(np.concatenate([s.targets for s in batch])).to(self.device)
        kept = np.concatenate(
            [np.arange(s.inputs.size) >= s.inputs.size - s.targets.size for s in batch]
        )
        if self.head is None:
            nll = self._full_nll(batch, targets)
        else:
            states = self.states([s.inputs for s in batch])
            nll = self.head.nll(states[torch.from_numpy(kept).to(states.device)], targets)
        return np.split(nll.cpu().numpy(), np.cumsum(n_scored)[:-1])

    def _full_nll(self, batch: Sequence[Segment], targets: Tensor) -> Tensor:
        ids = self._padded([s.inputs for s in batch])
        logits = self.model(input_ids=ids, use_cache=False).logits
        rows = [
            row[s.inputs.size - s.targets.size : s.inputs.size]
            for row, s in zip(logits, batch, strict=True)
        ]
        flat = torch.cat(rows)  # (n_scored, n_vocab)
        parts = zip(torch.split(flat, LOGIT_ROWS), torch.split(targets, LOGIT_ROWS), strict=True)
        return torch.cat(
            [
                functional.cross_entropy(part.float(), wanted.to(part.device), reduction="none")
                for part, wanted in parts
            ]
        )

    @torch.inference_mode()
    def states(self, inputs: Sequence[NDArray[np.int64]]) -> Tensor:
        """Return last hidden states, (sum of inputs, width), text after text; one pass."""
        sizes = [ids.size for ids in inputs]
        body = decoder(self.model)
        if self.rows == "packed":
            ids = torch.from_numpy(np.concatenate(inputs))[None].to(self.device)
            positions = torch.cat([torch.arange(size) for size in sizes])[None].to(self.device)
            with attending_within(self.model, sizes):
                out = body(input_ids=ids, position_ids=positions, use_cache=False)
            packed: Tensor = out.last_hidden_state[0]
            return packed
        out = body(input_ids=self._padded(inputs), use_cache=False)
        return torch.cat(
            [row[:size] for row, size in zip(out.last_hidden_state, sizes, strict=True)]
        )

    def _padded(self, inputs: Sequence[NDArray[np.int64]]) -> Tensor:
        """Pad rows on the right with their own first token, the prefix."""
        ids = np.empty((len(inputs), max(row.size for row in inputs)), dtype=np.int64)
        for padded, row in zip(ids, inputs, strict=True):
            padded[: row.size], padded[row.size :] = row, row[0]
        return torch.from_numpy(ids).to(self.device)


def keep_freed_memory() -> None:
    """Make glibc keep freed blocks of up to 32 MB for the next pass.

    By default glibc returns them to the system, and every pass takes new page faults for its
    activations: a sixth of the CPU time at 1,024 tokens a pass. Freeing a large block raises
    glibc's threshold; other allocators are unaffected.
    """
    torch.zeros(GLIBC_LARGEST, dtype=torch.uint8)


def decoder(model: Any) -> Any:
    """Return a causal LM's decoder, without its output layer."""
    return model.get_decoder() or model.base_model


def is_out_of_memory(error: RuntimeError) -> bool:
    """Return whether torch ran out of GPU or main memory."""
    return isinstance(error, torch.OutOfMemoryError) or "allocate memory" in str(error)


def batches(sizes: Sequence[int], batch_tokens: int, rows: Rows) -> Iterator[list[int]]:
    """Yield the text indices of each pass, longest text first; overlong texts go alone.

    Args:
        sizes: inputs of each text.
        batch_tokens: bound on the tokens of a pass, padding included.
        rows: row layout; packed rows are filled first fit, others hold texts of similar length.
    """
    order = sorted(range(len(sizes)), key=lambda i: -sizes[i])
    if rows == "packed":
        yield from _first_fit(sizes, order, batch_tokens)
        return
    start = 0
    while start < len(order):
        size = 1 if rows == "alone" else max(1, batch_tokens // max(1, sizes[order[start]]))
        yield order[start : start + size]
        start += size


def _first_fit(sizes: Sequence[int], order: Sequence[int], room: int) -> list[list[int]]:
    bins: list[list[int]] = []
    left: list[int] = []
    for i in order:
        index = next((b for b, free in enumerate(left) if free >= sizes[i]), len(bins))
        if index == len(bins):
            bins.append([])
            left.append(room)
        bins[index].append(i)
        left[index] -= sizes[i]
    return bins


# Attention within each text of a packed row ---------------------------------------------------


@dataclass(slots=True)
class _Row:
    """State of the current packed row: text sizes, and whether packed attention was called."""

    sizes: list[int]
    attended: bool = False


_row = _Row([])


@contextmanager
def attending_within(model: Any, sizes: Sequence[int]) -> Iterator[None]:
    """Restrict attention in the block to concatenated texts of these sizes in one row.

    Raises:
        ValueError: the architecture's attention cannot be replaced.
    """
    before = model.config._attn_implementation
    model.set_attn_implementation(PACKED_ATTENTION)
    _row.sizes, _row.attended = list(sizes), False
    try:
        yield
        if not _row.attended:
            raise ValueError("its attention cannot be chosen")
    finally:
        _row.sizes = []
        model.set_attn_implementation(before)


def _packed_attention(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
    s_aux: Tensor | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """Compute causal attention per text of a row; inputs (1, n_heads, n_tokens, width)."""
    _row.attended = True
    if attention_mask is not None:
        raise NotImplementedError("its attention comes with a mask of its own")
    if s_aux is not None:
        raise NotImplementedError("attention sinks are not computed text by text")
    n_heads, n_tokens = query.shape[1:3]
    out = query.new_empty(1, n_tokens, n_heads, value.shape[-1])
    start = 0
    for size in _row.sizes:
        here = slice(start, start + size)
        q, k, v = query[:, :, here], key[:, :, here], value[:, :, here]
        mask = _window_mask(size, sliding_window, query.device)
        if softcap is None:
            part = functional.scaled_dot_product_attention(
                q,
                k,
                v,
                mask,
                is_causal=mask is None,
                scale=scaling,
                enable_gqa=k.shape[1] != n_heads,
            )
        else:
            part = _capped_attention(q, k, v, mask, scaling, softcap)
        out[:, here] = part.transpose(1, 2)
        start += size
    return out, None


def _window_mask(size: int, window: int | None, device: torch.device) -> Tensor | None:
    """Return the sliding-window mask, (size, size) bool; None for texts within the window."""
    if window is None or size <= window:
        return None
    position = torch.arange(size, device=device)
    distance = position[:, None] - position[None]
    return (distance >= 0) & (distance < window)


def _capped_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    scaling: float | None,
    cap: float,
) -> Tensor:
    """Compute attention with scores soft-capped by cap * tanh(score / cap), as in Gemma-2."""
    size, groups = query.shape[2], query.shape[1] // key.shape[1]
    if groups > 1:
        key, value = (part.repeat_interleave(groups, dim=1) for part in (key, value))
    scores = query @ key.transpose(2, 3) * (query.shape[-1] ** -0.5 if scaling is None else scaling)
    scores = cap * torch.tanh(scores / cap)
    if mask is None:
        mask = torch.ones(size, size, dtype=torch.bool, device=query.device).tril()
    scores = scores.masked_fill(~mask, -torch.inf)
    return scores.float().softmax(-1).to(value.dtype) @ value


AttentionInterface.register(PACKED_ATTENTION, _packed_attention)
