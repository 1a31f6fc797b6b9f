from collections.abc import Callable, Mapping
from dataclasses import astuple, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.optimize import least_squares
from scipy.special import expit

from csvcore.fitting.baselines import baseline_result
from csvcore.fitting.config import FitConfig
from csvcore.fitting.dataset import Dataset, TaskModels, task_models
from csvcore.fitting.identity import FitRequest
from csvcore.fitting.outcome import finish
from csvcore.optimise import WeightResult
from csvcore.pipeline.dataset import load_dataset
from csvcore.records import Fit, Floats, TraceStep
from tests.support.world import DOCS, SIDES, World, change

pytestmark = pytest.mark.slow

TEST = [model for model, side in SIDES.items() if side == "test"]
Run = Callable[..., Fit]
NOISE = "UPDATE accuracies SET accuracy = accuracy * (1 - 0.002 * (ascii(model) * 7 % 30))"


# A second opinion on prediction intervals: straight from the definition, the law by scipy


def law(score: Floats, accuracy: Floats, gamma: float) -> Callable[[Floats], Floats]:
    """The best of many least-squares fits of equation 2."""

    def curve(law: Floats, score: Floats) -> Floats:
        return np.asarray(gamma + (1 - gamma) * expit(law[0] * (score - law[1])))

    def residuals(law: Floats) -> Floats:
        return curve(law, score) - accuracy

    spread = score.std()
    fits = [
        least_squares(
            residuals,
            [slope / spread, middle],
            x_scale=[1 / spread, spread],
            xtol=1e-14,
            ftol=1e-14,
            gtol=1e-14,
        )
        for slope in (-8, -3, -1, 1, 3)
        for middle in np.quantile(score, [0.1, 0.5, 0.9])
    ]
    best = min(fits, key=lambda fit: float(fit.cost)).x
    return lambda score: curve(best, score)


def intervals(
    score: Floats,
    accuracy: Floats,
    gamma: float,
    sides: list[str],
    groups: Mapping[str, list[int]],
    fold_score: Mapping[str, Floats] | None = None,
    validation: bool = True,
) -> tuple[Floats, Floats]:
    """Jackknife+ over the groups, and the validation models, which no fit has seen."""
    train = np.array([side == "train" for side in sides])
    whole = law(score[train], accuracy[train], gamma)(score)
    tops, bottoms = [], []
    for group in groups:
        rest = train.copy()
        rest[groups[group]] = False
        own = score if fold_score is None else fold_score[group]
        without = law(own[rest], accuracy[rest], gamma)(own)
        for i in groups[group]:
            if train[i]:
                size = abs(accuracy[i] - without[i])
                tops.append(without + size)
                bottoms.append(without - size)
    for i in [i for i, side in enumerate(sides) if side == "validation" and validation]:
        size = abs(accuracy[i] - whole[i])
        tops.append(whole + size)
        bottoms.append(whole - size)
    rank = min(int(np.ceil(0.9 * (len(tops) + 1))), len(tops))
    high = np.sort(tops, axis=0)[rank - 1]
    low = np.sort(bottoms, axis=0)[len(bottoms) - rank]
    return (
        np.minimum(np.clip(low, 0, 1), whole),
        np.maximum(np.clip(high, 0, 1), whole),
    )


def columns(fit: Fit) -> tuple[list[str], list[str], Floats, Floats, Floats, Floats]:
    placed = fit.predictions
    return (
        [p.model for p in placed],
        [p.side for p in placed],
        *(np.array([getattr(p, k) for p in placed]) for k in ("score", "accuracy", "low", "high")),
    )  # type: ignore[return-value]


@pytest.mark.parametrize("method", ["all-token", "source-token"])
def test_the_intervals_of_a_baseline_are_those_of_leaving_out_each_run(
    make_fit: Run, world_db: Path, method: str
) -> None:
    change(world_db, NOISE, "UPDATE tasks SET sources = ['sums'] WHERE task = 'reading'")
    models, sides, score, accuracy, low, high = columns(make_fit("reading", method, refit="train"))
    groups = {m: [i] for i, (m, side) in enumerate(zip(models, sides, strict=True))
              if side == "train"}  # fmt: skip
    expected = intervals(score, accuracy, 0.0, sides, groups)
    assert_allclose(low, expected[0], atol=2e-5)
    assert_allclose(high, expected[1], atol=2e-5)
    assert (high - low).max() > 0.01


@pytest.mark.parametrize("unseen", [False, True], ids=["seen", "unseen"])
@pytest.mark.parametrize("n_families", [2, 3])
def test_the_intervals_of_a_baseline_are_those_of_leaving_out_each_family(
    make_fit: Run, world_db: Path, n_families: int, unseen: bool
) -> None:
    if n_families == 2 and not unseen:
        pytest.skip("then runs are left out")
    family = {model: "abc"[i % n_families] for i, model in enumerate(SIDES)}
    family |= dict.fromkeys(TEST, "new") if unseen else {}
    for model, name in family.items():
        change(world_db, f"UPDATE models SET family = '{name}' WHERE model = '{model}'")
    exact = make_fit("reading", refit="train").predictions
    assert max(p.high - p.low for p in exact) < 1e-3  # where the law is exact, so is the interval
    change(world_db, NOISE)
    models, sides, score, accuracy, low, high = columns(make_fit("reading", refit="train"))
    groups = {
        name: [i for i, model in enumerate(models) if family[model] == name]
        for name in "abc"[:n_families]
    }
    # of a new family the validation models, whose families are known, say nothing
    expected = intervals(score, accuracy, 0.0, sides, groups, validation=not unseen)
    assert_allclose(low, expected[0], atol=2e-5)
    assert_allclose(high, expected[1], atol=2e-5)


@pytest.fixture
def given(world_db: Path, tiny_lm: Path) -> Callable[[], tuple[Dataset, TaskModels]]:
    """The made-up world's `reading`, a little noisy, as `finish` is given it."""
    change(world_db, NOISE)

    def read(*statements: str) -> tuple[Dataset, TaskModels]:
        change(world_db, *statements)
        data = load_dataset(world_db, "words", "sides", str(tiny_lm))
        return data, task_models(data, "reading")

    return read


REQUEST = FitRequest("made-up", "reading", "csv", {})
TRACE = (TraceStep(0, -1.0, 1.0, 0.1, None),)  # of learnt weights


def done(data: Dataset, chosen: TaskModels, result: WeightResult) -> Fit:
    return finish(data, chosen, REQUEST, result).fit


def test_learnt_weights_are_left_out_with_the_weights_fitted_without_the_group(
    given: Any,
) -> None:
    data, chosen = given()
    rng = np.random.default_rng(0)
    n_tokens = data.nll.shape[1]
    folds = {name: rng.uniform(0.5, 1.5, n_tokens) for name in list(data.groups())[:4]}
    learnt = WeightResult("reading", np.ones(n_tokens), trace=TRACE, fold_weight=folds)
    models, sides, score, accuracy, low, high = columns(done(data, chosen, learnt))
    n_chars = sum(len(doc.text) for doc in DOCS)
    fold_score = {name: data.nll.astype(float) @ weight / n_chars for name, weight in folds.items()}
    groups = {
        name: [models.index(name.removeprefix("run "))] for name in folds
    }  # the other two have no such weights
    expected = intervals(score, accuracy, 0.0, sides, groups, fold_score)
    assert_allclose(low, expected[0], atol=2e-5)
    assert_allclose(high, expected[1], atol=2e-5)


@pytest.mark.parametrize("method", ["best-source", "rank-token"])
def test_what_a_group_left_out_has_does_not_choose_the_weights_without_it(
    given: Any, config: FitConfig, method: str
) -> None:
    """Over all groups in turn, with accuracies turned upside down in the one left out."""
    data, chosen = given()
    whole = baseline_result(data, method, chosen, config)
    groups = {name: mask[chosen.rows] for name, mask in data.interval_groups().items()}
    assert whole.fold_weight.keys() == groups.keys()
    for name, mask in groups.items():
        turned = np.where(mask, 1.0 - chosen.accuracy, chosen.accuracy)
        other = baseline_result(data, method, replace(chosen, accuracy=turned), config)
        assert_allclose(other.fold_weight[name], whole.fold_weight[name])


def test_learnt_weights_without_folds_are_judged_by_validation_alone(given: Any) -> None:
    data, chosen = given()
    learnt = WeightResult("reading", np.ones(data.nll.shape[1]), trace=TRACE)
    fit = done(data, chosen, learnt)
    worst = max(abs(p.accuracy - p.predicted) for p in fit.predictions if p.side == "validation")
    for p in fit.predictions:
        assert p.low == pytest.approx(max(p.predicted - worst, 0.0))
        assert p.high == pytest.approx(min(p.predicted + worst, 1.0))
    fixed = done(data, chosen, replace(learnt, trace=()))
    assert [p.low for p in fixed.predictions] != [p.low for p in fit.predictions]


def test_with_nothing_left_out_the_errors_on_train_are_all_there_is(given: Any) -> None:
    data, chosen = given("UPDATE splits SET side = 'test' WHERE side = 'validation'")
    fit = done(data, chosen, WeightResult("reading", np.ones(data.nll.shape[1]), trace=TRACE))
    worst = max(abs(p.accuracy - p.predicted) for p in fit.predictions if p.side == "train")
    for p in fit.predictions:
        assert p.high == pytest.approx(min(p.predicted + worst, 1.0))


@pytest.mark.parametrize("method", ["csv", "all-token", "label-token", "best-source"])
def test_an_interval_holds_its_prediction_within_0_and_1_and_hangs_on_no_test_model(
    make_fit: Run, world_db: Path, method: str
) -> None:
    fit = make_fit("adding", method, penalty=1e-4)
    for p in fit.predictions:
        assert 0.0 <= p.low <= p.predicted <= p.high <= 1.0
    if method != "label-token":  # its law is exact
        assert max(p.high - p.low for p in fit.predictions) > 0.0
    spoil = "UPDATE accuracies SET accuracy = {} WHERE model = '{}'"
    change(world_db, *map(spoil.format, (0.9, 0.1, 0.5), TEST))
    after = make_fit("adding", method, penalty=1e-4)
    assert [(p.low, p.high) for p in after.predictions] == [
        (p.low, p.high) for p in fit.predictions
    ]


# Laws that are fitted anew to train and validation models


def test_a_refitted_law_is_that_of_train_and_validation_and_validation_errors_are_unseen(
    given: Any,
) -> None:
    data, chosen = given()
    weights = WeightResult("reading", np.ones(data.nll.shape[1]))
    first = done(data, chosen, weights)
    again = finish(data, chosen, replace(REQUEST, settings={"refit": "all"}), weights).fit
    _, sides, score, accuracy, _, _ = columns(again)
    known = np.array([side != "test" for side in sides])
    curve = law(score[known], accuracy[known], 0.0)
    before = {p.model: p for p in first.predictions}
    for p, expected in zip(again.predictions, curve(score), strict=True):
        if p.side == "validation":
            assert astuple(p)[2:] == pytest.approx(astuple(before[p.model])[2:], abs=1e-8)
        else:
            assert p.predicted == pytest.approx(expected, abs=1e-5)
    assert again.mse["validation"] == pytest.approx(first.mse["validation"])
    assert again.config["refit"] == "all"
    assert len(again.residuals) == len(first.residuals)  # runs of train in turn, and validation


@pytest.mark.parametrize("method", ["stack", "csv", "rank-token", "label-probability"])
def test_refitting_reads_no_test_accuracy(make_fit: Run, world_db: Path, method: str) -> None:
    before = make_fit("adding", method, penalty=1e-4)
    change(world_db, *(f"UPDATE accuracies SET accuracy = 0.5 WHERE model = '{m}'" for m in TEST))
    after = make_fit("adding", method, penalty=1e-4)
    assert (after.alpha, after.beta) == (before.alpha, before.beta)
    assert [p.predicted for p in after.predictions] == [p.predicted for p in before.predictions]
    assert after.candidates == before.candidates


# What else is in the record


def test_scaling_the_weights_scales_the_spread_and_leaves_the_predictions(given: Any) -> None:
    data, chosen = given()
    rng = np.random.default_rng(1)
    weight = rng.uniform(0.5, 2.0, data.nll.shape[1])
    draws = rng.uniform(0.5, 2.0, (4, weight.size))
    one = finish(data, chosen, REQUEST, WeightResult("reading", weight, draws=draws))
    two = finish(data, chosen, REQUEST, WeightResult("reading", 3 * weight, draws=5 * draws))
    assert np.abs(one.weight).mean() == pytest.approx(1.0)
    assert_allclose(one.weight, weight / weight.mean())
    assert_allclose(two.weight, one.weight)
    assert one.spread is not None
    assert two.spread is not None
    members = np.vstack([weight, draws])
    assert_allclose(one.spread, (members / members.mean(axis=1, keepdims=True)).std(axis=0))
    assert_allclose(two.spread, one.spread)
    for p, q in zip(one.fit.predictions, two.fit.predictions, strict=True):
        assert q.predicted == pytest.approx(p.predicted, rel=1e-7)
    assert finish(data, chosen, REQUEST, WeightResult("reading", weight)).spread is None


def test_the_noise_floor_is_the_binomial_variance_where_all_counts_are_known(
    make_fit: Run, world: World
) -> None:
    accuracy = np.array([world.accuracy(model, "reading") for model in TEST])
    floor = float(np.mean(accuracy * (1 - accuracy) / 400))
    assert make_fit("reading").noise_floor["test"] == pytest.approx(floor)
    assert make_fit("adding").noise_floor == {}
