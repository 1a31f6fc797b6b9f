"""Forward passes over many texts at once: packed rows, padded rows, or one text at a time.

Packed: texts lie end to end in one row, and attention is computed for each by itself, so nothing
is padded. Padded: one text a row, padding on the right, where no token of a causal model sees it.
Which of them a model allows is decided by `selftest`, since a wrong mask is silent.
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
    """What the model sees of a text in one window.

    inputs: (n_inputs,) the prefix and all tokens but the last. targets: (n_scored,) the tokens to
    score, which the last n_scored inputs predict.
    """

    inputs: NDArray[np.int64]
    targets: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Passes:
    """A model with the way its texts are laid out and its head, if the self-test found one.

    Without a head every pass computes all logits, as transformers does.
    """

    model: Any
    device: str
    rows: Rows
    head: Head | None

    def nll(self, segments: Sequence[Segment], batch_tokens: int) -> list[Losses]:
        """Nats of each segment's targets, in order; see `in_batches`."""
        found: dict[int, Losses] = {}
        for batch in self.in_batches(segments, batch_tokens):
            found |= batch
        return [found[i] for i in range(len(segments))]

    def in_batches(
        self, segments: Sequence[Segment], batch_tokens: int
    ) -> Iterator[dict[int, Losses]]:
        """Nats of each segment's targets by the segment's place, pass after pass.

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
        """Last hidden states, (sum of inputs, width), text after text; one pass."""
        sizes = [ids.size for ids in inputs]
        body = decoder(self.model)
        if self.rows == "packed":
            ids = torch.from_numpy(np.concatenate(inputs))[None].to(self.device)
            places = torch.cat([torch.arange(size) for size in sizes])[None].to(self.device)
            with attending_within(self.model, sizes):
                out = body(input_ids=ids, position_ids=places, use_cache=False)
            packed: Tensor = out.last_hidden_state[0]
            return packed
        out = body(input_ids=self._padded(inputs), use_cache=False)
        return torch.cat(
            [row[:size] for row, size in zip(out.last_hidden_state, sizes, strict=True)]
        )

    def _padded(self, inputs: Sequence[NDArray[np.int64]]) -> Tensor:
        """Rows padded on the right with their own first token, the prefix."""
        ids = np.empty((len(inputs), max(row.size for row in inputs)), dtype=np.int64)
        for padded, row in zip(ids, inputs, strict=True):
            padded[: row.size], padded[row.size :] = row, row[0]
        return torch.from_numpy(ids).to(self.device)


def keep_freed_memory() -> None:
    """Have glibc keep freed blocks of up to 32 MB for the next pass.

    By default it hands them back to the system, and every pass takes page faults for its
    activations anew: a sixth of the CPU time at 1,024 tokens a pass. glibc raises its threshold to
    the largest block that was freed; elsewhere this does nothing.
    """
    torch.zeros(GLIBC_LARGEST, dtype=torch.uint8)


def decoder(model: Any) -> Any:
    """The part of a causal LM whose last hidden states its output layer reads."""
    return model.get_decoder() or model.base_model


def is_out_of_memory(error: RuntimeError) -> bool:
    """Whether torch ran out of memory, on a GPU or in the machine's own."""
    return isinstance(error, torch.OutOfMemoryError) or "allocate memory" in str(error)


def batches(sizes: Sequence[int], batch_tokens: int, rows: Rows) -> Iterator[list[int]]:
    """Indices of texts that share a pass, longest first; one longer than the budget goes alone.

    Args:
        sizes: inputs of each text.
        batch_tokens: bound on the tokens of a pass, padding included.
        rows: how they lie; packed rows are filled first fit, the others hold texts of like length.
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
        place = next((b for b, free in enumerate(left) if free >= sizes[i]), len(bins))
        if place == len(bins):
            bins.append([])
            left.append(room)
        bins[place].append(i)
        left[place] -= sizes[i]
    return bins


# Attention within each text of a packed row ---------------------------------------------------


@dataclass(slots=True)
class _Row:
    """The row that is passing: sizes of its texts, and whether our attention was asked for."""

    sizes: list[int]
    attended: bool = False


_row = _Row([])


@contextmanager
def attending_within(model: Any, sizes: Sequence[int]) -> Iterator[None]:
    """While this holds, the model's attention keeps to texts of these sizes, end to end in a row.

    Raises:
        ValueError: the architecture does not let its attention be chosen.
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
    """Causal attention for each text of a row; query, key, value: (1, n_heads, n_tokens, width)."""
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
    """Who may see whom in a text longer than the sliding window, (size, size); else None."""
    if window is None or size <= window:
        return None
    place = torch.arange(size, device=device)
    ago = place[:, None] - place[None]
    return (ago >= 0) & (ago < window)


def _capped_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    scaling: float | None,
    cap: float,
) -> Tensor:
    """Attention whose scores pass through cap * tanh(score / cap), as Gemma-2's do."""
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
