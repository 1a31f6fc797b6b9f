"""Laws of item response theory: abilities are found, what was evaluated counts as it is."""

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import expit

from csvcore.analysis.item_response import Items, choose_informative, fit_items
from csvcore.errors import InputError


def answers(n_models: int = 80, n_items: int = 300, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Results of models and their abilities; items differ in slope and level."""
    rng = np.random.default_rng(seed)
    ability = rng.normal(0, 1, n_models)
    items = Items(rng.uniform(0.5, 3, n_items), rng.normal(0, 2, n_items))
    chance = items.chances(ability)
    return (rng.random(chance.shape) < chance).astype(np.float64), ability


def test_abilities_slopes_and_levels_are_found() -> None:
    rng = np.random.default_rng(0)
    ability = rng.normal(0, 1, 400)
    truth = Items(rng.uniform(0.5, 3, 100), rng.normal(0, 1, 100))
    chance = truth.chances(ability)
    items, found = fit_items((rng.random(chance.shape) < chance).astype(np.float64))
    assert np.corrcoef(found, ability)[0, 1] > 0.97
    assert np.corrcoef(items.slope, truth.slope)[0, 1] > 0.9
    assert np.corrcoef(items.level, truth.level)[0, 1] > 0.97


def test_an_ability_is_the_maximum_of_its_posterior() -> None:
    correct, _ = answers(5, 12)
    items = Items(np.linspace(0.5, 3, 12), np.linspace(-2, 2, 12))
    item = np.arange(0, 12, 2)
    found = items.abilities(correct, item)
    for row, ability in zip(correct, found, strict=True):

        def loss(at: float, row: np.ndarray = row) -> float:
            chance = expit(at * items.slope[item] + items.level[item])
            right = row[item]
            log = right * np.log(chance) + (1 - right) * np.log1p(-chance)
            return float(0.5 * at**2 - log.sum())

        assert ability == pytest.approx(minimize_scalar(loss, bracket=(-1, 1)).x, abs=1e-5)


def test_all_items_give_the_accuracy_itself() -> None:
    correct, _ = answers(6, 20)
    items, _ = fit_items(correct)
    np.testing.assert_allclose(items.accuracies(correct, np.arange(20)), correct.mean(axis=1))


def test_subsets_err_less_than_as_many_random_items_where_one_ability_is_behind_all() -> None:
    correct, _ = answers(160)
    known, new = correct[:120], correct[120:]
    truth, rng = new.mean(axis=1), np.random.default_rng(0)
    items, _ = fit_items(known)
    draws = [rng.choice(300, 20, replace=False) for _ in range(50)]
    plain = np.mean([np.square(new[:, item].mean(axis=1) - truth).mean() for item in draws])
    by_theory = np.mean([np.square(items.accuracies(new, item) - truth).mean() for item in draws])
    chosen = np.square(choose_informative(known, 20).predict(new) - truth).mean()
    assert chosen < by_theory < 0.7 * plain
    assert chosen < 0.5 * plain


def test_only_the_subset_of_a_new_model_is_read() -> None:
    correct, _ = answers()
    found = choose_informative(correct[:60], 10)
    assert len(set(found.item)) == 10
    hidden = np.full((20, 300), np.nan)
    hidden[:, found.item] = correct[60:, found.item]
    np.testing.assert_array_equal(found.predict(hidden), found.predict(correct[60:]))
    np.testing.assert_allclose(
        found.items.abilities(hidden, found.item), found.items.abilities(correct[60:], found.item)
    )


def test_impossible_subsets_are_refused() -> None:
    correct, _ = answers(20, 30)
    with pytest.raises(InputError, match="1 to 30 of the items, got 31"):
        choose_informative(correct, 31)
    with pytest.raises(InputError, match="1 to 30 of the items, got 0"):
        choose_informative(correct, 0)
    with pytest.raises(InputError, match="two models and two items, got 1 and 30"):
        fit_items(correct[:1])
