"""Laws of the fit on arrays: planted weights are found, shapes are checked, nothing is hidden."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.optimize import curve_fit
from scipy.stats import spearmanr

import csvcore
from csvcore.errors import InputError
from csvcore.scaling import fit_sigmoid_law, sigmoid_law, standard_errors
from csvcore.synthetic import World, make_world


@pytest.fixture(scope="module")
def world() -> World:
    return make_world(600, 8, 40, n_tasks=1, n_families=4, seed=2)


def arrays(world: World, models: slice = slice(None)) -> dict[str, object]:
    return {
        "nll": world.nll[models],
        "hidden": world.hidden,
        "accuracy": world.accuracy[0, models],
        "gamma": world.gamma,
        "families": [f"f{number}" for number in world.family[models]],
    }


def test_planted_weights_are_found_and_predict_models_that_were_left_out(world: World) -> None:
    fit = csvcore.fit_salience(**arrays(world, slice(0, 30)))
    assert fit.weight.mean() == pytest.approx(1.0)
    assert (fit.weight > 0).all()
    unseen = world.accuracy[0, 30:]
    mean_loss = world.nll.mean(axis=1)
    law = fit_sigmoid_law(mean_loss[:30], world.accuracy[0, :30], world.gamma)
    by_mean = sigmoid_law(mean_loss[30:], law.alpha, law.beta, world.gamma)
    ours = np.mean((fit.predict(world.nll[30:]) - unseen) ** 2)
    assert ours < 0.5 * np.mean((by_mean - unseen) ** 2)
    assert spearmanr(fit.score(world.nll), world.accuracy[0]).statistic < -0.8


def test_a_law_and_its_standard_errors_are_scipys(world: World) -> None:
    score = world.nll.mean(axis=1).astype(np.float64)
    accuracy, gamma = world.accuracy[0], world.gamma
    law = fit_sigmoid_law(score, accuracy, gamma)
    ours = standard_errors(score, accuracy, gamma, law.alpha, law.beta)
    _, variance = curve_fit(
        lambda x, alpha, beta: sigmoid_law(x, alpha, beta, gamma),
        *(score, accuracy),
        p0=(law.alpha, law.beta),
    )
    assert_allclose(ours, np.sqrt(np.diag(variance)), rtol=1e-3)
    assert standard_errors(score[:2], accuracy[:2], gamma, law.alpha, law.beta) == (np.inf, np.inf)


def test_the_number_of_characters_scales_the_scores_alone(world: World) -> None:
    one, two = (csvcore.fit_salience(**arrays(world), n_chars=n) for n in (600, 1200))
    assert_allclose(one.predict(world.nll), two.predict(world.nll), atol=2e-3)
    assert one.beta == pytest.approx(2 * two.beta, rel=1e-2)


def test_what_cannot_be_fitted_is_refused(world: World) -> None:
    good = arrays(world)
    for change, message in (
        ({"families": None}, "name two or more, or give a penalty"),
        ({"families": ["a"] * 40}, "name two or more, or give a penalty"),
        ({"families": ["a", "b"]}, "families must have 40 entries, got 2"),
        ({"hidden": world.hidden[:5]}, r"got \(40, 600\) and \(5, 8\)"),
        ({"gamma": 1.0}, "chance level from 0 to below 1, got 1.0"),
        ({"penalty": 0.0}, "a penalty is a positive number, got 0.0"),
        ({"accuracy": 100 * world.accuracy[0]}, "accuracies are from 0 to 1, got"),
        ({"nll": np.full_like(world.nll, np.nan)}, "nll must be finite"),
    ):
        with pytest.raises(InputError, match=message):
            csvcore.fit_salience(**good | change)
    fit = csvcore.fit_salience(**good | {"families": None}, penalty=1e-4)
    with pytest.raises(InputError, match=r"losses of 600 tokens are needed, got \(40, 5\)"):
        fit.predict(world.nll[:, :5])
