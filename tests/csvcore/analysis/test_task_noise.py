from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.stats import norm

from csvcore.analysis import task_noise
from csvcore.records import Floats, ItemStatistics, ModelCard
from tests.support.cards import card

STEPS = (1, 3, 7)  # ln(1 + step) at equal distances


def statistics(correct: Floats) -> ItemStatistics:
    """Of item results (n_models, n_items), straight from the definitions."""
    return ItemStatistics(
        *correct.shape,
        difficulty=float(correct.mean(axis=0).std()),
        within_variance=float(correct.var(axis=1).mean()),
        item_variance=float(correct.var(axis=0, ddof=1).mean()),
        mean_variance=float(correct.mean(axis=1).var(ddof=1)),
    )


def test_the_signal_to_noise_ratio_of_two_runs_by_hand() -> None:
    cards = [card(family, 1, step) for family in "AB" for step in STEPS]
    accuracy = np.array([0.2, 0.4, 0.3, 0.5, 0.5, 0.5])
    # ends .3 and .5: dispersion .2 / .4; run A: second difference -.3, variance .09 / 6, mean .3;
    # run B has no noise
    noise = np.sqrt((0.09 / 6 / 0.3**2 + 0.0) / 2)
    assert task_noise.signal_to_noise(accuracy, cards) == pytest.approx(0.5 / noise)


def test_the_ratio_is_unknown_without_noise_runs_or_checkpoints() -> None:
    cards = [card(family, 1, step) for family in "AB" for step in STEPS]
    flat = np.array([0.2] * 3 + [0.5] * 3)
    assert task_noise.signal_to_noise(flat, cards) is None
    assert task_noise.signal_to_noise(np.arange(3) ** 2.0, cards[:3]) is None
    two = [card(family, 1, step) for family in "AB" for step in STEPS[:2]]
    assert task_noise.signal_to_noise(np.array([0.1, 0.2, 0.3, 0.1]), two) is None
    assert task_noise.run_noise(np.array([0.1, 0.2, 0.3, 0.1]), two) is None


def test_run_noise_at_equal_distances_is_the_second_difference_over_the_root_of_6() -> None:
    cards = [card("A", 1, step) for step in (1, 3, 7, 15)]
    values = np.array([0.1, 0.5, 0.3, 0.8])
    second = np.diff(values, 2)
    expected = np.sqrt(np.mean(second**2) / 6)
    assert task_noise.run_noise(values, cards) == pytest.approx(expected)


@given(st.lists(st.integers(1, 10**6), min_size=3, max_size=8, unique=True))
def test_a_straight_line_in_the_log_of_tokens_has_no_noise(tokens: list[int]) -> None:
    cards = [ModelCard(f"m{t}", "A", 1, train_tokens=t, step=t // 3) for t in tokens]
    values = 0.3 + 0.02 * np.log1p(np.array(tokens, float))
    assert task_noise.run_noise(values, cards) == pytest.approx(0.0, abs=1e-12)


def test_planted_noise_along_runs_is_found_at_any_distances() -> None:
    rng = np.random.default_rng(0)
    cards, values = [], []
    for run in range(40):
        steps = np.sort(rng.choice(10_000, 12, replace=False))
        cards += [card("A", run, int(step)) for step in steps]
        values += (0.1 * run + 0.05 * np.log1p(steps) + rng.normal(0, 0.03, 12)).tolist()
    assert task_noise.run_noise(np.array(values), cards) == pytest.approx(0.03, rel=0.1)


def test_planted_seed_noise_is_found() -> None:
    rng = np.random.default_rng(1)
    runs = (None, "seed2", "seed3")
    cards = [card("A", size, step, run=run) for size in range(20) for step in STEPS for run in runs]
    level = np.repeat(rng.uniform(0, 1, 60), 3)
    values = level + rng.normal(0, 0.02, 180)
    assert task_noise.seed_noise(values, cards) == pytest.approx(0.02, rel=0.1)


def test_seed_noise_by_hand_and_unknown_without_repetitions() -> None:
    cards = [card("A", 1, 5), card("A", 1, 5, run="seed2"), card("B", 1, 5, run="seed2")]
    assert task_noise.seed_noise(np.array([0.1, 0.3, 0.9]), cards) == pytest.approx(
        np.std([0.1, 0.3], ddof=1)
    )
    assert task_noise.seed_noise(np.array([0.1, 0.9]), [cards[0], cards[2]]) is None
    # two models of one family, size and step without a named run are not known to be repetitions
    unnamed = [ModelCard("base", "A", 1), ModelCard("chat", "A", 1)]
    assert task_noise.seed_noise(np.array([0.1, 0.9]), unnamed) is None
    named = ModelCard("again", "A", 1, run="seed2")
    assert task_noise.seed_noise(np.array([0.1, 0.9, 0.5]), [*unnamed, named]) is None


@given(st.permutations(range(12)), st.integers(0, 99))
def test_the_order_of_models_does_not_matter(order: list[int], seed: int) -> None:
    cards = [card(f, 1, step, run=run) for f in "AB" for run in (None, "x") for step in STEPS]
    values = np.random.default_rng(seed).uniform(0.1, 1, 12)
    shuffled = [cards[at] for at in order]
    for figure in (task_noise.seed_noise, task_noise.run_noise, task_noise.signal_to_noise):
        assert_allclose(figure(values[order], shuffled), figure(values, cards))


def test_the_detectable_difference_is_detected_in_four_of_five_experiments() -> None:
    n, p = 500, 0.5
    difference = task_noise.detectable_difference(p, n)
    assert difference == pytest.approx((norm.ppf(0.975) + norm.ppf(0.8)) * np.sqrt(0.5 / n))
    rng = np.random.default_rng(2)
    low, high = (rng.binomial(n, p + sign * difference / 2, 20_000) / n for sign in (-1, 1))
    error = np.sqrt((low * (1 - low) + high * (1 - high)) / n)
    assert np.mean(np.abs(high - low) / error > norm.ppf(0.975)) == pytest.approx(0.8, abs=0.02)


def test_the_paired_difference_has_the_mean_variance_over_all_pairs_of_models() -> None:
    correct = np.random.default_rng(3).integers(0, 2, (6, 40)).astype(float)
    pairs = [(one - two).var() for one, two in combinations(correct, 2)]
    expected = (norm.ppf(0.975) + norm.ppf(0.8)) * np.sqrt(np.mean(pairs) / 40)
    found = task_noise.paired_detectable_difference(statistics(correct))
    assert found == pytest.approx(expected)


def test_models_that_agree_on_every_item_need_no_more_items() -> None:
    correct = np.tile(np.arange(10) % 2, (3, 1)).astype(float)
    assert task_noise.paired_detectable_difference(statistics(correct)) == 0.0
    assert task_noise.reliability(statistics(correct)) is None


def test_reliability_is_kr_20_and_item_noise_is_binomial_for_results_of_0_and_1() -> None:
    rng = np.random.default_rng(4)
    ability = rng.uniform(0.1, 0.9, (30, 1))
    correct = (rng.uniform(size=(30, 50)) < ability).astype(float)
    p = correct.mean(axis=0)
    total = correct.sum(axis=1).var()
    kr_20 = 50 / 49 * (1 - np.sum(p * (1 - p)) / total)
    items = statistics(correct)
    assert task_noise.reliability(items) == pytest.approx(kr_20)
    binomial = task_noise.item_noise(correct.mean(axis=1), np.full(30, 50.0))
    assert task_noise.measured_item_noise(items) == pytest.approx(binomial)
    assert task_noise.item_noise(np.array([0.5]), np.array([np.nan])) is None


def test_families_that_rise_by_hand() -> None:
    accuracy = np.array([0.25, 0.40, 0.70, 0.75, 0.20, 0.34, 0.10, 0.55])
    families = list("AABBCCDD")
    # B is good and flat; C rises by 0.14 of which 0.09 is above chance
    assert task_noise.rising_families(accuracy, families, 0.25, None) == ("A", "D")
    assert task_noise.families_above_chance(accuracy, families, 0.25, None) == ("A", "B", "D")
    assert task_noise.rising_families(accuracy, families, 0.25, 0.04) == ("D",)


def test_guessing_is_not_above_chance() -> None:
    n = np.full(3, 100.0)
    assert not task_noise.above_chance(np.array([0.30, 0.25, 0.37]), n, 0.25)
    assert task_noise.above_chance(np.array([0.25, 0.25, 0.39]), n, 0.25)
    assert not task_noise.above_chance(np.array([0.0]), np.array([100.0]), 0.0)
    assert task_noise.above_chance(np.array([0.28]), np.array([np.nan]), 0.25)
    assert not task_noise.above_chance(np.array([]), np.array([]), 0.25)
