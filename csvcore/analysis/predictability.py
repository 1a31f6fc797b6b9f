"""A verdict for each task: whether it can be predicted from the losses at hand.

It reads train and validation models alone, so it may be seen before a test set is revealed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from csvcore.analysis import task_noise
from csvcore.analysis.protocol import Confound, confounds, first_tokens
from csvcore.records import Evidence, Floats, ModelCard, Task
from csvcore.scaling import fit_sigmoid_laws

Word = Literal["predictable", "barely", "not from these losses"]
LITTLE, MUCH = 0.5, 0.9  # shares of the variance of accuracies that is signal
LEAST_MODELS, LEAST_FAMILIES = 3, 2


@dataclass(frozen=True, slots=True)
class TaskPredictability:
    """Spread and noise of one task's accuracies, and a verdict; None where unknown.

    Standard deviations are fractions: 0.01 is one point. n_models: train and validation models with
    an accuracy. spread: over models. item_noise, seed_noise, run_noise: see `task_noise`.
    signal_share: 1 - (largest noise / spread)². detectable, paired: smallest difference between two
    models that the items show, on separate and on the same items. difficulty: standard deviation
    of the items' difficulties; reliability: KR-20. able_in: families whose best model is above
    chance; rises_in: those of them whose models differ as well. source, left_out_r2: see
    `left_out_families`. reason: of the verdict; change: what would improve it, None where nothing
    needs to.
    """

    task: str
    n_models: int
    chance: float
    mean: float | None
    spread: float | None
    item_noise: float | None
    seed_noise: float | None
    run_noise: float | None
    signal_share: float | None
    signal_to_noise: float | None
    detectable: float | None
    paired: float | None
    difficulty: float | None
    reliability: float | None
    able_in: tuple[str, ...]
    rises_in: tuple[str, ...]
    source: str | None
    left_out_r2: float | None
    verdict: Word
    reason: str
    change: str | None


@dataclass(frozen=True, slots=True)
class SourceNoise:
    """Spread of a source's mean loss over models and its noise, nats per character."""

    source: str
    n_models: int
    spread: float | None
    seed_noise: float | None
    run_noise: float | None


@dataclass(frozen=True, slots=True)
class Assessment:
    """The tasks, sources and confounds of a corpus and split.

    n_unknown: models with losses whose collection settings are unknown.
    """

    tasks: tuple[TaskPredictability, ...]
    sources: tuple[SourceNoise, ...]
    confounds: tuple[Confound, ...]
    n_unknown: int


NO_LOSSES: tuple[Word, str, str] = (
    "not from these losses",
    "No model with an accuracy has losses on every document.",
    "Losses: `csvcore collect` or `csvcore import losses` brings them.",
)


def assess(evidence: Evidence) -> Assessment:
    """Assess every task and source."""
    complete = [not np.isnan(row).any() for row in evidence.source_nll]
    scored = [card for card, whole in zip(evidence.cards, complete, strict=True) if whole]
    mixed = confounds(scored, evidence.settings)
    if (prefixed := first_tokens(evidence.text_nll)) is not None:
        mixed = (*mixed, prefixed)
    known = [evidence.settings.get(card.model) for card in scored]
    return Assessment(
        tasks=tuple(assess_task(evidence, task, mixed) for task in evidence.tasks),
        sources=tuple(_sources(evidence, np.array(complete, dtype=bool), scored)),
        confounds=mixed,
        n_unknown=sum(made is None or made.dtype is None for made in known),
    )


def contract(assessment: Assessment) -> dict[str, Any]:
    """Return an assessment as one JSON object, of plain values."""
    record = asdict(assessment)
    for task in record["tasks"]:
        task["n_families_rising"] = len(task["rises_in"])
    return record


def _sources(
    evidence: Evidence, complete: Floats, scored: Sequence[ModelCard]
) -> list[SourceNoise]:
    columns = evidence.source_nll[complete].T
    whole = np.flatnonzero(~np.isnan(evidence.repeat_nll).any(axis=1))
    again = [evidence.repeats[row] for row in whole]
    repeated = np.vstack([evidence.source_nll[complete], evidence.repeat_nll[whole]]).T
    return [
        SourceNoise(
            source=source,
            n_models=len(scored),
            spread=task_noise.spread(nll),
            seed_noise=task_noise.seed_noise(with_repeats, [*scored, *again]),
            run_noise=task_noise.run_noise(nll, scored),
        )
        for source, nll, with_repeats in zip(evidence.sources, columns, repeated, strict=True)
    ]


def assess_task(
    evidence: Evidence, task: Task, mixed: Sequence[Confound] = ()
) -> TaskPredictability:
    """Assess one task; mixed: confounds of the losses."""
    rows = [
        row
        for row, card in enumerate(evidence.cards)
        if (card.model, task.task) in evidence.accuracies
    ]
    cards = [evidence.cards[row] for row in rows]
    entries = [evidence.accuracies[card.model, task.task] for card in cards]
    accuracy = np.array([entry.accuracy for entry in entries], dtype=np.float64)
    n_items = np.array([entry.n_items or np.nan for entry in entries], dtype=np.float64)
    noise, items = _noise(evidence, task, accuracy, n_items, cards), evidence.items.get(task.task)
    known_n = n_items[np.isfinite(n_items)]
    mean = float(accuracy.mean()) if rows else None
    families = [card.family for card in cards]
    columns = [at for at, name in enumerate(evidence.sources) if name in task.sources]
    columns = columns or list(range(len(evidence.sources)))
    source, r2 = left_out_families(
        evidence.source_nll[rows], columns, accuracy, families, task.chance
    )
    spread = task_noise.spread(accuracy)
    figures: dict[str, Any] = {
        "chance": task.chance,
        "n_models": len(rows),
        "mean": mean,
        "spread": spread,
        **noise,
        "signal_share": _signal_share(spread, noise),
        "signal_to_noise": task_noise.signal_to_noise(accuracy, cards),
        "detectable": None
        if mean is None or not known_n.size
        else task_noise.detectable_difference(mean, float(np.median(known_n))),
        "paired": task_noise.paired_detectable_difference(items)
        if items and items.n_models > 1
        else None,
        "difficulty": items and items.difficulty,
        "reliability": items and task_noise.reliability(items),
        "able_in": task_noise.families_above_chance(
            accuracy, families, task.chance, noise["item_noise"]
        ),
        "rises_in": task_noise.rising_families(
            accuracy, families, task.chance, noise["item_noise"]
        ),
        "source": None if source is None else evidence.sources[source],
        "left_out_r2": r2,
    }
    trains = [evidence.sides.get(card.model, "train") == "train" for card in cards]
    risen = task_noise.above_chance(accuracy[trains], n_items[trains], task.chance)
    word, reason, change = verdict(figures, risen, [one for one in mixed if one.severe])
    if rows and not np.isfinite(evidence.source_nll[rows]).all(axis=1).any():
        word, reason, change = NO_LOSSES
    return TaskPredictability(task=task.task, verdict=word, reason=reason, change=change, **figures)


def _noise(
    evidence: Evidence, task: Task, accuracy: Floats, n_items: Floats, cards: Sequence[ModelCard]
) -> dict[str, float | None]:
    items = evidence.items.get(task.task)
    again = [card for card in evidence.repeats if (card.model, task.task) in evidence.accuracies]
    repeated = [evidence.accuracies[card.model, task.task].accuracy for card in again]
    return {
        "item_noise": task_noise.measured_item_noise(items)
        if items
        else task_noise.item_noise(accuracy, n_items),
        "seed_noise": task_noise.seed_noise(np.append(accuracy, repeated), [*cards, *again]),
        "run_noise": task_noise.run_noise(accuracy, cards),
    }


def _signal_share(spread: float | None, noise: Mapping[str, float | None]) -> float | None:
    known = [value for value in noise.values() if value is not None]
    if not spread or not known:
        return None
    return max(0.0, 1.0 - (max(known) / spread) ** 2)


def left_out_families(
    source_nll: Floats,
    columns: Sequence[int],
    accuracy: Floats,
    families: Sequence[str],
    chance: float,
) -> tuple[int | None, float | None]:
    """Return how well the best single source predicts a family that was left out.

    Each family in turn is left out; of the others, the sigmoid law of the source with the smallest
    error predicts it. This is the simplest predictor from losses: what better ones reach is not
    known before they are fitted, and seldom much more.

    Args:
        source_nll: (n_models, n_sources) nats per character; a row with NaN is left out.
        columns: of source_nll to choose from, the task's own sources where it names any.
        accuracy: (n_models,) fractions.
        families: (n_models,) of each model.
        chance: gamma of the law.

    Returns:
        The source chosen most often, and 1 - squared error / variance of the accuracies; None and
        None with fewer than LEAST_FAMILIES, or LEAST_MODELS models outside a family.
    """
    whole = np.isfinite(source_nll).all(axis=1)
    score, observed = source_nll[whole][:, columns].T, accuracy[whole]
    names = np.array(families, dtype=object)[whole]
    left = sorted(set(names))
    outside = [names != family for family in left]
    if (
        len(left) < LEAST_FAMILIES
        or not score.size
        or min(int(others.sum()) for others in outside) < LEAST_MODELS
        or np.ptp(observed) == 0.0
    ):
        return None, None
    n_sources = score.shape[0]
    scores = np.tile(score, (len(left), 1))
    share = np.repeat(np.array([others / others.sum() for others in outside]), n_sources, axis=0)
    gamma = np.full(len(scores), chance)
    laws = fit_sigmoid_laws(scores, np.tile(observed, (len(scores), 1)), gamma, share)
    predicted = laws.predict(scores, gamma)
    best = laws.mse.reshape(len(left), n_sources).argmin(axis=1)
    wrong = np.concatenate(
        [
            observed[~others] - predicted[at * n_sources + best[at], ~others]
            for at, others in enumerate(outside)
        ]
    )
    r2 = 1.0 - float(np.mean(np.square(wrong))) / float(np.var(observed))
    return columns[int(np.bincount(best).argmax())], r2


def verdict(
    figures: Mapping[str, Any], risen: bool, severe: Sequence[Confound]
) -> tuple[Word, str, str | None]:
    """Return the verdict on a task, its reason, and what would change it.

    The first rule that holds decides.

    Not from these losses: fewer than LEAST_MODELS models have an accuracy; no train model is above
    chance; fewer than LEAST_FAMILIES families get above it, since what one family alone can do
    tells nothing of another; less than LITTLE of the variance is signal, so that even the true
    accuracies would explain less than half of the measured ones; no losses; or the best source
    predicts left-out families worse than a constant.

    Barely: no more than LEAST_FAMILIES families rise, so that a rise left out is predicted from one
    other; the collection of losses separates families; the noise is unknown, or less than MUCH of
    the variance is signal; or the best source explains less than LITTLE of left-out families.

    Else predictable.

    Args:
        figures: the fields of a `TaskPredictability`.
        risen: a train model is above chance.
        severe: confounds of the losses with families.
    """
    for word, holds, reason, change in (*_against(figures, risen), *_doubts(figures, severe)):
        if holds:
            return word, reason, change
    return (
        "predictable",
        f"The best source explains {figures['left_out_r2']:.0%} of the variance of left-out "
        f"families, and {figures['signal_share']:.0%} of the variance is signal.",
        None,
    )


Rule = tuple[Word, bool, str, str]


def _against(figures: Mapping[str, Any], risen: bool) -> tuple[Rule, ...]:
    """Return the rules for "not from these losses", in order."""
    n_models, able = figures["n_models"], figures["able_in"]
    share, r2 = figures["signal_share"], figures["left_out_r2"]
    no: Word = "not from these losses"
    return (
        (
            *(no, n_models < LEAST_MODELS),
            f"{n_models} train and validation models have an accuracy.",
            f"Accuracies of at least {LEAST_MODELS} models.",
        ),
        (
            *(no, not risen),
            "No train model is above chance.",
            "Train models that solve more of the task: larger ones, or trained longer.",
        ),
        (
            *(no, len(able) < LEAST_FAMILIES),
            f"The accuracy rises clearly above chance (by 10 points or more) {_where(able)}.",
            f"More families that rise: at least {LEAST_FAMILIES}, better three.",
        ),
        (
            *(no, share is not None and share < LITTLE),
            f"{_percent(share)} of the variance of the accuracies is signal.",
            _less_noise(figures),
        ),
        (
            *(no, r2 is None),
            "No law can be fitted: too few models have losses on every document.",
            "Losses of the train models on every document.",
        ),
        (
            *(no, r2 is not None and r2 <= 0.0),
            "The best source predicts families left out worse than their mean accuracy does.",
            "Texts that show this ability, or more families that rise.",
        ),
    )


def _doubts(figures: Mapping[str, Any], severe: Sequence[Confound]) -> tuple[Rule, ...]:
    """Return the rules for "barely", in order."""
    rising, share, r2 = figures["rises_in"], figures["signal_share"], figures["left_out_r2"]
    little: Word = "barely"
    return (
        (
            *(little, len(rising) <= LEAST_FAMILIES),
            f"The accuracy rises from model to model {_where(rising)}.",
            "More families that rise: smaller or earlier models of them, or other families.",
        ),
        (
            *(little, bool(severe)),
            severe[0].sentence if severe else "",
            "Losses of all families under one protocol.",
        ),
        (
            *(little, share is None),
            "The noise of the accuracies is unknown.",
            "The number of items, item results, or checkpoints of runs.",
        ),
        (
            *(little, share is not None and share < MUCH),
            f"{_percent(share)} of the variance of the accuracies is signal.",
            _less_noise(figures),
        ),
        (
            *(little, r2 is not None and r2 < LITTLE),
            f"The best source explains {_percent(r2)} of the variance of left-out families.",
            "Texts that show this ability, or more families that rise.",
        ),
    )


def _where(families: Sequence[str]) -> str:
    return f"only in {' and '.join(families)}" if families else "in no family"


def _percent(share: float | None) -> str:
    return "An unknown part" if share is None else f"{share:.0%}"


def _less_noise(figures: Mapping[str, Any]) -> str:
    """Return what lowers the largest noise."""
    remedies = {
        "item_noise": "More items.",
        "seed_noise": "Means over repeated seeds.",
        "run_noise": "Means over neighbouring checkpoints, or repeated seeds.",
    }
    return remedies[max(remedies, key=lambda name: figures[name] or 0.0)]
