import numpy as np
import pytest
from scipy.special import expit

from csvcore.analysis.item_subsets import choose_anchors
from csvcore.errors import InputError


def results(n_models: int = 80, n_items: int = 300, seed: int = 0) -> np.ndarray:
    """Answers to items of ten kinds, each of which needs an ability of its own."""
    rng = np.random.default_rng(seed)
    ability = rng.normal(0, 4.0, (n_models, 10))
    chance = expit(ability[:, np.arange(n_items) % 10])
    return (rng.random((n_models, n_items)) < chance).astype(np.float64)


def test_items_that_all_models_answer_alike_need_one_anchor_each() -> None:
    kinds = np.random.default_rng(1).random((30, 3)) < 0.5
    correct = kinds[:, [0] * 5 + [1] * 3 + [2] * 2].astype(np.float64)
    for seed in range(5):
        found = choose_anchors(correct, 3, np.random.default_rng(seed))
        if found.item.size == 3:
            np.testing.assert_allclose(np.sort(found.weight), [0.2, 0.3, 0.5])
            np.testing.assert_allclose(found.predict(correct), correct.mean(axis=1), atol=1e-9)
            return
    pytest.fail("no start found the three kinds")


def test_anchors_of_items_that_go_together_err_less_than_as_many_random_items() -> None:
    correct, rng = results(), np.random.default_rng(0)
    known, new = correct[:60], correct[60:]
    truth = new.mean(axis=1)
    anchors = choose_anchors(known, 20, rng).predict(new)
    random = [
        np.square(new[:, rng.choice(300, 20, replace=False)].mean(axis=1) - truth).mean()
        for _ in range(200)
    ]
    assert np.square(anchors - truth).mean() < np.mean(random)


def test_only_the_anchors_of_a_new_model_are_read() -> None:
    correct = results()
    found = choose_anchors(correct[:60], 10, np.random.default_rng(0))
    hidden = np.full((20, 300), np.nan)
    hidden[:, found.item] = correct[60:, found.item]
    np.testing.assert_array_equal(found.predict(hidden), found.predict(correct[60:]))


def test_more_anchors_than_items_are_refused() -> None:
    with pytest.raises(InputError, match="1 to 300 of the items, got 301"):
        choose_anchors(results(), 301, np.random.default_rng(0))
