"""Laws of taking a score apart."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from csvcore.analysis.attribution import contributions, expected_losses, score_at
from csvcore.errors import InputError
from csvcore.salience import capability_score, partial_scores
from csvcore.scaling import sigmoid_law

N_CHARS = 50


def world(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weights of 12 tokens, and the losses of 6 models on them with their scores."""
    rng = np.random.default_rng(seed)
    weight, nll = rng.exponential(size=12), rng.exponential(size=(6, 12))
    return weight, nll, capability_score(weight, nll, N_CHARS)


@given(st.integers(0, 1000), st.floats(-1, 1))
def test_contributions_add_up_to_how_far_the_model_is_off(seed: int, at: float) -> None:
    weight, nll, score = world(seed)
    for row, own in zip(nll, score, strict=True):
        found = contributions(weight, row, expected_losses(nll, score, at), N_CHARS)
        assert found.sum() == pytest.approx(own - at, abs=1e-9)


def test_expected_losses_are_a_least_squares_line_through_the_models() -> None:
    _, nll, score = world(0)
    by_numpy = [np.polyval(np.polyfit(score, column, 1), 0.3) for column in nll.T]
    assert_allclose(expected_losses(nll, score, 0.3), by_numpy)


def test_models_that_lie_on_the_lines_are_off_nowhere() -> None:
    score = np.array([0.1, 0.2, 0.4])
    nll = np.outer(score, [1.0, 2.0]) + np.array([0.5, 0.1])
    assert_allclose(expected_losses(nll, score, 0.2), nll[1])


@given(st.floats(0.3, 0.95), st.floats(-50, -0.5), st.floats(-2, 2))
def test_the_law_at_the_score_of_an_accuracy_is_that_accuracy(
    accuracy: float, alpha: float, beta: float
) -> None:
    score = score_at(accuracy, alpha, beta, 0.25)
    assert sigmoid_law(np.array([score]), alpha, beta, 0.25)[0] == pytest.approx(accuracy)


@pytest.mark.parametrize(("accuracy", "share"), [(0.0, 0.05), (0.25, 0.05), (1.0, 0.95)])
def test_accuracies_at_the_ends_are_held_away_from_them(accuracy: float, share: float) -> None:
    found = sigmoid_law(np.array([score_at(accuracy, -3.0, 1.0, 0.25)]), -3.0, 1.0, 0.25)
    assert found[0] == pytest.approx(0.25 + 0.75 * share)


def test_a_line_needs_two_scores() -> None:
    with pytest.raises(InputError, match="two models with different scores"):
        expected_losses(np.ones((2, 3)), np.array([1.0, 1.0]), 0.5)


@given(st.integers(0, 1000))
def test_what_the_sources_add_is_the_score(seed: int) -> None:
    weight, nll, score = world(seed)
    source = np.random.default_rng(seed).integers(0, 3, 12)
    parts = partial_scores(weight, nll, source, 3, N_CHARS)
    assert parts.shape == (6, 3)
    assert_allclose(parts.sum(axis=1), score)
    without = capability_score(weight * (source != 1), nll, N_CHARS)
    assert_allclose(parts[:, [0, 2]].sum(axis=1), without, atol=1e-12)
