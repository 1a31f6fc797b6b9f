"""Item response theory: how well each item tells models apart, and how able each model is.

The two-parameter logistic model in one dimension: a model of ability t answers item i with
probability sigmoid(slope_i t + level_i). From the answers to a few items it gives the ability of a
new model, hence its accuracy on all of them: p-IRT (Polo et al. 2024, arXiv 2402.14992) and, with
the items chosen by what they tell, metabench (Kipnis et al. 2024, arXiv 2407.12844).
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import isotonic_regression, minimize
from scipy.special import expit

from csvcore.errors import InputError
from csvcore.records import Floats, Ints

# Spreads of the normal priors; abilities have 1.
LEVEL_SPREAD = 3.0
LOG_SLOPE_SPREAD = 0.5
MAX_STEPS = 300  # of L-BFGS
NEWTON_STEPS = 30  # of an ability
LARGEST_NEWTON_STEP = 2.0


@dataclass(frozen=True, slots=True)
class Items:
    """The items of a task: slope and level (n_items,) of the log-odds of a right answer."""

    slope: Floats
    level: Floats

    def chances(self, ability: Floats) -> Floats:
        """Return the probability of a right answer, (n_models, n_items)."""
        return np.asarray(expit(ability[:, None] * self.slope + self.level))

    def abilities(self, correct: Floats, item: Ints) -> Floats:
        """Return the most probable abilities, (n_models,), from the answers to some items.

        Args:
            correct: (n_models, n_items) results, 0 to 1; only columns `item` are read.
            item: numbers of the items that were evaluated.
        """
        slope, level = self.slope[item], self.level[item]
        right = correct[:, item]
        ability = np.zeros(len(right))
        for _ in range(NEWTON_STEPS):  # the log posterior is concave
            chance = expit(ability[:, None] * slope + level)
            rise = (right - chance) @ slope - ability
            bend = (chance * (1.0 - chance)) @ np.square(slope) + 1.0
            ability += np.clip(rise / bend, -LARGEST_NEWTON_STEP, LARGEST_NEWTON_STEP)
        return ability

    def accuracies(self, correct: Floats, item: Ints) -> Floats:
        """Return accuracies on all items, (n_models,), by p-IRT from the answers to some.

        What was evaluated counts as it is, the rest by its probability.
        """
        chance = self.chances(self.abilities(correct, item))
        chance[:, item] = correct[:, item]
        return np.asarray(chance.mean(axis=1))


@dataclass(frozen=True, slots=True)
class Subset:
    """Items chosen by what they tell, and a rising curve from ability to accuracy.

    metabench's curve is a generalised additive model; this one is isotonic, straight between the
    known models' abilities (n_points,) and flat outside.
    """

    items: Items
    item: Ints
    ability: Floats
    accuracy: Floats

    def predict(self, correct: Floats) -> Floats:
        """Return accuracies (n_models,) from results (n_models, n_items) on the subset alone."""
        found = self.items.abilities(correct, self.item)
        return np.asarray(np.interp(found, self.ability, self.accuracy))


def fit_items(correct: Floats) -> tuple[Items, Floats]:
    """Return the items of a task and the abilities of the models that answered all of them.

    The maximum of the posterior over all parameters together.

    Args:
        correct: (n_models, n_items) results, 0 to 1.

    Raises:
        InputError: fewer than two models or two items.
    """
    n_models, n_items = correct.shape
    if n_models < 2 or n_items < 2:
        raise InputError(
            f"item response theory needs two models and two items, got {n_models} and {n_items}"
        )
    share = np.clip(correct.mean(axis=1), 0.01, 0.99)
    odds = np.log(share / (1.0 - share))
    start = (odds - odds.mean()) / (odds.std() or 1.0)
    middle = np.clip(correct.mean(axis=0), 0.05, 0.95)
    vector = np.concatenate([start, np.zeros(n_items), np.log(middle / (1.0 - middle))])
    cuts = [n_models, n_models + n_items]

    def loss(vector: Floats) -> tuple[float, Floats]:
        ability, log_slope, level = np.split(vector, cuts)
        slope = np.exp(log_slope)
        odds = ability[:, None] * slope + level
        missed = expit(odds) - correct
        value = np.logaddexp(0.0, odds).sum() - (correct * odds).sum() + 0.5 * (
            np.square(ability).sum()
            + np.square(log_slope / LOG_SLOPE_SPREAD).sum()
            + np.square(level / LEVEL_SPREAD).sum()
        )  # fmt: skip
        gradient = np.concatenate(
            [
                missed @ slope + ability,
                (ability @ missed) * slope + log_slope / LOG_SLOPE_SPREAD**2,
                missed.sum(axis=0) + level / LEVEL_SPREAD**2,
            ]
        )
        return float(value), gradient

    found = minimize(loss, vector, jac=True, method="L-BFGS-B", options={"maxiter": MAX_STEPS}).x
    ability, log_slope, level = np.split(found, cuts)
    return Items(np.exp(log_slope), level), ability


def choose_informative(correct: Floats, n_items: int) -> Subset:
    """Choose the items that tell most over the range of abilities, from models known on all.

    Abilities are cut into as many equal shares as items are asked for; each share takes the item,
    not taken yet, of the highest Fisher information slope^2 p (1 - p) at its middle.

    Args:
        correct: (n_models, n_items) results of known models, 0 to 1.
        n_items: items to evaluate.

    Raises:
        InputError: more items than there are, or fewer than one.
    """
    n_all = correct.shape[1]
    if not 1 <= n_items <= n_all:
        raise InputError(f"a subset is 1 to {n_all} of the items, got {n_items}")
    items, ability = fit_items(correct)
    middles = np.quantile(ability, (np.arange(n_items) + 0.5) / n_items)
    chance = items.chances(middles)
    information = np.square(items.slope) * chance * (1.0 - chance)  # (n_shares, n_all)
    chosen: list[int] = []
    for row in information:
        row[chosen] = -1.0
        chosen.append(int(row.argmax()))
    item = np.array(chosen)
    found = items.abilities(correct, item)
    ability, place = np.unique(found, return_inverse=True)
    count = np.bincount(place)
    mean = np.bincount(place, correct.mean(axis=1)) / count
    return Subset(items, item, ability, isotonic_regression(mean, weights=count).x)
