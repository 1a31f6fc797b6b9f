from dataclasses import replace

import numpy as np
import pytest

from csvcore.errors import InputError
from csvcore.forecasting.backtest import Backtest, folds, run_folds
from csvcore.forecasting.forecaster import LEAST_FALL, falls, forecaster, held, run_forecaster
from csvcore.forecasting.forms import fit_forms, form_names, used
from tests.support.ladders import TOKENS, planted_accuracy, planted_ladder

FAR_N, FAR_D = np.array([6.4e8]), np.array([1.28e10])  # 4 times each


def test_a_planted_ladder_is_forecast_at_sixteen_times_its_compute() -> None:
    band = forecaster(planted_ladder()).predict(FAR_N, FAR_D)
    assert band.horizon == pytest.approx([16.0])
    assert band.predicted[0] == pytest.approx(planted_accuracy(FAR_N, FAR_D), abs=0.02)


def test_intervals_hold_on_planted_ladders_with_noise() -> None:
    n, d = np.repeat([3.2e8, 6.4e8], 3), np.tile([3.2e9, 6.4e9, 1.28e10], 2)
    truth = planted_accuracy(n, d)
    held = []
    for seed in range(12):
        band = forecaster(planted_ladder(noise=0.01, seed=seed)).predict(n, d)
        held.append((band.low[0] <= truth) & (truth <= band.high[0]))
    assert np.mean(held) >= 0.8


def test_intervals_widen_with_the_horizon() -> None:
    fitted = forecaster(planted_ladder(noise=0.01))
    band = fitted.predict(1.6e8 * np.array([1.0, 2.0, 4.0, 8.0]), np.full(4, 3.2e9))
    width = (band.high - band.low)[0]
    inside = band.high[0] < 1.0  # an end at 1 cannot move
    assert (np.diff(width[inside]) > 0).all() and inside[:2].all()


def test_weights_are_a_mix_and_a_useless_score_has_little_of_it() -> None:
    ladder = planted_ladder(noise=0.005)
    fitted = forecaster(ladder)
    assert fitted.weight.sum(axis=1) == pytest.approx([1.0]) and (fitted.weight >= 0).all()
    by_name = dict(zip(fitted.form_names(), fitted.weight[0].tolist(), strict=True))
    noise = sum(weight for name, weight in by_name.items() if name.startswith("Loss of noise"))
    assert noise < 0.1


def test_forms_that_a_task_does_not_use_have_no_weight() -> None:
    ladder = planted_ladder(noise=0.005)
    ladder = replace(ladder, uses=np.array([[True, False]]))
    fitted = forecaster(ladder)
    unused = ~used(ladder)[0]
    assert unused.sum() == 2 and (fitted.weight[0, unused] == 0).all()
    assert fitted.forms.predict(FAR_N, FAR_D).shape == (1, len(form_names(ladder)), 1)


def test_folds_hold_out_what_lies_beyond_what_they_fit() -> None:
    ladder = planted_ladder()
    found = folds(ladder)
    assert found
    for fold in found:
        assert not set(fold.fitted) & set(fold.held)
        part = ladder.take(fold.fitted)
        n, d = ladder.n_params[fold.held], ladder.train_tokens[fold.held]
        assert (part.horizon(n, d) > 1.0).all()


def test_a_backtest_never_sees_what_it_forecasts() -> None:
    ladder = planted_ladder(noise=0.01)
    fold = max(folds(ladder), key=lambda one: one.fitted.size)
    changed = ladder.accuracy.copy()
    changed[:, fold.held] = 0.99
    score = ladder.score.copy()
    score[:, fold.held] = 9.0
    other = replace(ladder, accuracy=changed, score=score)
    forms = [fit_forms(one.take(fold.fitted)).predict(FAR_N, FAR_D) for one in (ladder, other)]
    assert np.array_equal(*forms)


def test_the_end_of_a_run_is_forecast_from_its_first_checkpoints() -> None:
    ladder = planted_ladder()
    run = "run 1.6e+08"
    own = ladder.of_run(run)
    lucky = ladder.accuracy.copy()
    lucky[0, own] = np.clip(lucky[0, own] + 0.05, 0, 1)  # a run above what its size promises
    known = np.setdiff1d(np.arange(30), own[3:])
    part = replace(ladder, accuracy=lucky).take(known)
    fitted = run_forecaster(part, run, TOKENS[-1])
    band = fitted.predict(ladder.n_params[own[3:]], TOKENS[3:])
    without = forecaster(part.take(np.flatnonzero(np.array(part.run) != run)))
    promised = without.predict(ladder.n_params[own[3:]], TOKENS[3:])
    error, others = (np.abs(p.predicted[0] - lucky[0, own[3:]]) for p in (band, promised))
    assert (error < 0.05).all() and error.mean() < others.mean()
    assert error.mean() < np.abs(lucky[0, own[2]] - lucky[0, own[3:]]).mean() / 2
    assert band.horizon == pytest.approx(TOKENS[3:] / TOKENS[2])
    for fold in run_folds(part, part.of_run(run), 0.3):
        assert run not in {part.run[at] for at in fold.held}


def backtest_of(error: list[float], fallen: list[float]) -> Backtest:
    """Three folds of one model and one task at horizon 1, whose forms agree."""
    return Backtest(
        fold=np.arange(3),
        horizon=np.ones(3),
        share=np.full(3, 1 / 3),
        error=np.array([error]),
        carried=np.zeros((1, 3)),
        spread=np.zeros((1, 3)),
        fallen=np.array([fallen]),
    )


def test_accuracies_fall_no_further_than_others_did() -> None:
    # accuracies that others stand on less those observed: two rose, the last one fell by 0.2
    found = backtest_of([0.1, -0.3, 0.25], [-0.4, -0.1, 0.2])
    assert falls(found) == pytest.approx([0.2])
    assert falls(found, left_out=2) == pytest.approx([LEAST_FALL])
    # without the last fold q is 0.3: its error of 0.25 is within, but its fall of 0.2 is not
    assert held(found).tolist() == [[True, False, False]]
    alone = replace(found, fallen=np.array([[-0.4, -0.1, np.nan]]))  # it stands on nothing known
    assert held(alone).tolist() == [[True, False, True]]
    assert falls(alone) == pytest.approx([LEAST_FALL])
    assert falls(replace(found, fallen=np.full((1, 3), np.nan))) == pytest.approx([1.0])
    # a forecast below what was observed holds, however far that fell
    below = backtest_of([0.1, -0.3, -0.25], [-0.4, -0.1, 0.2])
    assert held(below)[0, 2]
    several = replace(found, error=found.error[[0, 0]], fallen=np.array([[0.0] * 3, [0.1] * 3]))
    assert falls(several) == pytest.approx([0.1, 0.1])


def test_the_lower_end_of_a_run_that_has_risen_is_near_where_it_stands() -> None:
    ladder = planted_ladder()
    accuracy = ladder.accuracy.copy()
    late = ladder.of_run("run 4e+07")
    accuracy[0, late[-3:]] = [accuracy[0, late[2]], 0.6, 0.9]  # it rose late, so q is wide
    run = ladder.of_run("run 1.6e+08")
    accuracy[0, run[:3]] = [0.9, 0.93, 0.95]
    part = replace(ladder, accuracy=accuracy).take(np.setdiff1d(np.arange(30), run[3:]))
    fitted = run_forecaster(part, "run 1.6e+08", TOKENS[-1])
    at = ladder.n_params[run[3:]], TOKENS[3:]
    band, without = fitted.predict(*at), replace(fitted, fall=np.ones(1)).predict(*at)
    floor = np.minimum(0.95 - fitted.fall[0], band.predicted[0])
    assert band.low[0] == pytest.approx(np.maximum(without.low[0], floor))
    assert (without.low[0] < 0.8).all() and (band.low[0] > 0.85).all()
    assert np.array_equal(band.high, without.high)
    assert np.array_equal(band.predicted, without.predicted)


def test_the_lower_end_of_a_model_is_near_the_largest_known_one_beneath_it() -> None:
    ladder = planted_ladder()
    accuracy = ladder.accuracy.copy()
    late = ladder.of_run("run 4e+07")
    accuracy[0, late] = ladder.gamma[0]  # one size that never rose, so q is wide
    accuracy[0, ladder.of_run("run 1.6e+08")[-1]] = 0.95
    fitted = forecaster(replace(ladder, accuracy=accuracy))
    largest = ladder.n_params.max()
    at = np.array([2 * largest, largest / 2]), np.array([2 * TOKENS[-1], TOKENS[0] / 2])
    band, without = fitted.predict(*at), replace(fitted, fall=np.ones(1)).predict(*at)
    assert without.low[0, 0] < 0.6
    assert band.low[0, 0] == pytest.approx(min(0.95 - fitted.fall[0], band.predicted[0, 0]))
    assert band.low[0, 1] == without.low[0, 1]  # fewer tokens than any known model
    assert np.array_equal(band.high, without.high)


def test_too_short_a_ladder_and_run_are_refused_with_their_numbers() -> None:
    ladder = planted_ladder(sizes=(1e7,))
    with pytest.raises(InputError, match=r"6 trained models of 2 sizes or more .* got 6 of 1"):
        forecaster(ladder)
    whole = planted_ladder()
    one = whole.take(np.setdiff1d(np.arange(30), whole.of_run("run 1.6e+08")[1:]))
    with pytest.raises(InputError, match=r"the run run 1.6e\+08 has 1 checkpoints"):
        run_forecaster(one, "run 1.6e+08", 3.2e9)


def test_a_ladder_without_a_backtest_says_so_by_wide_intervals() -> None:
    fitted = forecaster(planted_ladder(sizes=(1e7, 1.2e7)).take(np.array([0, 1, 2, 6, 7, 8])))
    assert fitted.reach == 1.0
    band = fitted.predict(np.array([1.2e7]), np.array([8e8]))
    assert (band.high - band.low)[0, 0] >= 0.15
