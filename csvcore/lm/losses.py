"""Token losses and hidden states of documents."""

import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from csvcore.errors import ModelError
from csvcore.lm.encoding import Encoding, Window, encode, windows
from csvcore.lm.loading import PROBE, LanguageModel
from csvcore.lm.passes import Losses, Segment, batches
from csvcore.records import Document, TokenLosses

CPU_BATCH, GPU_BATCH = 512, 16384  # tokens a pass; larger ones are no faster on a CPU
UNBOUNDED = 1 << 20  # tokens in one window where neither the model nor the caller sets a bound


def score(
    lm: LanguageModel,
    docs: Sequence[Document],
    batch_tokens: int | None = None,
    context: int | None = None,
    stride: int | None = None,
    report: Callable[[int, int], None] = lambda done, total: None,
    encodings: Sequence[Encoding] | None = None,
) -> Iterator[TokenLosses]:
    """Yield the per-token nll of each document, in corpus order, each token scored exactly once.

    A document longer than the context is cut into overlapping windows. Each starts with the prefix
    token, which is context only and never scored.

    Args:
        lm: a loaded model.
        docs: the corpus, or a part of it.
        batch_tokens: bound on the tokens of one forward pass.
        context: most tokens of a window, where less than the model's own.
        stride: tokens by which windows advance; default half the context.
        report: called with (documents begun, documents) after every pass; may raise to stop.
        encodings: the documents' tokens, if already encoded.

    Raises:
        ModelError: a loss is not a number, or one window alone does not fit in memory.
    """
    encoded = encodings or [encode(lm.tokenizer, doc.text) for doc in docs]
    owners, segments = cut(lm, encoded, context, stride)
    parts: dict[int, Losses] = {}
    try:
        for batch in lm.passes.in_batches(
            segments, batch_tokens or default_batch(lm.passes.device)
        ):
            parts |= batch
            report(len({owners[part] for part in parts}), len(docs))
    except torch.OutOfMemoryError as error:
        raise ModelError(
            f"{lm.name}: one window of at most {window_size(lm.max_tokens, context)} tokens alone "
            "does not fit in memory; give a smaller --context"
        ) from error
    yield from put_together(
        lm.name, docs, encoded, owners, [parts[i] for i in range(len(segments))]
    )


def cut(
    lm: LanguageModel, encodings: Sequence[Encoding], context: int | None, stride: int | None
) -> tuple[list[int], list[Segment]]:
    """Cut documents into windows after the prefix; return each window's document and segment.

    Args:
        lm: the model, for its prefix and its own bound.
        encodings: the documents' tokens.
        context: most tokens of a window, where less than the model's own.
        stride: tokens by which windows advance; default half the context.
    """
    room = window_size(lm.max_tokens, context)
    owners: list[int] = []
    segments: list[Segment] = []
    for i, encoding in enumerate(encodings):
        for window in windows(len(encoding.token_ids), room, stride or max(1, room // 2)):
            owners.append(i)
            segments.append(_segment(lm, encoding, window))
    return owners, segments


def put_together(
    model: str,
    docs: Sequence[Document],
    encodings: Sequence[Encoding],
    owners: Sequence[int],
    parts: Sequence[Losses],
) -> Iterator[TokenLosses]:
    """Yield the losses of documents from the losses of their windows; the inverse of `cut`.

    Raises:
        ModelError: a loss is not a number.
    """
    for i, (doc, encoding) in enumerate(zip(docs, encodings, strict=True)):
        window_losses = [part for part, owner in zip(parts, owners, strict=True) if owner == i]
        yield _token_losses(model, doc, encoding, np.concatenate(window_losses))


def _token_losses(model: str, doc: Document, encoding: Encoding, nll: Losses) -> TokenLosses:
    if not np.isfinite(nll).all():
        raise ModelError(f"{model} gives a loss that is not a number on {doc.doc_id}")
    edges = encoding.tiling.edges
    return TokenLosses(
        model=model,
        doc_id=doc.doc_id,
        byte_start=edges[:-1],
        byte_end=edges[1:],
        nll=np.maximum(nll, 0.0).astype(np.float64),  # rounding can leave -1e-7
        token_id=np.array(encoding.token_ids, dtype=np.int64),
    )


def _segment(lm: LanguageModel, encoding: Encoding, window: Window) -> Segment:
    tokens = np.array(encoding.token_ids[window.start : window.stop], dtype=np.int64)
    inputs = np.concatenate([[lm.prefix.token_id], tokens[:-1]])
    return Segment(inputs, tokens[window.score_from - window.start :])


def window_size(max_tokens: int | None, context: int | None) -> int:
    """Return the most tokens of a window: the smaller of the model's and the caller's bound."""
    return min(max_tokens or UNBOUNDED, context or UNBOUNDED)


def default_batch(device: str) -> int:
    """Return the default tokens of one forward pass on a device."""
    return CPU_BATCH if device == "cpu" else GPU_BATCH


def hidden_states(
    lm: LanguageModel, texts: Sequence[str], batch_tokens: int | None = None
) -> Iterator[tuple[Encoding, NDArray[np.float32]]]:
    """Yield each text's encoding and last hidden states, the scoring head's input in equation 3.

    Texts in order; states (n_tokens, width) after the model's final norm.
    """
    encodings = [encode(lm.tokenizer, text) for text in texts]
    room = max(1, window_size(lm.max_tokens, None) - 1)  # here the last token is an input too
    parts = [
        (i, window)
        for i, encoding in enumerate(encodings)
        for window in windows(len(encoding.token_ids), room, max(1, room // 2))
    ]
    inputs = [
        np.array([lm.prefix.token_id, *encodings[i].token_ids[w.start : w.stop]], dtype=np.int64)
        for i, w in parts
    ]
    sizes = [ids.size for ids in inputs]
    states: dict[int, NDArray[np.float32]] = {}
    for batch in batches(sizes, batch_tokens or default_batch(lm.passes.device), lm.passes.rows):
        rows = lm.passes.states([inputs[p] for p in batch]).float().cpu()
        for p, row in zip(batch, torch.split(rows, [sizes[p] for p in batch]), strict=True):
            _, window = parts[p]
            states[p] = row[1 + window.score_from - window.start :].numpy().copy()
    for i, encoding in enumerate(encodings):
        window_states = [states[p] for p, (owner, _) in enumerate(parts) if owner == i]
        yield encoding, np.concatenate(window_states)


def tokens_per_second(lm: LanguageModel, batch_tokens: int | None = None) -> float:
    """Measure tokens per second on one batch of a repeated ordinary text."""
    size = batch_tokens or default_batch(lm.passes.device)
    length = min(256, size, window_size(lm.max_tokens, None))
    tokens = np.resize(np.array(encode(lm.tokenizer, PROBE).token_ids, dtype=np.int64), length)
    segment = Segment(np.concatenate([[lm.prefix.token_id], tokens[:-1]]), tokens)
    segments = [segment] * max(1, size // length)
    started = time.perf_counter()
    lm.passes.nll(segments, size)
    return length * len(segments) / (time.perf_counter() - started)
