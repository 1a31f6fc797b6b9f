from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

from csvcore import store
from csvcore.optimise import STRENGTHS
from csvcore.records import Fit
from tests.support.world import DOCS, SIDES, THREE_FAMILIES, all_weights, change

pytestmark = pytest.mark.slow

PAPER: dict[str, Any] = {"algorithm": "paper", "steps": 12, "learning_rate": 0.05}
FIXED: dict[str, Any] = {"penalty": 1e-4}  # nothing to choose, so quicker
Run = Callable[..., Fit]


# Algorithm 2


def test_the_papers_fit_starts_as_all_token_and_keeps_the_step_that_validates_best(
    make_fit: Run,
) -> None:
    csv = make_fit("adding", "csv", refit="train", **PAPER)
    every = make_fit("adding", "all-token", refit="train")
    assert [entry.step for entry in csv.trace] == list(range(13))
    errors = [entry.validation_mse for entry in csv.trace]
    assert csv.steps == int(np.argmin(np.array(errors, dtype=float))) > 0
    assert csv.mse["validation"] < every.mse["validation"]
    assert csv.trace[0].train_mse == pytest.approx(every.mse["train"], rel=1e-2)
    assert csv.trace[0].validation_mse == pytest.approx(every.mse["validation"], rel=1e-2)
    assert csv.mse["validation"] == pytest.approx(min(e for e in errors if e), rel=1e-3)
    assert csv.choice is None


def test_without_validation_models_the_papers_fit_keeps_its_last_step(
    make_fit: Run, world_db: Path
) -> None:
    change(world_db, "UPDATE splits SET side = 'test' WHERE side = 'validation'")
    fit = make_fit("adding", "csv", **PAPER)
    assert fit.steps == 12
    assert "validation" not in fit.mse
    assert fit.n_models == {"train": 6, "validation": 0, "test": 5}


def test_the_papers_fit_takes_300_steps_unless_told(make_fit: Run) -> None:
    assert make_fit("adding", "csv", algorithm="paper").trace[-1].step == 300


# The fast fit


def test_where_the_ability_sits_in_a_few_tokens_csv_finds_it_and_all_token_does_not(
    make_fit: Run, world_db: Path
) -> None:
    csv, every = make_fit("adding", "csv"), make_fit("adding", "all-token")
    assert csv.mse["test"] < 0.01 * every.mse["test"]
    change(world_db, "UPDATE tasks SET sources = [] WHERE task = 'adding'")
    change(world_db, "UPDATE documents SET answers = []")  # nothing tells it where to look
    blind = make_fit("adding", "csv")
    assert blind.mse["test"] < 0.1 * every.mse["test"]
    assert blind.choice is not None
    assert {p.pull for p in blind.choice.tried} == {"all-token", "rank-token"}


def test_where_every_token_counts_alike_csv_is_all_token(make_fit: Run, world_db: Path) -> None:
    csv = make_fit("reading", "csv")
    assert csv.choice is not None
    assert csv.choice.chosen.pull == "all-token"
    assert_allclose(all_weights(world_db, csv.fit), 1.0, atol=1e-3)  # losses are float32
    assert csv.mse["test"] == pytest.approx(make_fit("reading", "all-token").mse["test"], abs=1e-8)


def test_the_penalty_chosen_is_the_best_of_those_tried_on_what_its_heads_did_not_see(
    make_fit: Run,
) -> None:
    choice = make_fit("adding", "csv").choice
    assert choice is not None
    assert choice.chosen in choice.tried
    assert choice.chosen.cv_error == min(penalty.cv_error for penalty in choice.tried)
    pulls = {"all-token", "label-token", "source-token", "rank-token"}
    assert {p.pull for p in choice.tried} == pulls
    assert {p.strength for p in choice.tried} <= {None, *STRENGTHS[1:]}
    train = {f"run {model}" for model, side in SIDES.items() if side == "train"}
    for penalty in choice.tried:  # two families, so training runs are left out
        assert penalty.errors.keys() == train | {"validation models"}
        groups = [error for name, error in penalty.errors.items() if name != "validation models"]
        inside, outside = np.mean(np.sqrt(groups)), np.sqrt(penalty.errors["validation models"])
        assert penalty.cv_error == pytest.approx((inside + outside) / 2)


def test_three_families_in_train_are_left_out_in_turn(make_fit: Run, world_db: Path) -> None:
    for model, family in THREE_FAMILIES.items():
        change(world_db, f"UPDATE models SET family = '{family}' WHERE model = '{model}'")
    choice = make_fit("adding", "csv", **FIXED).choice
    assert choice is not None
    assert choice.chosen.errors.keys() == {"a", "b", "c", "validation models"}


def test_a_fixed_penalty_is_the_only_one_tried(make_fit: Run) -> None:
    choice = make_fit("adding", "csv", penalty=1e-3).choice
    assert choice is not None
    assert {penalty.strength for penalty in choice.tried} == {1e-3}


def test_steps_bound_the_steps_at_each_penalty(make_fit: Run) -> None:
    fit = make_fit("adding", "csv", penalty=1e-5, steps=2)
    assert [entry.step for entry in fit.trace] == [0, 1, 2]
    assert make_fit("adding", "csv", penalty=1e-5).trace[-1].step > 2


def test_softplus_finds_the_ability_too(make_fit: Run) -> None:
    soft = make_fit("adding", "csv", activation="softplus", members=1)
    assert soft.mse["test"] < 0.1 * make_fit("adding", "all-token").mse["test"]


def test_the_spread_is_that_of_an_ensemble_and_of_nothing_else(
    make_fit: Run, world_db: Path
) -> None:
    def spreads(fit: Fit) -> list[Any]:
        with store.connect(world_db, read_only=True) as db:
            return list(store.weights(db, fit.fit)["spread"].to_pylist())

    spread = np.concatenate(spreads(make_fit("adding", "csv", members=3, **FIXED)))
    weight = all_weights(world_db, make_fit("adding", "csv", members=3, **FIXED).fit)
    assert spread.shape == weight.shape
    assert (spread >= 0).all()
    assert spread.max() > 0.01
    # members have mean 1 each, are positive, and their mean is the weight: at most 3 times it
    assert (spread <= 3 * weight + 1e-6).all()
    assert not np.concatenate(spreads(make_fit("adding", "csv", members=1, **FIXED))).any()
    for method in ("all-token", "label-token", "source-token", "best-source"):
        assert spreads(make_fit("adding", method)) == [None] * len(DOCS)
