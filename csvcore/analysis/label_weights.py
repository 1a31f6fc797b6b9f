"""Token weights of the baselines: all tokens, label tokens, tokens of some sources."""

import re
from collections.abc import Sequence
from typing import Literal

import numpy as np

from csvcore.errors import InputError
from csvcore.records import Document, Floats, Ints
from csvcore.salience import byte_spans, touches

Label = Literal["per-char", "per-byte", "per-token", "sum"]


LabelSpans = Literal["all", "last", "letter", "text"]


_LETTER = re.compile(r"\(?[A-Z]\)?")


def uniform_weight(n_tokens: int) -> Floats:
    """Return the weights of the all-token baseline: every token counts once."""
    return np.ones(n_tokens)


def label_weight(
    docs: Sequence[Document],
    edges: Sequence[Ints],
    sources: Sequence[str],
    label: Label = "per-char",
    spans: LabelSpans = "all",
) -> Floats:
    """Return the weights of label-token: positive on tokens that touch an answer, else zero.

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
            hit = touches(cuts[:-1], cuts[1:], byte_spans(doc.text, chosen))
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
    """Return the share of answers in label-token's text, in (0, 1] of its bytes.

    weight is the result of `label_weight` for the same documents, edges, sources and spans.
    """
    answers = sum(
        touches(np.arange(cuts[-1]), np.arange(1, cuts[-1] + 1), byte_spans(doc.text, chosen)).sum()
        for doc, cuts in zip(docs, edges, strict=True)
        if (chosen := _label_spans(doc, sources, spans))
    )
    size = np.concatenate([np.diff(cuts) for cuts in edges])
    return float(answers / size[weight > 0].sum())


def _label_spans(doc: Document, sources: Sequence[str], spans: LabelSpans) -> list[tuple[int, int]]:
    """Return the document's answer spans of this kind, in characters; none of other sources."""
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
    """Return the weights of source-token: 1 on every token of these sources, else 0.

    Raises:
        InputError: the task names no source, or the corpus has no document of them.
    """
    if not sources:
        raise InputError("source-token needs the task's sources; name them in tasks.csv")
    in_sources = [float(doc.source in sources) for doc in docs]
    whole = np.repeat(in_sources, [cuts.size - 1 for cuts in edges])
    if not whole.any():
        raise InputError(f"the corpus has no document of {', '.join(sources)}")
    return whole
