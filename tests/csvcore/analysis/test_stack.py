"""Laws of the stack: what its mix minimises, whom it trusts, and what its intervals cover."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.optimize import minimize

from csvcore.analysis.stack import (
    Judge,
    Stack,
    fit_stack,
    interval,
    judges,
    mix,
    mixing_weights,
    weighted_quantile,
)
from csvcore.errors import InputError
from csvcore.records import Floats, Mask
from csvcore.scaling import sigmoid_law

seeds = st.integers(0, 10_000)


def some_errors(seed: int, n_scores: int = 4) -> tuple[list[Floats], list[float]]:
    rng = np.random.default_rng(seed)
    size = rng.uniform(0.01, 0.1, n_scores)[:, None]
    errors = [size * rng.normal(size=(n_scores, n)) for n in (5, 8, 3)]
    return errors, [0.25, 0.25, 0.5]


@given(seeds)
@settings(max_examples=30)
def test_the_mix_is_the_one_that_a_general_optimiser_finds(seed: int) -> None:
    errors, shares = some_errors(seed)
    matrix = sum(
        share * (error @ error.T) / error.shape[1]
        for share, error in zip(shares, errors, strict=True)
    )
    n = len(matrix)
    pull = 0.02 * n * matrix.diagonal().min()

    def objective(weight: Floats) -> float:
        return float(weight @ matrix @ weight + pull * np.square(weight - 1 / n).sum()) * 1e4

    second = minimize(
        objective,
        np.full(n, 1 / n),
        method="SLSQP",
        bounds=[(0, 1)] * n,
        constraints={"type": "eq", "fun": lambda weight: weight.sum() - 1},
        options={"ftol": 1e-14, "maxiter": 500},
    )
    weight = mixing_weights(errors, shares)
    assert weight.min() >= 0
    assert weight.sum() == pytest.approx(1)
    assert objective(weight) <= objective(second.x) + 1e-6
    assert_allclose(weight, second.x, atol=1e-3)


@given(seeds)
@settings(max_examples=20)
def test_the_order_of_scores_and_the_unit_of_errors_change_nothing(seed: int) -> None:
    errors, shares = some_errors(seed)
    weight = mixing_weights(errors, shares)
    order = np.random.default_rng(seed).permutation(len(weight))
    turned = [3.0 * error[order] for error in errors]
    assert_allclose(mixing_weights(turned, shares), weight[order], atol=1e-5)


def test_two_scores_with_opposite_errors_are_mixed_half_and_half() -> None:
    error = np.array([[0.1, -0.1, 0.05], [-0.1, 0.1, -0.05], [0.3, 0.3, 0.3]])
    weight = mixing_weights([error], [1.0], pull=1e-6)
    assert_allclose(weight, [0.5, 0.5, 0.0], atol=1e-3)


def known_models(n: int, n_families: int) -> tuple[Mask, dict[str, Mask]]:
    family = np.arange(n) % n_families
    return np.ones(n, dtype=bool), {str(f): family == f for f in range(n_families)}


def test_groups_share_half_of_the_weight_and_validation_has_the_other() -> None:
    every, groups = known_models(12, 3)
    train = np.arange(12) < 9
    panel = judges(every, train, every & ~train, groups)
    assert [one.name for one in panel] == ["0", "1", "2", "validation"]
    assert [one.share for one in panel] == pytest.approx([1 / 6, 1 / 6, 1 / 6, 1 / 2])
    for one in panel:
        assert not (one.fitted & one.held).any()
    alone = judges(train, train, np.zeros(12, dtype=bool), groups)
    assert sum(one.share for one in alone) == pytest.approx(1)


def test_models_that_nothing_can_be_held_out_of_are_refused() -> None:
    train = np.ones(6, dtype=bool)
    with pytest.raises(InputError, match="the 6 train models are one group and none validates"):
        judges(train, train, ~train, {"a": train})


def planted(seed: int, n: int = 48) -> tuple[Floats, Floats]:
    """Four scores of which the first carries the accuracy, the second follows it, two are noise."""
    rng = np.random.default_rng(seed)
    true = rng.uniform(1.0, 3.0, n)
    family = np.arange(n) % 6
    follows = true + rng.normal(0.0, 0.5, 6)[family] + rng.normal(0.0, 0.1, n)
    score = np.stack([true, follows, rng.normal(size=n), rng.normal(size=n)])
    ability = sigmoid_law(true, -3.0, 2.0, 0.25)
    return score, rng.binomial(1000, ability) / 1000


def stack_of(
    names: Sequence[str], panel: Sequence[Judge], score: Floats, accuracy: Floats, known: Mask
) -> Stack:
    """A stack of scores that do not depend on who is held out."""
    return fit_stack(names, panel, [score] * len(panel), score, accuracy, 0.25, known)


@given(seeds)
@settings(max_examples=15)
def test_the_score_that_carries_the_accuracy_has_most_of_the_weight(seed: int) -> None:
    score, accuracy = planted(seed)
    every, groups = known_models(48, 6)
    test = groups["5"]
    panel = judges(~test, ~test, ~every, groups)
    names = ["true", "follows", "noise", "noise"]
    stack = stack_of(names, panel, score, np.where(test, np.nan, accuracy), ~test)
    assert stack.weight[0] > 0.6
    predicted, low, high = stack.predict(score)
    assert np.mean(np.square(predicted - accuracy)[test]) < 4e-3
    assert np.all((low <= predicted) & (predicted <= high))


def test_intervals_follow_the_validation_models_that_are_like_test_models() -> None:
    score, accuracy = planted(2)
    every, groups = known_models(48, 6)
    validation = groups["4"] | groups["5"]
    accuracy[groups["5"]] += 0.3  # what no score tells
    left_out = {name: groups[name] for name in "0123"}

    def error(like_test: Mask | None) -> tuple[float, int]:
        panel = judges(every, ~validation, validation, left_out, like_test)
        stack = stack_of("abcd", panel, score, accuracy, every)
        return stack.error, stack.residuals.size

    n_left_out, n_family = 32, 8
    none, all_of_them = error(np.zeros(48, dtype=bool)), error(None)
    assert (none[1], all_of_them[1]) == (n_left_out, n_left_out + 2 * n_family)
    surprising, ordinary = error(groups["5"]), error(groups["4"])
    assert surprising[1] == ordinary[1] == n_left_out + n_family
    assert surprising[0] > 0.2 > ordinary[0]


@pytest.mark.slow
def test_nine_of_ten_intervals_hold_on_families_that_were_never_seen() -> None:
    covered = []
    for seed in range(40):
        score, accuracy = planted(seed)
        groups = known_models(48, 6)[1]
        test = groups["5"]
        panel = judges(~test, ~test, np.zeros(48, dtype=bool), groups)
        stack = stack_of("abcd", panel, score, accuracy, ~test)
        _, low, high = stack.predict(score)
        covered.append(np.mean(((low <= accuracy) & (accuracy <= high))[test]))
    assert 0.85 <= np.mean(covered) <= 0.99


def test_accuracies_of_test_models_are_not_read() -> None:
    score, accuracy = planted(1)
    groups = known_models(48, 6)[1]
    test = groups["5"]
    panel = judges(~test, ~test, np.zeros(48, dtype=bool), groups)
    stacks = [
        stack_of("abcd", panel, score, np.where(test, other, accuracy), ~test)
        for other in (0.0, np.nan)
    ]
    assert_allclose(stacks[0].weight, stacks[1].weight)
    assert stacks[0].error == stacks[1].error


def test_a_mix_of_one_is_that_one_and_stays_within_its_bounds() -> None:
    predicted = np.array([[0.0, 0.3, 1.0], [0.5, 0.5, 0.5]])
    assert_allclose(mix(predicted, np.array([1.0, 0.0])), [0.001, 0.3, 0.999])


def test_a_weighted_quantile_worked_by_hand() -> None:
    values, shares = np.array([3.0, 1.0, 2.0]), np.array([0.1, 0.5, 0.4])
    assert weighted_quantile(values, shares, 0.9) == 2.0
    assert weighted_quantile(values, shares, 0.91) == 3.0
    assert weighted_quantile(values, np.ones(3), 0.3) == 1.0


def test_each_judge_predicts_with_the_scores_that_were_made_for_it() -> None:
    score, accuracy = planted(3)
    every, groups = known_models(48, 6)
    panel = judges(every, every, ~every, groups)
    noise = np.random.default_rng(0).normal(size=score.shape[1])
    spoilt = [np.vstack([np.where(one.held, noise, score[0]), score[1:]]) for one in panel]
    stack = fit_stack("abcd", panel, spoilt, score, accuracy, 0.25, every)
    assert stack.weight[0] < 0.2 < stack.weight[1]  # the first fails on what it did not see


def test_an_interval_is_as_wide_as_left_out_errors_and_the_laws_disagreement() -> None:
    by_law = np.array([[0.4, 0.5], [0.6, 0.5]])
    predicted, low, high = interval(by_law, np.array([0.5, 0.5]), 0.05)
    assert_allclose(predicted, [0.5, 0.5])
    assert_allclose(high - predicted, [np.hypot(0.05, 1.645 * 0.1), 0.05])
    assert_allclose(predicted - low, high - predicted)
