import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from csvcore.analysis.items_worth import items_worth
from csvcore.analysis.metrics import noise_floor
from csvcore.errors import InputError


def test_one_model_by_hand() -> None:
    # p = 0.5 of 101 items: 20 items err by 0.25 / 20 * 81 / 100 = 0.010125
    accuracy = np.array([0.5])
    assert items_worth(0.010125, accuracy, 0.25 / 101) == pytest.approx(20.0)


@given(st.integers(1, 49), st.integers(0, 1000))
def test_a_subset_of_items_is_worth_its_own_size(n_drawn: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    right = rng.random((6, 50)) < rng.uniform(0.2, 0.8, (6, 1))
    accuracy = right.mean(axis=1)
    if (accuracy * (1 - accuracy)).sum() == 0:
        return
    exact = np.mean(accuracy * (1 - accuracy)) / n_drawn * (50 - n_drawn) / 49
    floor = noise_floor(accuracy, np.full(6, 50.0))
    assert items_worth(float(exact), accuracy, floor) == pytest.approx(n_drawn)


def test_simulated_draws_err_as_much_as_the_formula_says() -> None:
    rng = np.random.default_rng(0)
    right = np.arange(200) < 130
    means = [rng.permutation(right)[:40].mean() for _ in range(4000)]
    mse = float(np.mean(np.square(np.array(means) - right.mean())))
    accuracy = np.array([right.mean()])
    floor = noise_floor(accuracy, np.array([200.0]))
    assert items_worth(mse, accuracy, floor) == pytest.approx(40.0, rel=0.05)


def test_an_exact_prediction_is_worth_all_items_and_certain_ones_tell_nothing() -> None:
    accuracy = np.array([0.3, 0.6])
    floor = noise_floor(accuracy, np.array([80.0, 80.0]))
    assert items_worth(0.0, accuracy, floor) == pytest.approx(80.0)
    assert items_worth(0.1, np.array([0.0, 1.0]), 0.0) is None
    with pytest.raises(InputError, match="not negative"):
        items_worth(-0.1, accuracy, floor)
