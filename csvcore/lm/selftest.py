"""Self-test at load that chooses the fastest exact scoring method of a model.

The reference is transformers' full forward pass over one text alone. A packed row is accepted only
if a text's states are unchanged when its neighbours change, since attention that leaks between
texts raises no error (with a default cache or a mask of ones, losses were off by up to 13 nats).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor

from csvcore.errors import ModelError
from csvcore.lm.output_layer import Head, candidates
from csvcore.lm.passes import Losses, Passes, Rows, Segment, is_out_of_memory

SIZES = (9, 24, 14)  # tokens of the texts tried; a sliding window adds a longer one
# Configuration values beyond which a token no longer attends to all tokens before it.
WINDOW_NAMES = ("sliding_window", "attention_chunk_size", "attention_window_size", "index_topk")
T = TypeVar("T")


class Tolerance(NamedTuple):
    """Allowed differences between a scoring method and the reference, by dtype.

    loss: mean difference in nats. state: mean difference of states relative to their mean size.
    leak: the same, for texts when only their neighbours change.
    """

    loss: float
    state: float
    leak: float


TOLERANCE = {
    torch.float32: Tolerance(1e-4, 1e-4, 1e-6),
    torch.float16: Tolerance(2e-2, 1e-2, 2e-3),
    torch.bfloat16: Tolerance(1e-1, 5e-2, 1e-2),
}


@dataclass(frozen=True, slots=True)
class SelfTest:
    """Scoring method of a model, and its largest difference to the full forward pass, in nats.

    rows: see `passes`. head: chunked, or full if all logits are computed. notes: reasons against
    faster methods.
    """

    rows: Rows
    head: str
    difference: float
    notes: tuple[str, ...] = ()


class _Differs(Exception):
    """Failure of a scoring method to run or to reproduce the reference."""


def choose(
    model: Any, device: str, prefix: int, tokens: Sequence[int], longest: int
) -> tuple[Passes, SelfTest]:
    """Choose the fastest scoring method that reproduces the model's own losses.

    Args:
        model: a causal LM.
        device: device of its inputs.
        prefix: id of the prefix token.
        tokens: ids of some ordinary text that fits the context, repeated as often as needed.
        longest: inputs of the longest pass to come; shorter sliding windows are tested too.

    Raises:
        ModelError: even one text at a time, the model gives no finite losses.
    """
    texts = _texts(model, prefix, tokens, longest)
    alone = Passes(model, device, "alone", None)
    try:
        reference = _run_or_differ(lambda: alone.nll(texts, 1))
    except _Differs as reason:
        raise ModelError(f"it cannot score an ordinary text: {reason}") from reason
    if not all(np.isfinite(nll).all() for nll in reference):
        raise ModelError("it gives a loss that is not a number on an ordinary text")
    notes = []
    head = None
    try:
        head = _head(alone, texts, reference)
    except _Differs as reason:
        notes.append(f"all logits are made: {reason}")
    for rows in _ways(head):
        passes = Passes(model, device, rows, head)
        try:
            worst = _check(passes, texts, reference)
        except _Differs as reason:
            notes.append(f"not {rows}: {reason}")
        else:
            return passes, SelfTest(rows, "chunked" if head else "full", worst, tuple(notes))
    raise ModelError(f"its losses cannot be reproduced ({'; '.join(notes)})")


def _ways(head: Head | None) -> tuple[Rows, ...]:
    return ("packed", "padded", "alone") if head else ("padded", "alone")


def _texts(model: Any, prefix: int, tokens: Sequence[int], longest: int) -> list[Segment]:
    settings = model.config.get_text_config(decoder=True)
    sizes = [min(size, len(tokens)) for size in SIZES]
    for name in WINDOW_NAMES:
        window = getattr(settings, name, None)
        if isinstance(window, int) and 0 < window < longest:
            sizes.append(min(window + window // 8 + 1, longest))
    many = np.resize(np.asarray(tokens, dtype=np.int64), sum(sizes))
    texts = np.split(many, np.cumsum(sizes)[:-1])
    return [Segment(np.concatenate([[prefix], text[:-1]]), text) for text in texts]


def _head(alone: Passes, texts: Sequence[Segment], reference: Sequence[Losses]) -> Head:
    """Return the output layer that reproduces the model's losses from the decoder's states."""
    targets = torch.from_numpy(np.concatenate([text.targets for text in texts]))
    states = torch.cat([_states(alone, [text]) for text in texts])
    best = np.inf
    for head in candidates(alone.model):
        with torch.inference_mode():
            nll = head.nll(states, targets).cpu().numpy()
        off = float(np.abs(nll - np.concatenate(reference)).mean())
        if off <= TOLERANCE[alone.model.dtype].loss:
            return head
        best = min(best, off)
    raise _Differs(
        "its output layer is not a linear one"
        if best == np.inf
        else f"the output layer alone is off by {best:.2g} nats"
    )


def _check(passes: Passes, texts: Sequence[Segment], reference: Sequence[Losses]) -> float:
    """Return the largest difference to the reference, in nats; raise if it exceeds tolerance."""
    limit = TOLERANCE[passes.model.dtype]
    if passes.head is not None and passes.rows != "alone":
        alone = Passes(passes.model, passes.device, "alone", passes.head)
        states_alone = [_states(alone, [text]) for text in texts]
        distance = _distance(_states(passes, texts), torch.cat(states_alone))
        if distance > limit.state:
            raise _Differs(f"states are off by {100 * distance:.2g} %")
    if passes.rows == "packed":
        _check_leaks(passes, texts, limit.leak)
    losses = _run_or_differ(
        lambda: passes.nll(texts, sum(text.inputs.size for text in texts) * len(texts))
    )
    differences = np.abs(np.concatenate(losses) - np.concatenate(reference))
    if differences.mean() > limit.loss:
        raise _Differs(f"losses are off by {differences.mean():.2g} nats")
    return float(differences.max())


def _check_leaks(passes: Passes, texts: Sequence[Segment], limit: float) -> None:
    """Raise unless a text's states are unchanged when the text before it changes."""
    changed = list(texts)
    for i in range(0, len(texts), 2):
        changed[i] = Segment(np.roll(texts[i].inputs, 1), texts[i].targets)
    sizes = [text.inputs.size for text in texts]
    before = torch.split(_states(passes, texts), sizes)
    after = torch.split(_states(passes, changed), sizes)
    for i in range(1, len(texts), 2):
        moved = _distance(after[i], before[i])
        if moved > limit:
            raise _Differs(f"texts of a row see each other (states move by {100 * moved:.2g} %)")


def _states(passes: Passes, texts: Sequence[Segment]) -> Tensor:
    return _run_or_differ(lambda: passes.states([text.inputs for text in texts]))


def _run_or_differ(run: Callable[[], T]) -> T:
    """Return the result of `run`; raise `_Differs` for errors of torch and transformers.

    Unsuitable models cause errors of many types, so all but out-of-memory errors count.
    """
    try:
        return run()
    except (
        TypeError,
        ValueError,
        LookupError,
        AttributeError,
        RuntimeError,
        AssertionError,
    ) as error:
        if isinstance(error, RuntimeError) and is_out_of_memory(error):
            raise
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        raise _Differs(reason) from error


def _distance(states: Tensor, other: Tensor) -> float:
    """Return the mean difference relative to the mean size of `other`; inf if shapes differ."""
    if states.shape != other.shape:
        return float("inf")
    size = other.float().abs().mean()
    return float((states.float() - other.float()).abs().mean() / size)
