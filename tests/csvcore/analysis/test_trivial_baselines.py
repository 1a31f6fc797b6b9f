import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from csvcore.analysis.trivial_baselines import compute, constant, log_flops, sibling
from csvcore.errors import FitError, InputError
from csvcore.records import ModelCard
from csvcore.scaling import sigmoid_law

accuracies = st.lists(st.floats(0.0, 1.0), min_size=1, max_size=12).map(np.array)


def card(
    n_params: int | None = None,
    train_tokens: int | None = None,
    step: int | None = None,
    family: str = "pythia",
    stage: str | None = "base",
) -> ModelCard:
    name = f"{family}-{n_params}-{train_tokens or step}"
    return ModelCard(name, family, n_params, train_tokens, stage, step)


# A constant


def test_a_constant_is_the_mean_for_every_model() -> None:
    assert_allclose(constant(np.array([0.2, 0.6, 0.7]), 4), [0.5, 0.5, 0.5, 0.5])


@given(accuracies, st.floats(0.0, 1.0))
def test_no_other_constant_has_a_smaller_squared_error(accuracy: np.ndarray, other: float) -> None:
    best = np.mean((constant(accuracy, accuracy.size) - accuracy) ** 2)
    assert best <= np.mean((other - accuracy) ** 2) + 1e-15


# A sibling


def test_a_sibling_is_the_largest_of_the_smaller_ones() -> None:
    known = [card(70), card(410), card(160), card(1000), card(1400)]
    accuracy = np.array([0.1, 0.3, 0.2, 0.4, 0.5])
    assert_array_equal(
        sibling([card(1000), card(100), card(9999)], known, accuracy), [0.3, 0.1, 0.5]
    )


def test_of_its_checkpoints_the_nearest_in_ratio_of_tokens_counts() -> None:
    known = [card(70, 100), card(70, 1000), card(70, 10_000), card(60, 320)]
    accuracy = np.array([0.1, 0.2, 0.3, 0.9])
    # 320 is nearer to 1000 than to 100 in ratio, and nearer to 100 in difference
    assert_array_equal(sibling([card(160, 320)], known, accuracy), [0.2])
    assert_array_equal(sibling([card(160, 300)], known, accuracy), [0.1])
    assert_array_equal(sibling([card(160, 10**9)], known, accuracy), [0.3])


def test_a_known_checkpoint_of_the_same_run_counts_before_any_sibling() -> None:
    run = [card(160, tokens, tokens) for tokens in (100, 200, 900)]
    known, accuracy = [card(70, 880, 880), *run[:2]], np.array([0.9, 0.1, 0.2])
    assert_array_equal(sibling(run[2:], known, accuracy), [0.2])
    alone = [card(70, 100), card(160, 100)]  # without a step a model is a run of its own
    assert_array_equal(sibling([card(160, 200)], alone, np.array([0.3, 0.4])), [0.3])


def test_steps_stand_in_where_tokens_are_not_known() -> None:
    known = [card(70, step=10), card(70, step=1000)]
    assert_array_equal(sibling([card(160, step=300)], known, np.array([0.1, 0.2])), [0.2])


def test_tokens_count_before_steps() -> None:
    known = [card(70, 100, step=900), card(70, 1000, step=10)]
    assert_array_equal(sibling([card(160, 900, step=900)], known, np.array([0.1, 0.2])), [0.2])


def test_a_checkpoint_before_training_is_the_nearest_to_none_that_was_trained() -> None:
    # FAILS with 0.1: 0 tokens, or step 0, are taken for not known, and not known for near.
    for zero, known in (
        (card(70, 0), card(70, 1000)),
        (card(70, step=0), card(70, step=1000)),
    ):
        asked = card(160, known.train_tokens and 1001, known.step and 1001)
        assert_array_equal(sibling([asked], [zero, known], np.array([0.1, 0.2])), [0.2])


@pytest.mark.parametrize(
    "other", [card(70, family="opt"), card(70, stage="chat"), card(160), card(None), card(200)]
)
def test_other_families_stages_and_sizes_not_smaller_are_no_siblings(other: ModelCard) -> None:
    assert_array_equal(sibling([card(160)], [other, card(10)], np.array([0.9, 0.3])), [0.3])
    with pytest.raises(InputError, match=r"pythia-160-None has no checkpoint of its run and"):
        sibling([card(160)], [other], np.array([0.9]))


def test_a_model_of_unknown_size_has_no_sibling() -> None:
    with pytest.raises(InputError, match=r"pythia-None-None has no checkpoint of its run"):
        sibling([card(None)], [card(70)], np.array([0.5]))


# Compute


def test_flops_are_6_times_parameters_times_tokens() -> None:
    assert_allclose(log_flops([card(10**9, 10**11), card(5, 2)]), [np.log10(6) + 20, np.log10(60)])


def test_accuracies_that_follow_compute_are_predicted_by_it() -> None:
    rng = np.random.default_rng(0)
    cards = [card(int(10**n), int(10**d)) for n, d in rng.uniform([7, 9], [10, 12], (14, 2))]
    accuracy = sigmoid_law(log_flops(cards), 1.3, 19.5, 0.25)
    found = compute(cards[:9], accuracy[:9], 0.25, cards[9:])
    assert_allclose(found, accuracy[9:], atol=1e-5)
    assert np.corrcoef(found, log_flops(cards[9:]))[0, 1] > 0.5  # more compute, more accuracy


@pytest.mark.parametrize("lacking", [card(None, 5), card(7, None), card(7, 0)])
def test_without_parameters_or_tokens_of_a_model_there_is_no_compute(lacking: ModelCard) -> None:
    good = [card(10**n, 10**n) for n in (6, 7, 8, 9)]
    accuracy = np.array([0.2, 0.4, 0.5, 0.7])
    message = rf"n_params or train_tokens of {lacking.model} is not known"
    with pytest.raises(InputError, match=message):
        compute(good, accuracy, 0.0, [lacking])
    with pytest.raises(InputError, match=message):
        compute([lacking, *good[1:]], accuracy, 0.0, good)


def test_models_of_one_size_are_refused_by_the_name_of_the_null() -> None:
    same = [card(10, 10)] * 4
    with pytest.raises(FitError, match=r"compute: all 4 models have the same capability score"):
        compute(same, np.array([0.2, 0.4, 0.5, 0.7]), 0.0, same)
