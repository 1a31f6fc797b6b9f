"""Scores that are made without accuracies, for the two-step forms.

Mean losses and answer probabilities of all text, of each source and of each task's own sources,
as the stack has them (`analysis.scores`). CSV and rank-token are not among them: their weights
have seen the accuracies that a backtest holds out.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from csvcore.alignment import Aligner
from csvcore.analysis.scores import (
    OWN_PROBABILITY,
    PROBABILITY,
    Text,
    candidate_label,
    source_scores,
    task_scores,
)
from csvcore.records import Document, Floats, Ints, Mask, ModelLosses, Task
from csvcore.salience import byte_spans

LEAST_SCORE = 1e-6  # a score is a positive quantity


@dataclass(frozen=True, slots=True)
class ScoreTable:
    """Scores of models, as in `ladder.Ladder`.

    models: (n_models,) names. scores: (n_scores,) names for people. score: (n_scores, n_models).
    probable: (n_scores,). uses: (n_tasks, n_scores) in the order of the tasks.
    """

    models: tuple[str, ...]
    scores: tuple[str, ...]
    score: Floats
    probable: Mask
    uses: Mask


def score_table(
    docs: Sequence[Document], tasks: Sequence[Task], losses: Iterable[Sequence[ModelLosses]]
) -> ScoreTable:
    """Return the scores of models from their losses.

    The units are the pieces that answers cut documents into, so they are few whatever the corpus.

    Args:
        docs: the corpus.
        tasks: those to forecast.
        losses: of models on all documents, a part of the models at a time.
    """
    edges = [answer_edges(doc) for doc in docs]
    aligner = Aligner([doc.text for doc in docs], edges)
    n_units = sum(cuts.size - 1 for cuts in edges)
    text = Text(docs, edges, np.ones(n_units, dtype=bool), sum(len(doc.text) for doc in docs))
    models: list[str] = []
    parts: dict[tuple[str, str], list[Floats]] = {}
    for batch in losses:
        nll = np.stack([aligner.map(entry) for entry in batch])
        models += [entry.model for entry in batch]
        for key, score in _scores(nll, text, tasks).items():
            parts.setdefault(key, []).append(score)
    scores = _distinct({key: np.concatenate(part) for key, part in parts.items()})
    names = [name for name, _ in scores]
    score = np.array(list(scores.values()))
    probable = np.array([name.startswith((PROBABILITY, OWN_PROBABILITY)) for name in names])
    return ScoreTable(
        models=tuple(models),
        scores=tuple(
            candidate_label(name) + (f" of {task}" if task else "") for name, task in scores
        ),
        # log(1 + exp(x)) of x = -logit p is -log p.
        score=np.maximum(np.where(probable[:, None], np.logaddexp(0, score), score), LEAST_SCORE),
        probable=probable,
        uses=np.array([[owner in ("", task.task) for _, owner in scores] for task in tasks]),
    )


def _scores(nll: Floats, text: Text, tasks: Sequence[Task]) -> dict[tuple[str, str], Floats]:
    """Return scores by name and the task that alone uses them, "" for all tasks."""
    scores = {(name, ""): score for name, score in source_scores(nll, text).items()}
    for task in tasks:
        for name, score in task_scores(nll, text, task).items():
            scores[name, "" if name == "all-token" else task.task] = score
    return scores


def _distinct(scores: Mapping[tuple[str, str], Floats]) -> dict[tuple[str, str], Floats]:
    """Return the scores less those of single tasks that a score of all tasks repeats.

    All models together decide, since scores may be the same in a part of them by chance.
    """
    shared = [score for (_, owner), score in scores.items() if not owner]
    return {
        key: score
        for key, score in scores.items()
        if not key[1] or not any(np.array_equal(score, other) for other in shared)
    }


def answer_edges(doc: Document) -> Ints:
    """Return the byte boundaries of the pieces that its answers cut a document into."""
    cuts = {0, doc.n_bytes}
    for start, end in byte_spans(doc.text, doc.answers):
        cuts |= {start, end}
    return np.array(sorted(cuts), dtype=np.int64)
