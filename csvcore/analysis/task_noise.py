"""Spread and noise of a task's accuracies, or of mean losses, over models and training runs.

A value that cannot be known from the models at hand is None.
"""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from scipy.stats import norm

from csvcore.records import Floats, Ints, ItemStatistics, ModelCard
from csvcore.splits import checkpoint_of, run_of

LAST = 5  # checkpoints at the end of a run, of which the signal-to-noise ratio takes the noise
LEVEL, POWER = 0.05, 0.8  # of a detectable difference: two-sided level, power


def spread(values: Floats) -> float | None:
    """Return the standard deviation of (n_models,) values over models; None for fewer than 2."""
    return None if values.size < 2 else float(np.std(values, ddof=1))


def item_noise(accuracy: Floats, n_items: Floats) -> float | None:
    """Return the binomial standard deviation of an accuracy, sqrt(mean of p (1 - p) / n).

    Args:
        accuracy: (n_models,) fractions.
        n_items: (n_models,) items of each; NaN where unknown, which leaves the model out.
    """
    known = np.isfinite(n_items)
    if not known.any():
        return None
    p = accuracy[known]
    return float(np.sqrt(np.mean(p * (1.0 - p) / n_items[known])))


def measured_item_noise(items: ItemStatistics) -> float:
    """Return the standard deviation of an accuracy from its items, sqrt(mean variance / n).

    The binomial one for results of 0 and 1; smaller where results are fractions.
    """
    return float(np.sqrt(items.within_variance / items.n_items))


def reliability(items: ItemStatistics) -> float | None:
    """Return KR-20, Cronbach's alpha for results of 0 and 1: how far the items agree.

    n / (n - 1) (1 - sum of the items' variances over models / variance of the models' sums). Near 1
    the same models do well on every item; near 0 the items rank models by chance.
    """
    if items.n_models < 2 or items.n_items < 2 or items.mean_variance == 0.0:
        return None
    share = items.item_variance / (items.n_items * items.mean_variance)
    return float(items.n_items / (items.n_items - 1) * (1.0 - share))


def seed_noise(values: Floats, cards: Sequence[ModelCard]) -> float | None:
    """Return the standard deviation among repeated runs of one family, size, stage and step.

    Pooled over all such sets of models with different named runs (one may have none), each
    weighted by its number of models less 1.

    Args:
        values: (n_models,) accuracies or losses.
        cards: of the models.
    """
    sets: dict[tuple[object, ...], dict[str | None, list[float]]] = defaultdict(dict)
    for value, card in zip(values.tolist(), cards, strict=True):
        sets[checkpoint_of(card)].setdefault(card.run, []).append(value)
    # two models of one run and step are no repetitions, and nobody knows which of them counts
    repeats = [
        np.array([group[0] for group in by_run.values() if len(group) == 1])
        for by_run in sets.values()
    ]
    squares = [float(np.sum(np.square(group - group.mean()))) for group in repeats if group.size]
    freedom = sum(group.size - 1 for group in repeats if group.size)
    return float(np.sqrt(sum(squares) / freedom)) if freedom else None


def runs_in_order(cards: Sequence[ModelCard]) -> list[tuple[Ints, Floats]]:
    """Return the checkpoints of each training run as indices and their place along the run.

    The place is ln(1 + training tokens), else ln(1 + step), where it rises from one checkpoint to
    the next; a run without an order is left out.
    """
    rows: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for row, card in enumerate(cards):
        rows[run_of(card)].append(row)
    found = []
    for members in rows.values():
        for name in ("train_tokens", "step"):
            places = [getattr(cards[row], name) for row in members]
            if None in places or len(set(places)) < len(places):
                continue
            order = np.argsort(places)
            found.append((np.array(members)[order], np.log1p(np.array(places, float)[order])))
            break
    return found


def roughness(values: Floats, places: Floats) -> Floats:
    """Return the squared noise that each inner checkpoint of a run tells, (n_checkpoints - 2,).

    A checkpoint less the straight line between its neighbours, squared, over 1 + w² + v² with w and
    v the neighbours' weights: its mean is the variance of independent noise about a curve that is
    straight from neighbour to neighbour. At equal distances it is the squared second difference
    over 6. A bend of the curve adds to it, so it is an upper bound.
    """
    gap_before, gap_after = places[1:-1] - places[:-2], places[2:] - places[1:-1]
    later = gap_before / (gap_before + gap_after)
    expected = (1.0 - later) * values[:-2] + later * values[2:]
    return np.asarray(
        np.square(values[1:-1] - expected) / (1.0 + np.square(later) + np.square(1.0 - later))
    )


def run_noise(values: Floats, cards: Sequence[ModelCard]) -> float | None:
    """Return the noise along training runs: the root mean of `roughness` over all of them.

    None where no run has 3 checkpoints.
    """
    parts = [
        roughness(values[rows], places) for rows, places in runs_in_order(cards) if rows.size > 2
    ]
    return float(np.sqrt(np.mean(np.concatenate(parts)))) if parts else None


def signal_to_noise(values: Floats, cards: Sequence[ModelCard]) -> float | None:
    """Return the signal-to-noise ratio of a task after Heineman et al. 2025 (arXiv 2508.13144).

    Signal: relative dispersion, the largest difference between two runs over the mean of all runs,
    each at its last checkpoint. Noise: relative standard deviation along a run's last checkpoints
    (LAST of them, 3 at least), the root mean square over runs. Here the standard deviation is that
    about the curve (`roughness`) and not about the mean, since the bundled checkpoints are far
    apart and accuracy still rises between them.

    Args:
        values: (n_models,) accuracies.
        cards: of the models.

    Returns:
        None where no run has 3 checkpoints, there is one run, or a mean is 0 or the noise 0.
    """
    runs = runs_in_order(cards)
    if len(runs) < 2:
        return None
    ends = np.array([values[rows[-1]] for rows, _ in runs])
    relative = []
    for rows, places in runs:
        tail = values[rows[-LAST:]]
        if tail.size > 2 and tail.mean() > 0.0:
            noise = np.mean(roughness(tail, places[-LAST:]))
            relative.append(float(noise) / float(tail.mean()) ** 2)
    if not relative or ends.mean() <= 0.0 or not np.mean(relative) > 0.0:
        return None
    return float(np.ptp(ends) / ends.mean() / np.sqrt(np.mean(relative)))


def detectable_difference(p: float, n_items: float) -> float:
    """Return the smallest true difference of two models that n_items independent items show.

    Two-sided test at LEVEL with POWER: (1.96 + 0.84) sqrt(2 p (1 - p) / n), the normal
    approximation for two accuracies near p on separate draws of items.
    """
    return _quantiles() * float(np.sqrt(2.0 * p * (1.0 - p) / n_items))


def paired_detectable_difference(items: ItemStatistics) -> float:
    """Return `detectable_difference` of two models on the same items, from their results.

    The variance of the difference on an item, averaged over all pairs of models, is twice the mean
    variance over models of an item less that of the models' means.
    """
    paired = max(2.0 * (items.item_variance - items.mean_variance), 0.0)
    return _quantiles() * float(np.sqrt(paired / items.n_items))


def _quantiles() -> float:
    return float(norm.ppf(1.0 - LEVEL / 2.0) + norm.ppf(POWER))


def rising_families(
    accuracy: Floats, families: Sequence[str], chance: float, floor: float | None
) -> tuple[str, ...]:
    """Return the families in which a task rises, by name.

    Those whose best model is above both chance and the family's worst model by more than 0.1 and
    more than 5 floors. See also `families_above_chance`.

    Args:
        accuracy: (n_models,) fractions.
        families: (n_models,) of each model.
        chance: accuracy of guessing.
        floor: standard deviation of an accuracy over its items, or None where unknown.
    """
    able = families_above_chance(accuracy, families, chance, floor)
    worst = {
        family: min(a for a, name in zip(accuracy, families, strict=True) if name == family)
        for family in able
    }
    return tuple(
        family
        for family in able
        if family in families_above_chance(accuracy, families, max(worst[family], chance), floor)
    )


def families_above_chance(
    accuracy: Floats, families: Sequence[str], chance: float, floor: float | None
) -> tuple[str, ...]:
    """Return the families whose best model is above chance by more than 0.1 and 5 floors.

    A family whose models are all good does not rise, but shows the ability. Arguments as those of
    `rising_families`.
    """
    needed = max(0.1, 5.0 * (floor or 0.0))
    best: dict[str, float] = {}
    for family, value in zip(families, accuracy.tolist(), strict=True):
        best[family] = max(value, best.get(family, value))
    return tuple(sorted(family for family, value in best.items() if value - chance > needed))


def above_chance(accuracy: Floats, n_items: Floats, chance: float) -> bool:
    """Return whether any model is above chance by more than 3 standard deviations of guessing.

    Without a known number of items, by more than 0.02.
    """
    known = np.isfinite(n_items)
    guess = np.full(accuracy.shape, 0.02)
    guess[known] = 3.0 * np.sqrt(chance * (1.0 - chance) / n_items[known])
    return bool(np.any(accuracy > chance + guess))
