"""Weights that are not learnt: the baselines, and what learnt weights may be pulled towards."""

from collections.abc import Mapping, Sequence

import numpy as np

from csvcore import salience
from csvcore.errors import InputError
from csvcore.fitting import label_weights
from csvcore.fitting.dataset import Dataset, TaskModels
from csvcore.fitting.label_weights import Label, LabelSpans
from csvcore.optimise import Singles
from csvcore.records import Floats, Method, Task
from csvcore.scaling import fit_sigmoid_laws

WEIGHTED_METHODS: tuple[Method, ...] = (
    *("csv", "all-token", "label-token", "source-token", "best-source"),
)
# Baselines that CSV weights may be pulled towards, beside all-token.
LABEL_SHARE = 0.25  # of counted text; " B" for "B" is half, and a word with its mark a third
PULLS: tuple[Method, ...] = ("source-token", "label-token")
# What a pull leaves of the tokens its baseline does not count, so that a head can raise them again.
REST = 0.05


def pulls(
    data: Dataset, chosen: Mapping[str, TaskModels], tasks: Sequence[str]
) -> tuple[dict[str, dict[str, int]], Singles]:
    """Baselines that each task's weights may be pulled towards: rows by name, and the rows.

    Mean 1 each; what a baseline does not count keeps REST of the weight.
    """
    rows = [np.ones(data.nll.shape[1])]
    names: dict[str, dict[str, int]] = {task: {"all-token": 0} for task in tasks}
    for task in tasks:
        for method in PULLS:
            if not possible(method, chosen[task].task, data):
                continue
            softened = REST + (1.0 - REST) * (fixed_weight(data, method, chosen[task]) > 0)
            row = softened / softened.mean()
            if not any(np.array_equal(row, rows[known]) for known in names[task].values()):
                names[task][method] = len(rows)
                rows.append(row)
    return names, np.array(rows, dtype=np.float32)


def possible(method: Method, task: Task, data: Dataset) -> bool:
    """Whether the corpus has what a baseline needs for this task."""
    own = [doc for doc in data.docs if not task.sources or doc.source in task.sources]
    if method == "label-token":
        return any(doc.answers for doc in own)
    if method == "best-source":
        return len({doc.source for doc in data.docs}) > 1
    return method != "source-token" or bool(task.sources and own)


def fixed_weight(
    data: Dataset,
    method: Method,
    chosen: TaskModels,
    label: Label = "per-char",
    label_spans: LabelSpans = "all",
) -> Floats:
    """Weights of a baseline: (n_tokens,), nothing learnt but best-source's choice of a source."""
    docs, edges, sources = data.docs, data.units.edges, chosen.task.sources
    if method == "all-token":
        return label_weights.uniform_weight(data.nll.shape[1])
    if method == "label-token":
        return label_weights.label_weight(docs, edges, sources, label, label_spans)
    if method == "source-token":
        return label_weights.source_weight(docs, edges, sources)
    if method == "best-source":
        return _best_source(data, chosen)
    raise InputError(f"method must be one of {', '.join(WEIGHTED_METHODS)}, got {method!r}")


def baseline_notes(
    data: Dataset, method: Method, chosen: TaskModels, weight: Floats, label_spans: LabelSpans
) -> tuple[str, ...]:
    """What is unsure about a baseline's weights: whether label-token counts mostly other text."""
    if method != "label-token":
        return ()
    share = label_weights.answer_share(
        data.docs, data.units.edges, chosen.task.sources, weight, label_spans
    )
    if share >= LABEL_SHARE:
        return ()
    return (
        f"coarse: {share:.0%} of the text that label-token counts is answers, the rest lies in the "
        "same units; finer losses would tell them apart",
    )


def _best_source(data: Dataset, chosen: TaskModels) -> Floats:
    """1 on the tokens of the one source whose mean loss does best on validation, else on train."""
    names, source = data.sources()
    own = (source == np.arange(len(names))[:, None]) & data.counts  # (n_sources, n_tokens)
    score = salience.capability_score(own.astype(np.float64), data.nll[chosen.rows], data.n_chars)
    train = chosen.on("train")
    judges = chosen.on("validation") if chosen.on("validation").any() else train
    gamma = np.full(len(names), chosen.task.chance)
    accuracy = np.tile(chosen.accuracy, (len(names), 1))
    share = np.tile(train / train.sum(), (len(names), 1))
    wrong = fit_sigmoid_laws(score, accuracy, gamma, share).predict(score, gamma) - accuracy
    best = int(np.argmin(np.square(wrong[:, judges]).mean(axis=1)))
    return np.asarray(own[best], dtype=np.float64)
