"""Scores that are made without accuracies, for the two-step forms.

Mean losses and answer probabilities of all text, of each source and of each task's own sources,
as the stack has them (`analysis.scores`). CSV and rank-token are not among them: their weights
have seen the accuracies that a backtest holds out.
"""

from collections.abc import Iterable, Sequence
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
    names = [name for name, _ in parts]
    score = np.array([np.concatenate(part) for part in parts.values()])
    probable = np.array([name.startswith((PROBABILITY, OWN_PROBABILITY)) for name in names])
    return ScoreTable(
        models=tuple(models),
        scores=tuple(
            candidate_label(name) + (f" of {task}" if task else "") for name, task in parts
        ),
        # log(1 + exp(x)) of x = -logit p is -log p.
        score=np.maximum(np.where(probable[:, None], np.logaddexp(0, score), score), LEAST_SCORE),
        probable=probable,
        uses=np.array([[owner in ("", task.task) for _, owner in parts] for task in tasks]),
    )


def _scores(nll: Floats, text: Text, tasks: Sequence[Task]) -> dict[tuple[str, str], Floats]:
    """Return scores by name and the task that alone uses them, "" for all tasks."""
    shared = source_scores(nll, text)
    scores = {(name, ""): score for name, score in shared.items()}
    for task in tasks:
        for name, score in task_scores(nll, text, task).items():
            if name == "all-token":
                scores[name, ""] = score
            elif not any(np.array_equal(score, other) for other in shared.values()):
                scores[name, task.task] = score
    return scores


def answer_edges(doc: Document) -> Ints:
    """Return the byte boundaries of the pieces that its answers cut a document into."""
    cuts = {0, doc.n_bytes}
    for start, end in byte_spans(doc.text, doc.answers):
        cuts |= {start, end}
    return np.array(sorted(cuts), dtype=np.int64)
