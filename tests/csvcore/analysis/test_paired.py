"""The paired test of two models: worked by hand, against scipy and exact enumeration, refusals."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from csvcore.analysis import paired
from csvcore.analysis.paired import paired_test
from csvcore.errors import InputError
from csvcore.records import Floats


def outcomes(only_a: int, only_b: int, both: int, neither: int) -> tuple[Floats, Floats]:
    a = [1.0] * only_a + [0.0] * only_b + [1.0] * both + [0.0] * neither
    b = [0.0] * only_a + [1.0] * only_b + [1.0] * both + [0.0] * neither
    return np.array(a), np.array(b)


def test_a_case_worked_by_hand() -> None:
    found = paired_test(*outcomes(8, 1, 5, 6))
    assert (found.only_a, found.only_b, found.both, found.neither) == (8, 1, 5, 6)
    assert found.accuracy_a == pytest.approx(13 / 20)
    assert found.accuracy_b == pytest.approx(6 / 20)
    assert found.difference == pytest.approx(7 / 20)
    assert found.p == pytest.approx(2 * (1 + 9) / 2**9)  # at most 1 of 9 heads, both tails
    # Agresti and Min: cells 8.5 and 1.5 of 22 items
    centre = 7 / 22
    half = 1.959964 * np.sqrt(10 - 49 / 22) / 22
    assert found.low == pytest.approx(centre - half, abs=1e-6)
    assert found.high == pytest.approx(centre + half, abs=1e-6)
    assert found.is_distinguishable
    assert paired.sentence("ant", "bee", found) == (
        "ant is better than bee: ant minus bee is +35.0 points, 95 % interval +7.0 to +56.7, "
        "p = 0.039, exact McNemar test on 20 common items."
    )


def test_equal_results_are_not_distinguishable_and_not_known_to_be_equal() -> None:
    found = paired_test(*outcomes(0, 0, 30, 10))
    assert (found.p, found.difference) == (1.0, 0.0)
    assert found.low == pytest.approx(-(found.high or 0))
    assert 0.02 < (found.high or 0) < 0.1
    assert found.detectable == pytest.approx(stats_detectable(40), abs=3e-5)
    said = paired.sentence("ant", "bee", found)
    assert said.startswith("ant and bee are not distinguishable: ant minus bee is +0.0 points")
    assert said.endswith("points would be found with 80 % power.")


def stats_detectable(n_items: int) -> float:
    """Where only one model ever wins, the difference whose number of wins is at least 6 with 80 %:
    2 / 2**6 is the first p-value below 0.05."""
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if stats.binom.sf(5, n_items, middle) >= 0.8 else (middle, high)
    return high


def test_too_few_items_detect_nothing() -> None:
    found = paired_test(*outcomes(5, 0, 0, 0))
    assert found.p == pytest.approx(2 / 2**5)
    assert found.detectable is None
    assert found.power(0.5) == 0.0
    assert paired.sentence("ant", "bee", found).endswith("80 % power on so few items.")


cells = st.tuples(*[st.integers(0, 40)] * 4).filter(lambda four: sum(four) >= 2)


@settings(max_examples=25)
@given(cells)
def test_exchanged_models_have_the_opposite_difference(four: tuple[int, int, int, int]) -> None:
    a, b = outcomes(*four)
    one, other = paired_test(a, b), paired_test(b, a)
    assert one.difference == pytest.approx(-other.difference)
    assert one.p == pytest.approx(other.p)
    assert one.low is not None
    assert other.high is not None
    assert one.low == pytest.approx(-other.high)
    assert -1.0 <= one.low <= one.difference + 0.05
    assert one.detectable == pytest.approx(other.detectable)


@settings(max_examples=25)
@given(cells, st.randoms(use_true_random=False))
def test_the_order_of_the_items_does_not_matter(
    four: tuple[int, int, int, int], rng: object
) -> None:
    a, b = outcomes(*four)
    order = np.random.default_rng(sum(four)).permutation(a.size)
    assert paired_test(a[order], b[order]).p == pytest.approx(paired_test(a, b).p)


@pytest.mark.parametrize(("share", "win"), [(0.1, 0.5), (0.3, 0.7), (0.05, 0.5), (0.5, 0.9)])
def test_the_interval_covers_as_it_says(share: float, win: float) -> None:
    n, truth = 60, share * (2 * win - 1)
    covered = 0.0
    for only_a in range(n + 1):
        for only_b in range(n + 1 - only_a):
            chance = stats.multinomial.pmf(
                [only_a, only_b, n - only_a - only_b],
                n,
                [share * win, share * (1 - win), 1 - share],
            )
            if chance > 1e-9:
                low, high = paired.agresti_min(only_a, only_b, n)
                covered += chance * (low <= truth <= high)
    assert 0.93 < covered < 0.995


@pytest.mark.parametrize(("share", "difference"), [(0.2, 0.0), (0.2, 0.1), (0.3, -0.15)])
def test_the_power_is_that_of_simulated_tests(share: float, difference: float) -> None:
    n, rng = 80, np.random.default_rng(3)
    win = (share + difference) / 2
    draws = rng.multinomial(n, [win, share - win, 1 - share], size=20_000)
    values, counts = np.unique(draws[:, :2], axis=0, return_counts=True)
    significant = [
        a + b > 0 and stats.binomtest(int(a), int(a + b)).pvalue <= 0.05 for a, b in values
    ]
    simulated = float(np.sum(counts * np.array(significant)) / 20_000)
    power = paired.mcnemar_power(n, share, difference)
    assert power == pytest.approx(simulated, abs=4 * np.sqrt(power * (1 - power) / 20_000))
    if difference == 0.0:
        assert power <= 0.05


@settings(max_examples=25)
@given(st.integers(20, 400), st.floats(0.02, 0.5))
def test_the_detectable_difference_is_where_the_power_is_80_percent(
    n_items: int, share: float
) -> None:
    found = paired.mcnemar_detectable(n_items, share)
    assert found is not None
    assert paired.mcnemar_power(n_items, share, found) == pytest.approx(0.8, abs=1e-3)


def test_as_many_items_as_are_needed_have_about_that_power() -> None:
    found = paired_test(*outcomes(12, 8, 40, 40))
    needed = found.items_needed(0.05)
    assert needed == int(np.ceil(7.8489 * (0.2 - 0.05**2) / 0.05**2))
    assert paired.mcnemar_power(needed, 0.2, 0.05) == pytest.approx(0.8, abs=0.03)
    assert found.items_needed(0.0) is None


def test_fractions_are_compared_by_the_paired_t_test() -> None:
    rng = np.random.default_rng(5)
    a = rng.random(40)
    b = np.clip(a + rng.normal(0.1, 0.2, 40), 0, 1)
    found = paired_test(a, b)
    result = stats.ttest_rel(a, b)
    assert found.test == "paired t-test"
    assert found.only_a is None
    assert found.p == pytest.approx(result.pvalue)
    assert (found.low, found.high) == pytest.approx(tuple(result.confidence_interval(0.95)))
    assert found.detectable is not None
    assert found.power(found.detectable) == pytest.approx(0.8, abs=1e-3)
    assert paired_test(a, a).p == 1.0
    assert paired_test(a, a).low is None
    assert paired_test(a, a).power(0.1) is None
    assert paired_test(a, a).items_needed(0.1) is None


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(InputError, match="a paired test needs at least 2 common items, got 1"):
        paired_test(np.ones(1), np.ones(1))
    with pytest.raises(InputError, match=r"results \(2,\) and \(3,\) must be one"):
        paired_test(np.ones(2), np.ones(3))
