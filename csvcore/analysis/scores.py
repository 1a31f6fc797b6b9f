"""Simple scores of a model's losses: mean losses, probabilities of answers, compute."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from csvcore import salience
from csvcore.analysis import label_weights
from csvcore.analysis.trivial_baselines import log_flops
from csvcore.errors import InputError
from csvcore.methods import has_answers, has_task_sources, label
from csvcore.records import Candidate, Document, Floats, Ints, Mask, ModelCard, Task
from csvcore.salience import BLOCK, byte_spans, touches

OWN_SOURCE, OWN_ANSWERS, OWN_PROBABILITY = "source-token", "label-token", "label-probability"
SOURCE, PROBABILITY = "source:", "probability:"  # and a source: scores of that source alone
COMPUTE = "compute"  # minus log10 of training FLOPs
MANY_SOURCES = 30  # more are too many for a score each
COUNTS = "counts"  # name of the stored weights that tell which units count
LEAST_LOG = -700.0  # of a probability; exp of less is 0 in double precision


@dataclass(frozen=True, slots=True)
class Text:
    """The text that losses stand for: documents, their units, and which of them count.

    edges: for each document its (n_tokens + 1,) byte boundaries. counts: (sum of n_tokens,) mask.
    n_chars: characters of the units that count.
    """

    docs: Sequence[Document]
    edges: Sequence[Ints]
    counts: Mask
    n_chars: int

    @property
    def starts(self) -> Ints:
        """Return the first unit of each document, and the number of all, (n_docs + 1,)."""
        return np.cumsum([0, *(cuts.size - 1 for cuts in self.edges)])


ScoreFunction = Callable[[NDArray[np.floating], Text, Task], Floats]
SCORES: dict[str, ScoreFunction] = {}  # by name of the method, as in `methods.METHODS`


def score(name: str) -> Callable[[ScoreFunction], ScoreFunction]:
    """Register the function that gives a method's score of every model, (n_models,)."""

    def register(function: ScoreFunction) -> ScoreFunction:
        SCORES[name] = function
        return function

    return register


@score("label-probability")
def _label_probability(nll: NDArray[np.floating], text: Text, task: Task) -> Floats:
    return answer_probability(nll, text, task.sources)


def answer_probability(
    nll: NDArray[np.floating], text: Text, sources: Sequence[str], answers_only: bool = True
) -> Floats:
    """Return -logit of the mean probability of the answers, (n_models,); lower is better.

    The probability of an answer is exp(-nll) of the units that touch it. Probabilities tell more
    than losses where a model knows some answers and not others: one unknown answer can raise a
    mean loss more than ten known ones lower it.

    Args:
        nll: (n_models, n_tokens) nats on the text's units.
        text: documents and units.
        sources: those whose answers count; none means every source.
        answers_only: whether a document without answers is left out; otherwise its whole text is
            its answer.

    Raises:
        InputError: no document of these sources has an answer.
    """
    spans = []
    for doc, cuts, start in zip(text.docs, text.edges, text.starts[:-1], strict=True):
        if sources and doc.source not in sources:
            continue
        if doc.answers:
            hits = [
                touches(cuts[:-1], cuts[1:], [span]) for span in byte_spans(doc.text, doc.answers)
            ]
            spans += [start + np.flatnonzero(hit) for hit in hits]
        elif not answers_only:
            spans.append(np.arange(start, start + cuts.size - 1))
    if not spans:
        raise InputError(
            f"no answer spans in the documents of {', '.join(sources) or 'any source'}; "
            "label-probability needs `answers` in documents.jsonl"
        )
    log_p = -_sums(nll * text.counts, spans)  # (n_models, n_spans)
    mean = np.logaddexp.reduce(log_p, axis=1) - np.log(len(spans))
    mean = np.clip(mean, LEAST_LOG, -1e-12)
    return np.asarray(np.log(-np.expm1(mean)) - mean, dtype=np.float64)


def _sums(nll: NDArray[np.floating], spans: Sequence[Ints]) -> Floats:
    """Return the loss of every model on every span of units, (n_models, n_spans) nats."""
    total = np.empty((nll.shape[0], len(spans)))
    for at in range(0, len(spans), BLOCK):
        block = spans[at : at + BLOCK]
        starts = np.cumsum([0, *(span.size for span in block[:-1])])
        part = nll[:, np.concatenate(block)].astype(np.float64)
        total[:, at : at + BLOCK] = np.add.reduceat(part, starts, axis=1)
    return total


def candidate_label(name: str) -> str:
    """Return the name of a stack's candidate for people."""
    if name.startswith(SOURCE):
        return f"Loss of {name.removeprefix(SOURCE)}"
    if name.startswith(PROBABILITY):
        return f"Answer probability of {name.removeprefix(PROBABILITY)}"
    return label(name)


def merged(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Join candidates of one law, which are one score under several names, the largest first.

    The only source of a task is the score of that source and of the task's sources.
    """
    by_law: dict[tuple[float, float], Candidate] = {}
    for one in candidates:
        law = (one.alpha, one.beta)
        if law in by_law:
            by_law[law] = replace(by_law[law], weight=by_law[law].weight + one.weight)
        else:
            by_law[law] = one
    return sorted(by_law.values(), key=lambda one: -one.weight)


def mix_sentence(candidates: Sequence[Candidate], least: float = 0.05) -> str:
    """Return the shares of a stack's candidates in words, those of at least `least` by name.

    Args:
        candidates: of a stack.
        least: share.
    """
    named = [one for one in merged(candidates) if one.weight >= least]
    rest = 1.0 - sum(one.weight for one in named)
    parts = [f"{one.weight:.0%} {candidate_label(one.name)}" for one in named]
    if rest >= 0.005:
        parts.append(f"{rest:.0%} others")
    return ", ".join(parts)


def compute_score(cards: Sequence[ModelCard]) -> Floats | None:
    """Return minus log10 of training FLOPs, (n_models,); None if a model's are not known."""
    if all(card.n_params and card.train_tokens for card in cards):
        return -log_flops(cards)
    return None


def source_scores(nll: NDArray[np.floating], text: Text) -> dict[str, Floats]:
    """Return the mean loss and the answer probability of every source, (n_models,) each.

    None of a text of a single source, or of more than MANY_SOURCES.
    """
    sources = sorted({doc.source for doc in text.docs})
    if not 1 < len(sources) <= MANY_SOURCES:
        return {}
    number = np.repeat([sources.index(doc.source) for doc in text.docs], np.diff(text.starts))
    weight = text.counts.astype(np.float64)
    part = salience.partial_scores(weight, nll, number, len(sources), text.n_chars)
    scores = {SOURCE + name: part[:, at] for at, name in enumerate(sources)}
    for name in sources:
        scores[PROBABILITY + name] = answer_probability(nll, text, [name], answers_only=False)
    return scores


def task_scores(nll: NDArray[np.floating], text: Text, task: Task) -> dict[str, Floats]:
    """Return the mean loss of all text, of the task's sources and of their answers, and P of these.

    (n_models,) each; without those that the text does not have.
    """
    counts = text.counts.astype(np.float64)
    weights = {"all-token": counts}
    if has_task_sources(text.docs, task):
        weights[OWN_SOURCE] = counts * label_weights.source_weight(
            text.docs, text.edges, task.sources
        )
    answers = has_answers(text.docs, task)
    if answers:
        weights[OWN_ANSWERS] = counts * label_weights.label_weight(
            text.docs, text.edges, task.sources
        )
    rows = salience.capability_score(np.array(list(weights.values())), nll, text.n_chars)
    scores = dict(zip(weights, rows, strict=True))
    if answers:
        scores[OWN_PROBABILITY] = answer_probability(nll, text, task.sources)
    return scores
