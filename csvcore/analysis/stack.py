"""A stack: one law per simple score, mixed by how well each predicts models that it did not see.

Every score s_k of a model has a sigmoid law p_k of its own (equation 2). Judges leave out each
family (or run) of the known models in turn, and predict the validation models from the train
models; e_kj are the errors of law k on what judge j held out. The mixing weights minimise

    w' A w + pull * K * min(diag A) * |w - 1 / K|^2   over w >= 0, sum(w) = 1,
    A = sum over judges of share_j * mean over held-out models of e_j e_j',

so correlated scores share a weight and a score that fails on unseen families gets none. At the end
all laws are fitted to train and validation models together, and logits are mixed:
logit p = sum_k w_k logit p_k. The interval of a prediction has two parts, the quantile of the mix's
errors on left-out models and the disagreement of the laws, so it widens where the scores part.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls
from scipy.special import expit, logit

from csvcore.errors import InputError
from csvcore.records import Floats, Mask
from csvcore.scaling import FEWEST, Laws, fit_sigmoid_laws

PULL = 0.02  # towards equal parts, in units of K times the smallest mean squared error
LEAST, MOST = 0.001, 0.999  # probabilities are kept within, so that logits stay finite
VALIDATION = "validation"  # name of the judge that predicts the validation models
SUM_TO_ONE = 1e4  # weight of the row that holds the sum of the mix at 1, against unit rows
NORMAL_90 = 1.645  # two-sided 90 % of a normal distribution, in standard deviations


@dataclass(frozen=True, slots=True)
class Judge:
    """Models to fit laws to, models held out from them, and how much the judge counts.

    fitted, held: (n_models,) masks. share: of all judges, 1 in all. calibrates: (n_models,) mask of
    the held models whose errors are like those on test models, so that intervals follow them.
    """

    name: str
    fitted: Mask
    held: Mask
    share: float
    calibrates: Mask


@dataclass(frozen=True, slots=True)
class Stack:
    """A fitted stack.

    names: of the scores. weight: (n_scores,) of the mix, not negative, 1 in all. laws: fitted to
    all known models. gamma: chance level. residuals: the mix's errors on left-out models that
    intervals follow. error: 90 % quantile of their size, as a fraction.
    """

    names: tuple[str, ...]
    weight: Floats
    laws: Laws
    gamma: float
    residuals: Floats
    error: float

    def predict(self, score: Floats, laws: Laws | None = None) -> tuple[Floats, Floats, Floats]:
        """Return predicted accuracies and the ends of their 90 % intervals, (n_models,) each.

        Args:
            score: (n_scores, n_models) of the named scores.
            laws: others than the stack's, such as those fitted to train models alone.
        """
        by_law = (laws or self.laws).predict(score, np.full(len(score), self.gamma))
        return interval(by_law, self.weight, self.error)


def interval(by_law: Floats, weight: Floats, error: float) -> tuple[Floats, Floats, Floats]:
    """Mix predictions (n_scores, n_models); return the mix and the ends of its 90 % interval.

    Half its length is the root of the squares of `error`, and of 1.645 standard deviations of the
    laws about the mix.
    """
    predicted = mix(by_law, weight)
    spread = np.sqrt(weight @ np.square(by_law - predicted))
    half = np.sqrt(error**2 + np.square(NORMAL_90 * spread))
    return predicted, np.maximum(predicted - half, 0.0), np.minimum(predicted + half, 1.0)


def judges(
    known: Mask,
    train: Mask,
    validation: Mask,
    groups: Mapping[str, Mask],
    like_test: Mask | None = None,
) -> list[Judge]:
    """Return the judges of a split: each group of known models left out, and validation.

    Groups share half of the weight and validation has the other half; either has all of it where
    the other cannot judge. A group without which fewer than three models are left is no judge.

    Args:
        known: (n_models,) mask of the models that the laws are fitted to in the end.
        train: (n_models,) mask.
        validation: (n_models,) mask.
        groups: masks of models to leave out together, such as a family.
        like_test: (n_models,) mask of the validation models whose errors tell of those on test
            models; None for all. Where none does, intervals follow the groups alone.

    Raises:
        InputError: there is no judge.
    """
    left_out = [
        (name, known & ~group, known & group)
        for name, group in groups.items()
        if (known & group).any() and (known & ~group).sum() >= FEWEST
    ]
    validates = bool(validation.any() and train.sum() >= FEWEST)
    if not left_out and not validates:
        raise InputError(
            f"a stack is chosen on models that its laws did not see, but the {int(known.sum())} "
            "train models are one group and none validates; add a family, a run or validation "
            "models"
        )
    half = 0.5 if left_out and validates else 1.0
    found = [Judge(name, fit, held, half / len(left_out), held) for name, fit, held in left_out]
    if validates:
        calibrates = validation if like_test is None or not left_out else like_test
        found.append(Judge(VALIDATION, train, validation, half, calibrates))
    return found


def fit_stack(
    names: Sequence[str],
    panel: Sequence[Judge],
    judged: Sequence[Floats],
    score: Floats,
    accuracy: Floats,
    gamma: float,
    known: Mask,
) -> Stack:
    """Fit a stack to the train and validation models.

    Args:
        names: of the scores.
        panel: from `judges`.
        judged: for each judge the scores (n_scores, n_models) of all models, made without a look
            at the accuracies that the judge holds out.
        score: (n_scores, n_models) in the end, made from all known models.
        accuracy: (n_models,) read of known models only.
        gamma: chance level.
        known: (n_models,) mask of the models that the laws are fitted to in the end.
    """
    predicted = [
        _held_out(of_judge, accuracy, gamma, one)
        for of_judge, one in zip(judged, panel, strict=True)
    ]
    errors = [p - accuracy[one.held] for p, one in zip(predicted, panel, strict=True)]
    weight = mixing_weights(errors, [one.share for one in panel])
    laws = laws_on(known, score, accuracy, gamma)
    residuals, shares = [], []
    for p, one in zip(predicted, panel, strict=True):
        of_test = one.calibrates[one.held]
        residuals.append((accuracy[one.held] - mix(p, weight))[of_test])
        shares.append(np.full(residuals[-1].size, one.share / of_test.size))
    left_out = np.concatenate(residuals)
    error = weighted_quantile(np.abs(left_out), np.concatenate(shares), 0.9)
    return Stack(tuple(names), weight, laws, gamma, left_out, error)


def laws_on(fitted: Mask, score: Floats, accuracy: Floats, gamma: float) -> Laws:
    """Fit the law of every score (n_scores, n_models) to the masked models."""
    n_scores = len(score)
    observed = np.tile(np.where(fitted, accuracy, 0.0), (n_scores, 1))
    share = np.tile(fitted / fitted.sum(), (n_scores, 1))
    return fit_sigmoid_laws(score, observed, np.full(n_scores, gamma), share)


def _held_out(score: Floats, accuracy: Floats, gamma: float, judge: Judge) -> Floats:
    """Return what laws fitted without the held-out models predict for them, (n_scores, n_held)."""
    laws = laws_on(judge.fitted, score, accuracy, gamma)
    return laws.predict(score[:, judge.held], np.full(len(score), gamma))


def mixing_weights(
    errors: Sequence[Floats],
    shares: Sequence[float],
    pull: float = PULL,
) -> Floats:
    """Return the mix of the head of this module, (n_scores,).

    Args:
        errors: of each judge (n_scores, n_held).
        shares: of each judge.
        pull: towards equal parts, how strongly.
    """
    n_scores = errors[0].shape[0]
    centre = np.full(n_scores, 1.0 / n_scores)
    # Rows whose squares add up to the objective: errors, then the distance to equal parts.
    rows = [
        np.sqrt(share / error.shape[1]) * error.T
        for share, error in zip(shares, errors, strict=True)
    ]
    stacked = np.concatenate(rows)
    least = float(np.square(stacked).sum(axis=0).min())
    scale = np.sqrt(max(least, 1e-12))
    ridge = np.sqrt(pull * n_scores)
    matrix = np.concatenate(
        [stacked / scale, ridge * np.eye(n_scores), np.full((1, n_scores), SUM_TO_ONE)]
    )
    target = np.concatenate([np.zeros(len(stacked)), ridge * centre, [SUM_TO_ONE]])
    weight, _ = nnls(matrix, target)
    return np.asarray(weight / weight.sum(), dtype=np.float64)


def mix(predicted: Floats, weight: Floats) -> Floats:
    """Return the mix of probabilities (n_scores, n_models) in the logit, (n_models,)."""
    return np.asarray(expit(weight @ logit(np.clip(predicted, LEAST, MOST))), dtype=np.float64)


def weighted_quantile(values: Floats, shares: Floats, level: float) -> float:
    """Return the smallest value up to which at least this much of all shares lies."""
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(shares[order]) / shares.sum()
    at = min(int(np.searchsorted(reached, level - 1e-12)), values.size - 1)
    return float(values[order[at]])
