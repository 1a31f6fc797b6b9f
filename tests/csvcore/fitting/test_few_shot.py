import numpy as np
import pytest
from scipy.special import expit

from csvcore.fitting.few_shot import OWN, FewKnown, draw_known
from csvcore.scaling import fit_sigmoid_laws

N_MODELS = 60


def six_tasks(seed: int = 0) -> FewKnown:
    """Tasks that follow one ability each of two; own heads of few models see little of it."""
    rng = np.random.default_rng(seed)
    ability = rng.normal(size=(2, N_MODELS))
    full = ability[[0, 1, 0, 1, 0, 1]] + 0.05 * rng.normal(size=(6, N_MODELS))
    few = full + 2.0 * rng.normal(size=(6, N_MODELS))
    accuracy = expit(-1.5 * ability[[0, 1, 0, 1, 0, 1]])
    train = np.arange(N_MODELS) < 40
    known = np.zeros(N_MODELS, dtype=bool)
    known[draw_known(train, 5, 0, seed)] = True
    return FewKnown(accuracy, np.zeros(6), few, full, known, train)


def test_shared_abilities_are_borrowed_and_halve_the_error() -> None:
    ratios = []
    for seed in range(3):
        setting = six_tasks(seed)
        for task in range(6):
            way = setting.choose(task)
            others = [other for other in range(6) if other != task]
            errors = [
                np.square(setting.predict(task, used, one) - setting.accuracy[task])[~setting.train]
                for used, one in ((others, way), ([], OWN))
            ]
            ratios.append(errors[0].mean() / errors[1].mean())
    assert np.median(ratios) < 0.5


def test_the_own_way_is_the_law_of_the_own_score() -> None:
    setting = six_tasks()
    share = (setting.known / setting.known.sum())[None]
    laws = fit_sigmoid_laws(setting.few[:1], setting.accuracy[:1], np.zeros(1), share)
    predicted = laws.predict(setting.few[:1], np.zeros(1))[0]
    np.testing.assert_allclose(setting.predict(0, [], OWN), predicted)


def test_accuracies_of_the_new_task_beyond_the_known_ones_are_not_read() -> None:
    setting = six_tasks()
    hidden = setting.accuracy.copy()
    hidden[0, ~setting.known] = np.nan
    blind = FewKnown(hidden, setting.gamma, setting.few, setting.full, setting.known, setting.train)
    way = blind.choose(0)
    assert way == setting.choose(0)
    others = [1, 2, 3, 4, 5]
    np.testing.assert_array_equal(blind.predict(0, others, way), setting.predict(0, others, way))


def test_a_single_other_task_leaves_the_own_head() -> None:
    setting = six_tasks()
    two = FewKnown(
        setting.accuracy[:2],
        setting.gamma[:2],
        setting.few[:2],
        setting.full[:2],
        setting.known,
        setting.train,
    )
    assert two.choose(0) == OWN


@pytest.mark.parametrize("n_known", [3, 10])
def test_draws_are_of_usable_models_and_seeded(n_known: int) -> None:
    usable = np.arange(30) % 2 == 0
    drawn = draw_known(usable, n_known, 0, 1)
    assert drawn.size == len(set(drawn.tolist())) == n_known
    assert usable[drawn].all()
    np.testing.assert_array_equal(drawn, draw_known(usable, n_known, 0, 1))
