"""Tables of data/README.md: noise floors and best single scores of each task, decayed ends."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import logit

from csvcore.formats import csv_tables, loss_packs
from csvcore.records import Document, Floats, Ints
from csvcore.scaling import fit_sigmoid_laws

RISEN = 0.7  # a family has an ability where its best checkpoint is above this
N_HALVES = 200  # random halves of the items behind an item-level floor
SEED = re.compile(r"-seed\d+")


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the table: one task; floors and noises are variances of an accuracy.

    risen: families whose best checkpoint is above RISEN. low, high: smallest and largest accuracy.
    binomial: mean of p (1 - p) / n. item: see `item_floor`. seed: variance between runs with
    different seeds. rough: see `roughness`. curve_mse: of one law fitted to all models by `score`,
    the best single score.
    """

    task: str
    risen: tuple[str, ...]
    low: float
    high: float
    binomial: float
    item: float
    seed: float
    rough: float
    curve_mse: float
    score: str


def rows(zoo: Path) -> Iterator[Row]:
    """Yield a row for each task of a published zoo."""
    cards = pd.read_csv(zoo / "models.csv").set_index("model")
    items = pd.read_parquet(zoo / "items.parquet")
    tasks = csv_tables.read_tasks(zoo / "tasks.csv")
    scores = all_scores(zoo, list(cards.index))
    for task in tasks:
        rows_of_task = items[items["task"] == task.task]
        correct = rows_of_task.pivot(index="model", columns="item", values="correct").loc[
            cards.index
        ]
        right = correct.to_numpy(dtype=np.float64)
        accuracy = right.mean(axis=1)
        best = pd.Series(accuracy, cards.index).groupby(cards["family"]).max()
        mse = curve_errors(scores, accuracy, task.chance)
        score = min(mse, key=lambda name: mse[name])
        yield Row(
            task=task.task,
            risen=tuple(best.index[best > RISEN]),
            low=float(accuracy.min()),
            high=float(accuracy.max()),
            binomial=float(np.mean(accuracy * (1 - accuracy) / right.shape[1])),
            item=item_floor(right, np.random.default_rng(0)),
            seed=seed_noise(cards, accuracy),
            rough=roughness(cards, accuracy),
            curve_mse=mse[score],
            score=score,
        )


def item_floor(right: Floats, rng: np.random.Generator) -> float:
    """Return the variance of an accuracy due to the sampling of items, mean over models.

    The items are split into two halves. The difference of a model's accuracies on them, less its
    mean over models (the halves' difficulty), is noise of both halves. Its variance is four times
    that of the accuracy on all items.

    Args:
        right: (n_models, n_items) 0 or 1.
        rng: source of the random halves.
    """
    n_items = right.shape[1]
    variances = []
    for _ in range(N_HALVES):
        order = rng.permutation(n_items)
        first, second = order[: n_items // 2], order[n_items // 2 : n_items // 2 * 2]
        difference = right[:, first].mean(axis=1) - right[:, second].mean(axis=1)
        variances.append(np.var(difference, ddof=1) / 4)
    return float(np.mean(variances))


def seed_noise(cards: pd.DataFrame, accuracy: Floats) -> float:
    """Return the variance between runs with different seeds, mean over checkpoints.

    NaN where no run was repeated.
    """
    base = cards.index.str.replace(SEED, "", regex=True)
    table = pd.DataFrame({"base": base, "accuracy": accuracy})
    spread = table.groupby("base")["accuracy"].var(ddof=1).dropna()
    return float(spread.mean())


def roughness(cards: pd.DataFrame, accuracy: Floats) -> float:
    """Return the variance of a checkpoint about the line between its neighbours, mean over runs.

    Checkpoints are evenly spaced in the logarithm of tokens. For independent noise the difference
    to the mean of two neighbours has 1.5 times the variance. Curvature counts as noise.
    """
    run = cards.index.str.rpartition("-step").get_level_values(0)
    table = pd.DataFrame({"run": run, "step": cards["step"].to_numpy(), "accuracy": accuracy})
    bends = []
    for _, steps in table.sort_values("step").groupby("run"):
        value = steps["accuracy"].to_numpy()
        bends += list(value[1:-1] - (value[:-2] + value[2:]) / 2)
    return float(np.mean(np.square(bends)) / 1.5)


def all_scores(zoo: Path, models: list[str]) -> dict[str, Floats]:
    """Return simple scores of all models: losses of all text, of each kind of document, of answers.

    A kind is the prefix of document ids, so the two halves of `zh` are two kinds. Losses are in
    nats per character of the corpus; the answer probability of a kind is minus the logit of the
    mean over its documents of the probability of all answer tokens.

    Returns:
        (n_models,) by name, such as `all`, `facts`, `facts answers`, `facts answer probability`.
    """
    docs = csv_tables.read_corpus(zoo / "documents.jsonl")
    by_id = {doc.doc_id: doc for doc in docs}
    kinds = list(dict.fromkeys(kind_of(doc.doc_id) for doc in docs))
    index = {model: number for number, model in enumerate(models)}
    zeros = {name: np.zeros(len(models)) for name in kinds}
    total, answers, right = ({name: zero.copy() for name, zero in zeros.items()} for _ in range(3))
    for pack in sorted((zoo / "losses" / "zoo").glob("*.parquet")):
        for row in loss_packs.read(pack).table.to_pylist():
            if row["model"] in index:
                doc, at = by_id[row["doc_id"]], index[row["model"]]
                kind, nll = kind_of(doc.doc_id), np.array(row["nll"])
                label = nll[touching(doc, np.array(row["byte_start"]), np.array(row["byte_end"]))]
                total[kind][at] += nll.sum()
                answers[kind][at] += label.sum()
                right[kind][at] += np.exp(-label.sum())
    n_chars = sum(len(doc.text) for doc in docs)
    n_docs = Counter(kind_of(doc.doc_id) for doc in docs)
    scores = {"all": np.sum(list(total.values()), axis=0) / n_chars}
    for kind in kinds:
        scores[kind] = total[kind] / n_chars
        scores[f"{kind} answers"] = answers[kind] / n_chars
        share = np.clip(right[kind] / n_docs[kind], 1e-6, 1 - 1e-6)
        scores[f"{kind} answer probability"] = -logit(share)
    return scores


def kind_of(doc_id: str) -> str:
    """Return the prefix of a document's id."""
    return doc_id.rpartition("-")[0]


def touching(doc: Document, start: Ints, end: Ints) -> NDArray[np.bool_]:
    """Return the mask of tokens whose byte span overlaps an answer of the document."""
    hit = np.zeros(start.size, dtype=bool)
    for first, last in doc.answers:
        low, high = len(doc.text[:first].encode()), len(doc.text[:last].encode())
        hit |= (start < high) & (end > low)
    return hit


def curve_errors(scores: dict[str, Floats], accuracy: Floats, chance: float) -> dict[str, float]:
    """Return the training error, over all models, of a law fitted to each score."""
    score = np.array(list(scores.values()))
    n_scores, n_models = score.shape
    share = np.full(score.shape, 1 / n_models)
    observed, gamma = np.tile(accuracy, (n_scores, 1)), np.full(n_scores, chance)
    predicted = fit_sigmoid_laws(score, observed, gamma, share).predict(score, gamma)
    return dict(zip(scores, np.mean((predicted - observed) ** 2, axis=1).tolist(), strict=True))


def markdown(zoo: Path) -> str:
    """Return the tables as Markdown: the tasks, and below it the decayed ends."""
    head = (
        "| task | families that rise above 0.7 | accuracy | binomial floor | item floor "
        "| seed noise | roughness | best single score | its curve, MSE | in floors |"
    )
    lines = [head, "|" + "---|" * 10]
    for row in rows(zoo):
        floor = max(row.item, row.binomial)
        lines.append(
            f"| {row.task} | {len(row.risen)}: {', '.join(row.risen)} "
            f"| {row.low:.2f} to {row.high:.2f} | {row.binomial:.1e} | {row.item:.1e} "
            f"| {row.seed:.1e} | {row.rough:.1e} | {row.score} | {row.curve_mse:.1e} "
            f"| {row.curve_mse / floor:.1f} |"
        )
    return "\n".join([*lines, "", *decayed_ends(zoo)])


def decayed_ends(zoo: Path) -> list[str]:
    """Return a table of each run's last accuracies at the constant rate and at the decayed end."""
    cards = pd.read_csv(zoo / "models.csv")
    accuracies = pd.read_csv(zoo / "accuracies.csv").pivot(
        index="model", columns="task", values="accuracy"
    )
    tasks = [task.task for task in csv_tables.read_tasks(zoo / "tasks.csv")]
    lines = [f"| run | {' | '.join(tasks)} |", "|" + "---|" * (1 + len(tasks))]
    for model in cards.loc[cards["stage"] == "decayed", "model"]:
        run, stable = model.partition("-decayed")[0], model.replace("-decayed", "")
        pairs = [accuracies.loc[[stable, model], task].tolist() for task in tasks]
        told = " | ".join(f"{before:.3f}, {after:.3f}" for before, after in pairs)
        lines.append(f"| {run} | {told} |")
    return lines
