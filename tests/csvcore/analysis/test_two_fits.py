"""Two fits side by side: cases worked by hand, properties, and what is not distinguishable."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from csvcore.analysis import two_fits
from csvcore.analysis.two_fits import agreement, common_pieces, error_difference
from csvcore.errors import InputError
from csvcore.records import Floats, Ints, Prediction
from tests.support.rows import FIT


def test_settings_that_differ_are_listed_with_both_values() -> None:
    other = replace(FIT, split="other", config={"steps": 2, "scorer": "somewhere", "penalty": 0.1})
    assert two_fits.differing_settings(FIT, FIT) == []
    assert two_fits.differing_settings(FIT, other) == [
        ("split", "sides", "other"),
        ("steps", 1, 2),
        ("penalty", None, 0.1),
    ]


def test_two_tokenizations_are_compared_where_they_overlap() -> None:
    # "the cat": the| cat against th|e c|at; then one token each of "no"
    edges_a, edges_b = [np.array([0, 3, 7]), np.array([0, 2])], [np.array([0, 2, 5, 7])] * 1
    edges_b = [*edges_b, np.array([0, 2])]
    found = common_pieces(edges_a, np.array([1.0, 2.0, 3.0]), edges_b, np.array([4.0, 5, 6, 7]))
    assert found.doc.tolist() == [0, 0, 0, 0, 1]
    assert found.start.tolist() == [0, 2, 3, 5, 0]
    assert found.end.tolist() == [2, 3, 5, 7, 2]
    assert found.a.tolist() == [1, 1, 2, 2, 3]
    assert found.b.tolist() == [4, 5, 5, 6, 7]


def test_equal_tokens_are_the_pieces_and_tokens_without_bytes_are_left_out() -> None:
    edges = [np.array([0, 2, 2, 5])]
    found = common_pieces(edges, np.array([1.0, 9.0, 2.0]), edges, np.array([3.0, 8.0, 4.0]))
    assert found.start.tolist() == [0, 2]
    assert (found.a.tolist(), found.b.tolist()) == ([1, 2], [3, 4])


def test_other_texts_are_refused() -> None:
    one, two = np.array([0, 2]), np.array([0, 3])
    for a, b in (([one], [two]), ([one], [one, one])):
        with pytest.raises(InputError, match="the two fits are of other texts"):
            common_pieces(a, np.ones(len(a)), b, np.ones(len(b)))


@st.composite
def tilings(draw: st.DrawFn) -> tuple[Ints, Ints]:
    end = draw(st.integers(1, 30))
    cuts = [draw(st.sets(st.integers(1, end))) for _ in range(2)]
    one, two = (np.array(sorted({0, end} | cut)) for cut in cuts)
    return one, two


@given(tilings())
def test_the_weighted_bytes_of_a_fit_stay_the_same(both: tuple[Ints, Ints]) -> None:
    rng = np.random.default_rng(1)
    weights: list[Floats] = [rng.normal(size=edges.size - 1) for edges in both]
    found = common_pieces([both[0]], weights[0], [both[1]], weights[1])
    n_bytes = found.end - found.start
    assert n_bytes.sum() == both[0][-1]
    assert (found.a * n_bytes).sum() == pytest.approx((weights[0] * np.diff(both[0])).sum())
    assert (found.b * n_bytes).sum() == pytest.approx((weights[1] * np.diff(both[1])).sum())


def test_agreement_by_hand() -> None:
    a, b = np.array([1.0, 2.0, 3.0, -4.0]), np.array([2.0, 4.0, 6.0, 8.0])
    found = agreement(a, b)
    assert found.opposite == 0.25
    assert found.strong == 1.0
    assert found.spearman == pytest.approx(-0.2)
    assert agreement(a, 3 * a).pearson == pytest.approx(1.0)
    assert agreement(a, np.ones(4)).pearson is None
    assert "there is no correlation" in two_fits.agreement_sentence(agreement(a, np.ones(4)))


def with_errors(errors: list[float], trained: str = "") -> two_fits.Fit:
    predictions = tuple(
        Prediction(f"m{i}", "train" if f"m{i}" == trained else "test", 1.0, 0.5, 0.5 + e, 0.0, 1.0)
        for i, e in enumerate(errors)
    )
    return replace(FIT, predictions=predictions)


def test_errors_are_compared_on_models_that_neither_fit_was_trained_on() -> None:
    runs = {f"m{i}": f"run {i}" for i in range(4)}
    small, large = with_errors([0.1] * 4), with_errors([0.2] * 4, trained="m3")
    found = error_difference(small, large, runs)
    assert found is not None
    assert found.n_models == 3
    assert found.mse_a == pytest.approx(0.01)
    assert found.mse_b == pytest.approx(0.04)
    assert found.low == found.high == pytest.approx(-0.03)
    assert two_fits.error_sentence(found).startswith("A has the smaller error: MSE 1.0e-02 of A")


def test_errors_that_chance_may_have_made_are_not_distinguishable() -> None:
    runs = {f"m{i}": i for i in range(4)}
    found = error_difference(
        with_errors([0.1, 0.3, 0.2, 0.1]), with_errors([0.2, 0.1, 0.3, 0.1]), runs
    )
    assert found is not None
    assert found.is_distinguishable is False
    assert two_fits.error_sentence(found).startswith("A and B are not distinguishable: MSE")


def test_without_common_models_or_runs_nothing_is_claimed() -> None:
    one = with_errors([0.1, 0.2])
    assert error_difference(one, replace(one, task="adding"), {}) is None
    assert error_difference(one, replace(one, predictions=()), {}) is None
    found = error_difference(one, one, {"m0": "run", "m1": "run"})
    assert found is not None
    assert found.is_distinguishable is None
    assert two_fits.error_sentence(found).endswith("so there is no interval.")
