"""Weights of tokens and the capability score they make of a model's losses (equation 1)."""

import re
from collections.abc import Iterable, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from csvcore.alignment import Aligner
from csvcore.errors import InputError
from csvcore.records import Document, Floats, Ints, ModelLosses

Label = Literal["per-char", "per-byte", "per-token", "sum"]
LabelSpans = Literal["all", "last", "letter", "text"]
BLOCK = 8192  # tokens summed in one product
_LETTER = re.compile(r"\(?[A-Z]\)?")
_RESULT = re.compile(r"= ?(\d+)|has the (\w+)")
_STATE = re.compile(r"Now [^.]*")
_HELD = re.compile(r"[A-Z][a-z]+ ([a-z]+)")


def capability_score(weight: Floats, nll: NDArray[np.floating], n_chars: int) -> Floats:
    """Weighted nll per character of the validation text, C_m of equation 1; lower is better.

    Args:
        weight: (n_tokens,) salience of each target token, one vector for all models; or
            (n_heads, n_tokens), several at once.
        nll: (n_models, n_tokens) nats, mapped to the target tokens.
        n_chars: characters of the validation text, N_c.

    Returns:
        (n_models,) or (n_heads, n_models), nats per character; sums are in float64.
    """
    if nll.ndim != 2 or weight.shape[-1:] != nll.shape[1:]:
        raise InputError(f"{weight.shape} weights for losses of shape {nll.shape}")
    if n_chars < 1:
        raise InputError(f"a score per character needs characters, got {n_chars}")
    total = np.zeros((*weight.shape[:-1], nll.shape[0]))
    for at in range(0, nll.shape[1], BLOCK):
        span = slice(at, at + BLOCK)
        total += weight[..., span] @ nll[:, span].T.astype(np.float64)
    return total / n_chars


def partial_scores(
    weight: Floats, nll: NDArray[np.floating], source: Ints, n_sources: int, n_chars: int
) -> Floats:
    """What each source adds to every model's score, (n_models, n_sources), nats per character.

    With weights given the score is the sum over sources, so leaving one out or counting it twice
    needs no look at the tokens.

    Args:
        weight: (n_tokens,) salience.
        nll: (n_models, n_tokens) nats.
        source: (n_tokens,) index of each token's source.
        n_sources: number of sources.
        n_chars: N_c of equation 1.
    """
    own = weight * (source == np.arange(n_sources)[:, None])  # (n_sources, n_tokens)
    return capability_score(own, nll, n_chars).T


def strongest_source(docs: Sequence[Document], edges: Sequence[Ints], weight: Floats) -> str:
    """Return the source whose tokens carry the largest share of the absolute weight.

    It is the total over the source's tokens, not their mean, so a source of many light tokens can
    precede one of few heavy tokens. Of equal sources it is the first in the corpus.

    Args:
        docs: the corpus, at least one document, in order.
        edges: for each document its (n_tokens + 1,) byte boundaries.
        weight: (sum of n_tokens,) salience.
    """
    total: dict[str, float] = {}
    ends = np.cumsum([0, *(cuts.size - 1 for cuts in edges)])
    for doc, start, end in zip(docs, ends[:-1], ends[1:], strict=True):
        total[doc.source] = total.get(doc.source, 0.0) + float(np.abs(weight[start:end]).sum())
    return max(total, key=total.__getitem__)


def uniform_weight(n_tokens: int) -> Floats:
    """Weights of the all-token baseline: every token counts once."""
    return np.ones(n_tokens)


def label_weight(
    docs: Sequence[Document],
    edges: Sequence[Ints],
    sources: Sequence[str],
    label: Label = "per-char",
    spans: LabelSpans = "all",
) -> Floats:
    """Weights of the label-token baseline: positive on tokens that touch an answer, else zero.

    Each document counts once: its answer's nll, divided by the answer's characters (Llama 3's
    normalised nll, the default), UTF-8 bytes or tokens, or not divided ("sum"). spans says which
    answer spans count: all, the last alone (a worked text's final answer), or only those that are
    a single letter, as "B" or "(B)", or only the others.

    Args:
        docs: the corpus, in order.
        edges: for each document its (n_tokens + 1,) byte boundaries of target tokens.
        sources: the task's sources; none means every source.
        label: what an answer's nll is divided by.
        spans: which spans are the answer.

    Returns:
        (sum of n_tokens,).

    Raises:
        InputError: no document of these sources has such an answer span.
    """
    weights = []
    for doc, cuts in zip(docs, edges, strict=True):
        weight = np.zeros(cuts.size - 1)
        chosen = _label_spans(doc, sources, spans)
        if chosen:
            hit = touches(cuts[:-1], cuts[1:], _in_bytes(doc.text, chosen))
            answer = "".join(doc.text[start:end] for start, end in chosen)
            sizes = {"per-char": len(answer), "per-byte": len(answer.encode()), "sum": 1}
            weight[hit] = 1.0 / max(sizes.get(label, int(hit.sum())), 1)
        weights.append(weight)
    whole = np.concatenate(weights)
    if not whole.any():
        kind = "" if spans == "all" else f" ({spans})"
        raise InputError(
            f"no answer spans{kind} in the documents of {', '.join(sources) or 'any source'}; "
            "label-token needs `answers` in documents.jsonl"
        )
    return whole


def answer_share(
    docs: Sequence[Document],
    edges: Sequence[Ints],
    sources: Sequence[str],
    weight: Floats,
    spans: LabelSpans = "all",
) -> float:
    """How much of the text that label-token counts is answers, in (0, 1] of its UTF-8 bytes.

    weight is what `label_weight` returned for the same documents, edges, sources and spans.
    """
    answers = sum(
        touches(np.arange(cuts[-1]), np.arange(1, cuts[-1] + 1), _in_bytes(doc.text, chosen)).sum()
        for doc, cuts in zip(docs, edges, strict=True)
        if (chosen := _label_spans(doc, sources, spans))
    )
    size = np.concatenate([np.diff(cuts) for cuts in edges])
    return float(answers / size[weight > 0].sum())


def _label_spans(doc: Document, sources: Sequence[str], spans: LabelSpans) -> list[tuple[int, int]]:
    """The document's answer spans of this kind, in characters; none of other sources."""
    if sources and doc.source not in sources:
        return []
    if spans == "last":
        return list(doc.answers[-1:])
    if spans == "all":
        return list(doc.answers)
    letters = [_LETTER.fullmatch(doc.text[start:end].strip()) for start, end in doc.answers]
    wanted = spans == "letter"
    return [
        span
        for span, letter in zip(doc.answers, letters, strict=True)
        if (letter is not None) == wanted
    ]


def source_weight(
    docs: Sequence[Document], edges: Sequence[Ints], sources: Sequence[str]
) -> Floats:
    """Weights of the source-token baseline: 1 on every token of these sources, else 0.

    Raises:
        InputError: the task names no source, or the corpus has no document of them.
    """
    if not sources:
        raise InputError("source-token needs the task's sources; name them in tasks.csv")
    own = [float(doc.source in sources) for doc in docs]
    whole = np.repeat(own, [cuts.size - 1 for cuts in edges])
    if not whole.any():
        raise InputError(f"the corpus has no document of {', '.join(sources)}")
    return whole


def answer_bytes(doc: Document) -> list[tuple[int, int]]:
    """The document's answer spans in UTF-8 bytes."""
    return _in_bytes(doc.text, doc.answers)


def result_bytes(text: str) -> list[tuple[int, int]]:
    """Where worked steps state their results, in UTF-8 bytes.

    The number behind "= ", the word behind "has the ", and in a clause that begins with "Now" the
    word behind each name.
    """
    spans = [found.span(found.lastindex or 0) for found in _RESULT.finditer(text)]
    for state in _STATE.finditer(text):
        spans += [found.span(1) for found in _HELD.finditer(text, state.start() + 4, state.end())]
    return _in_bytes(text, spans)


def _in_bytes(text: str, spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    return [(len(text[:start].encode()), len(text[:end].encode())) for start, end in spans]


def touches(starts: Ints, ends: Ints, spans: Sequence[tuple[int, int]]) -> NDArray[np.bool_]:
    """Which tokens share a byte with any of the spans, (n_tokens,)."""
    hit = np.zeros(starts.size, dtype=bool)
    for start, end in spans:
        hit |= (starts < end) & (ends > start)
    return hit


def unstable(weight: Floats, spread: Floats) -> NDArray[np.bool_]:
    """Which weights could turn their sign or their rank, (n_tokens,).

    Those within one spread of zero, or of the median weight: another draw of the training runs
    might say that the token counts the other way, or more than half of the tokens where it now
    counts less.

    Args:
        weight: (n_tokens,) salience.
        spread: (n_tokens,) its standard deviation over bootstrap draws.
    """
    middle = float(np.median(weight))
    return np.asarray((np.abs(weight) < spread) | (np.abs(weight - middle) < spread))


def mean_absolute(weight: Floats) -> float:
    """Scale of a weight vector; w, alpha, beta and w / c, alpha * c, beta / c are the same fit."""
    scale = float(np.mean(np.abs(weight)))
    if scale == 0.0:
        raise InputError("all weights are zero; a score needs at least one token that counts")
    return scale


def document_losses(text: str, edges: Ints, losses: Sequence[ModelLosses]) -> Floats:
    """Models' losses on one document, on the same tokens: (n_models, n_tokens) nats.

    Args:
        text: the document.
        edges: (n_tokens + 1,) byte boundaries of the tokens to map to.
        losses: each model's losses on this document alone.
    """
    aligner = Aligner([text], [edges])
    mapped = [aligner.map(entry) for entry in losses]
    return np.array(mapped, dtype=np.float64).reshape(len(losses), edges.size - 1)
