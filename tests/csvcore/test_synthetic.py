from dataclasses import fields

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import expit
from scipy.stats import chi2, pearsonr

from csvcore.records import Floats
from csvcore.synthetic import APART, SHARE_SALIENT, World, make_world


def salient_score(world: World) -> Floats:
    """Equation 1 with weight 1 on the salient tokens and 0 on the others, (n_tasks, n_models)."""
    return np.asarray(world.salient.astype(float) @ world.nll.T.astype(float) / world.n_chars)


@pytest.fixture(scope="module")
def world() -> World:
    return make_world(20_000, 12, 200, n_tasks=2, seed=5)


def test_the_same_arguments_give_the_same_world_and_another_seed_another() -> None:
    one, two, other = (make_world(500, 4, 10, seed=seed) for seed in (1, 1, 2))
    for field in fields(World):
        assert_array_equal(getattr(one, field.name), getattr(two, field.name))
    assert not np.array_equal(one.nll, other.nll)
    assert not np.array_equal(one.accuracy, other.accuracy)


def test_a_world_has_the_shapes_it_says() -> None:
    world = make_world(503, 4, 11, n_tasks=3, n_families=4)
    assert (world.hidden.shape, str(world.hidden.dtype)) == ((503, 4), "float16")
    assert (world.nll.shape, str(world.nll.dtype)) == ((11, 503), "float32")
    assert world.accuracy.shape == (3, 11)
    assert world.salient.shape == (3, 503)
    assert (world.nll > 0).all()
    assert_array_equal(np.unique(world.source), np.arange(5))
    assert (np.diff(world.source) >= 0).all()
    assert np.ptp(np.bincount(world.source)) <= 1
    assert_allclose(world.accuracy * 1000, np.round(world.accuracy * 1000))


def test_models_are_dealt_out_to_families_two_to_a_run() -> None:
    world = make_world(50, 2, 12, n_families=3)
    assert_array_equal(world.family, [0, 1, 2] * 4)
    assert_array_equal(world.run, [0, 1, 2, 0, 1, 2, 3, 4, 5, 3, 4, 5])


def test_a_tenth_of_the_tokens_is_salient_and_their_states_lie_apart(world: World) -> None:
    # 20,000 draws of 0.1 err by 0.002
    assert_allclose(world.salient.mean(axis=1), SHARE_SALIENT, atol=0.008)
    hidden = world.hidden.astype(float)
    scale = 1.0 / np.sqrt(1.0 + np.arange(12) / 8.0)
    for salient in world.salient:
        away = (hidden[salient].mean(0) - hidden[~salient].mean(0)) / scale
        assert np.linalg.norm(away) == pytest.approx(APART, rel=0.05)


def test_accuracies_follow_the_salient_score_by_the_law_within_binomial_noise(world: World) -> None:
    score = salient_score(world)
    for task in range(2):
        unit = (score[task] - score[task].mean()) / score[task].std()
        ability = world.gamma + (1 - world.gamma) * expit(-1.5 * unit)
        noise = (world.accuracy[task] - ability) / np.sqrt(ability * (1 - ability) / world.n_items)
        total = float(np.square(noise).sum())
        assert chi2.ppf(1e-3, 200) < total < chi2.ppf(1 - 1e-3, 200)
        all_token = world.nll.sum(axis=1)
        assert abs(pearsonr(all_token, world.accuracy[task]).statistic) < 0.9  # not the whole truth


def test_skills_of_two_tasks_are_not_one(world: World) -> None:
    one, two = salient_score(world)
    assert pearsonr(one, two).statistic < 0.9


def test_without_a_signal_accuracies_have_nothing_to_do_with_losses() -> None:
    found = [make_world(300, 2, 40, signal=False, seed=seed) for seed in range(60)]
    values = [pearsonr(salient_score(world)[0], world.accuracy[0]).statistic for world in found] + [
        pearsonr(world.nll.sum(1), world.accuracy[0]).statistic for world in found
    ]
    # correlations of 40 pairs spread by 0.16, so the mean of 60 errs by 0.02
    assert abs(np.mean(values[:60])) < 0.08
    assert abs(np.mean(values[60:])) < 0.08
    assert np.std(values) == pytest.approx(1 / np.sqrt(39), rel=0.25)
    assert min(np.ptp(world.accuracy) for world in found) > 0.3  # and models do differ


def test_states_can_be_written_where_they_are_wanted() -> None:
    place = np.empty((9000, 3), dtype=np.float16)
    world = make_world(9000, 3, 6, hidden=place)
    assert world.hidden is place
    assert_array_equal(place, make_world(9000, 3, 6).hidden)


def test_more_items_make_less_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    errors = []
    for n_items in (20, 2000):
        monkeypatch.setattr("csvcore.synthetic.N_ITEMS", n_items)
        world = make_world(400, 2, 100, seed=3)
        score = salient_score(world)[0]
        unit = (score - score.mean()) / score.std()
        ability = 0.25 + 0.75 * expit(-1.5 * unit)
        errors.append(float(np.mean((world.accuracy[0] - ability) ** 2)))
    assert errors[0] / errors[1] == pytest.approx(100, rel=0.6)
