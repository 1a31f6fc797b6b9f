"""Laws of the comparators: each finds the form that it is named for, and reads no other model."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.special import expit, logit

from csvcore.errors import InputError
from csvcore.fitting.comparators import COMPARATORS
from csvcore.fitting.dataset import Dataset, TaskModels, task_models
from csvcore.pipeline.dataset import load_dataset
from csvcore.records import Accuracy, Floats

Given = Callable[[], tuple[Dataset, TaskModels]]


@pytest.fixture
def given(world_db: Path, tiny_lm: Path) -> Given:
    """The made-up world's `adding`."""

    def read() -> tuple[Dataset, TaskModels]:
        data = load_dataset(world_db, "words", "sides", str(tiny_lm))
        return data, task_models(data, "adding")

    return read


def predicted(method: str, data: Dataset, chosen: TaskModels) -> Floats:
    """What a comparator fitted to the train models says of all models."""
    predict = COMPARATORS[method](data, chosen)
    return np.asarray(predict(chosen.on("train")[None], [None])[0])


def loss(data: Dataset, chosen: TaskModels) -> Floats:
    return np.asarray(data.nll[chosen.rows].sum(axis=1, dtype=np.float64) / data.n_chars)


def with_accuracy(chosen: TaskModels, accuracy: Floats) -> TaskModels:
    return replace(chosen, accuracy=accuracy, task=replace(chosen.task, chance=0.0))


def test_an_exponential_law_is_found(given: Given) -> None:
    data, chosen = given()
    x = loss(data, chosen)
    accuracy = 0.1 + 0.5 * np.exp(-1.5 * (x - x.min()) / np.ptp(x))
    chosen = with_accuracy(chosen, accuracy)
    assert_allclose(predicted("exponential", data, chosen), accuracy, atol=2e-3)


def test_a_law_in_loss_and_compute_is_found(given: Given) -> None:
    data, chosen = given()
    cards = [data.cards[row] for row in chosen.rows]
    flops = np.log10([6.0 * (c.n_params or 0) * (c.train_tokens or 0) for c in cards])
    x = loss(data, chosen)
    accuracy = expit(-2 * (x - x.mean()) / x.std() + 0.5 * (flops - flops.mean()) / flops.std())
    chosen = with_accuracy(chosen, accuracy)
    assert_allclose(predicted("loss-compute", data, chosen), accuracy, atol=1e-4)


def test_a_task_that_follows_others_is_found_from_them(given: Given) -> None:
    data, chosen = given()
    rng = np.random.default_rng(0)
    names = [data.models[row] for row in chosen.rows]
    others = {task: rng.uniform(0.2, 0.8, len(names)) for task in ("one", "two")}
    accuracies = {
        (name, task): Accuracy(name, task, float(value))
        for task, values in others.items()
        for name, value in zip(names, values, strict=True)
    }
    tasks = {task: replace(chosen.task, task=task) for task in others}
    data = replace(data, accuracies=accuracies, tasks=tasks)
    accuracy = expit(2 * others["one"] - others["two"])
    found = predicted("other-tasks", data, with_accuracy(chosen, accuracy))
    assert_allclose(found, accuracy, atol=0.01)
    with pytest.raises(InputError, match=r"other-tasks needs two other tasks .*, got 1"):
        COMPARATORS["other-tasks"](replace(data, tasks={"one": tasks["one"]}), chosen)


def test_a_task_that_follows_others_is_found_where_some_of_them_are_not_measured(
    given: Given,
) -> None:
    data, chosen = given()
    rng = np.random.default_rng(0)
    ability = rng.normal(0, 1.5, len(chosen.names))
    slopes = {"one": 1.0, "two": -0.7, "three": 1.3}
    accuracies = {
        (name, task): Accuracy(name, task, float(expit(slope * own)))
        for task, slope in slopes.items()
        for name, own in zip(chosen.names, ability, strict=True)
        if rng.random() < 0.8 or task == "one"
    }
    tasks = {task: replace(chosen.task, task=task, chance=0.0) for task in slopes}
    data = replace(data, accuracies=accuracies, tasks=tasks)
    accuracy = expit(0.8 * ability)
    chosen = with_accuracy(chosen, accuracy)
    new = ~chosen.on("train")
    found = predicted("collaborative", data, chosen)
    # Five train models and three features leave the slope too small, not the order wrong.
    assert np.corrcoef(found[new], accuracy[new])[0, 1] > 0.95
    with pytest.raises(InputError, match="other-tasks needs two other tasks measured on every"):
        COMPARATORS["other-tasks"](data, chosen)
    with pytest.raises(InputError, match=r"collaborative needs two other tasks .*, got 1"):
        COMPARATORS["collaborative"](replace(data, tasks={"one": tasks["one"]}), chosen)
    bare = chosen.names[3]
    others = {key: value for key, value in accuracies.items() if key[0] != bare}
    with pytest.raises(
        InputError, match=f"another task measured on every model .* {bare} has none"
    ):
        COMPARATORS["collaborative"](replace(data, accuracies=others), chosen)


def test_log_odds_that_follow_a_quantile_of_the_losses_are_found(given: Given) -> None:
    data, chosen = given()
    median = np.median(data.nll[chosen.rows][:, data.counts], axis=1).astype(np.float64)
    accuracy = expit(-(median - median.mean()) / median.std())
    found = predicted("loss-quantiles", data, with_accuracy(chosen, accuracy))
    train = chosen.on("train")
    assert np.corrcoef(logit(found[train]), logit(accuracy[train]))[0, 1] > 0.95


@pytest.mark.parametrize("method", sorted(COMPARATORS))
def test_accuracies_outside_the_mask_are_not_read_and_predictions_are_accuracies(
    given: Given, method: str
) -> None:
    data, chosen = given()
    if method in ("other-tasks", "collaborative"):
        others = [replace(chosen.task, task=name) for name in ("one", "two")]
        values = {name: Accuracy(name, "t", i / 20) for i, name in enumerate(chosen.names)}
        extra: dict[Any, Any] = {
            (name, task.task): one for name, one in values.items() for task in others
        }
        data = replace(data, tasks={task.task: task for task in others}, accuracies=extra)
    before = predicted(method, data, chosen)
    spoilt = np.where(chosen.on("train"), chosen.accuracy, np.nan)
    assert_allclose(predicted(method, data, replace(chosen, accuracy=spoilt)), before)
    assert np.all((before >= 0) & (before <= 1))


def test_compute_that_is_not_known_is_asked_for(given: Given) -> None:
    data, chosen = given()
    cards = [replace(card, train_tokens=None) for card in data.cards]
    with pytest.raises(InputError, match="loss-compute needs n_params and train_tokens of every"):
        COMPARATORS["loss-compute"](replace(data, cards=cards), chosen)
