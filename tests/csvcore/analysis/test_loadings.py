import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit

from csvcore.analysis.loadings import Scale, anchor_tasks, fit_loadings, mix_of

seeds = st.integers(0, 10_000)


def test_a_task_that_is_a_mix_of_two_others_is_no_anchor() -> None:
    rng = np.random.default_rng(0)
    one, two = rng.normal(size=(2, 40))
    score = np.array([one + two, one, two])
    np.testing.assert_array_equal(anchor_tasks(score, 2), [1, 2])
    np.testing.assert_array_equal(anchor_tasks(score, 3), [0, 1, 2])


def test_a_mix_is_found_again_and_one_that_follows_nothing_is_equal_parts() -> None:
    rng = np.random.default_rng(1)
    z, share = rng.normal(size=(3, 50)), np.full(50, 0.02)
    np.testing.assert_allclose(mix_of(z, 0.2 * z[0] + 0.6 * z[2] + 7.0, share), [0.25, 0, 0.75])
    np.testing.assert_allclose(mix_of(np.ones((2, 50)), np.arange(50.0), share), [0.5, 0.5])


@given(seeds)
def test_loadings_are_not_negative_and_recover_what_made_the_accuracies(seed: int) -> None:
    rng = np.random.default_rng(seed)
    z = Scale.of(score := rng.normal(size=(2, 80)), np.ones(80, dtype=bool)).standardised(score)
    true, gamma = rng.uniform(0.3, 2.0, (3, 2)), np.array([0.0, 0.25, 0.5])
    accuracy = gamma[:, None] + (1 - gamma[:, None]) * expit(0.3 - true @ z)
    share = np.full((3, 80), 1 / 80)
    found = fit_loadings(z, accuracy, gamma, share, np.full((3, 2), 0.5), 1e-9)
    np.testing.assert_allclose(found.loading, true, atol=0.02)
    assert (found.loading >= 0).all()
    np.testing.assert_allclose(found.predict(z), accuracy, atol=2e-3)


def test_an_infinite_tie_keeps_the_mix_and_models_without_a_share_are_not_read() -> None:
    rng = np.random.default_rng(2)
    z, mix = rng.normal(size=(2, 30)), np.array([[0.25, 0.75]])
    accuracy = expit(-2.0 * mix @ z)
    accuracy[0, :5] = np.nan
    share = np.where(np.isnan(accuracy), 0.0, 1 / 25)
    found = fit_loadings(z, accuracy, np.zeros(1), share, mix, np.inf)
    np.testing.assert_allclose(found.loading, 2.0 * mix, rtol=1e-3)
    assert found.offset[0] == pytest.approx(0.0, abs=1e-3)


def test_accuracies_that_rise_with_the_score_give_no_loading() -> None:
    z, share = np.linspace(-1, 1, 20)[None], np.full((1, 20), 0.05)
    found = fit_loadings(z, expit(z), np.zeros(1), share, np.ones((1, 1)), np.inf)
    assert found.loading[0, 0] == 0.0
    assert found.predict(z)[0] == pytest.approx(np.full(20, 0.5), abs=0.01)


def test_the_slope_is_that_of_finite_differences() -> None:
    z, share = np.linspace(-1, 1, 20)[None], np.full((1, 20), 0.05)
    gamma = np.array([0.25])
    found = fit_loadings(z, 0.25 + 0.75 * expit(-2 * z), gamma, share, np.ones((1, 1)), np.inf)
    by_logit = (found.predict(z + 1e-5) - found.predict(z - 1e-5)) / (-2e-5 * found.loading[0, 0])
    np.testing.assert_allclose(found.slope(z), by_logit, rtol=1e-4)
