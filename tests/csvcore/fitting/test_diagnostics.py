from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.special import expit

from csvcore.fitting.diagnostics import beyond_notes, choice_notes, law_notes
from csvcore.records import Fit, Penalty, PenaltyChoice, ScalingFit
from tests.support.world import ALL_OR_NOTHING, SIDES, World, alternate, change

pytestmark = pytest.mark.slow

TEST = [model for model, side in SIDES.items() if side == "test"]
Run = Callable[..., Fit]


def kinds(notes: Any) -> set[str]:
    """What the notes are about; this world's test models reach beyond the train models' scores."""
    return {note.split(":")[0] for note in notes} - {"extrapolated"}


def noted(alpha: float, beta: float, gamma: float = 0.25) -> set[str]:
    """Notes on this law where six train models score 1 to 2."""
    score = np.linspace(1.0, 2.0, 6)
    predicted = gamma + (1 - gamma) * expit(alpha * (score - beta))
    return kinds(law_notes(ScalingFit(alpha, beta, gamma, 0.0, 6), score, predicted))


def test_a_law_with_three_models_on_its_slope_has_no_note() -> None:
    assert noted(-3.0, 1.5) == set()
    assert noted(-3.0, 1.5, gamma=0.0) == set()
    # logit(0.02) = -3.89, so 0.2 off the midpoint is on a slope of 19 and beyond one of 20
    assert noted(-19.0, 1.8) == set()
    assert noted(-20.0, 1.8) == {"saturated"}


def test_accuracy_that_rises_with_the_loss_is_noted_as_the_wrong_sign() -> None:
    assert noted(3.0, 1.5) == {"wrong sign"}


def test_one_or_two_models_on_the_slope_are_noted_as_saturated() -> None:
    assert noted(-20.0, 1.9) == {"saturated"}
    assert noted(-20.0, 2.1) == {"saturated"}
    score, law = np.linspace(1.0, 2.0, 6), ScalingFit(-20.0, 2.1, 0.0, 0.0, 6)
    [note] = law_notes(law, score, expit(-20.0 * (score - 2.1)))
    assert note == "saturated: only 1 of 6 train models stand where the curve rises"


def test_no_model_on_the_slope_is_noted_as_step_like() -> None:
    assert noted(-50.0, 1.5) == {"step-like"}
    assert noted(-3.0, 9.0) == {"step-like"}  # all on the upper end
    assert noted(-3.0, -9.0) == {"step-like"}  # all on the lower end
    assert noted(50.0, 1.5) == {"wrong sign", "step-like"}


def test_a_slope_of_30_in_standard_deviations_is_a_step_whatever_stands_on_it() -> None:
    spread = np.linspace(1.0, 2.0, 6).std()
    assert noted(-29.0 / spread, 1.4) == {"saturated"}
    assert noted(-31.0 / spread, 1.4) == {"step-like"}


def choice(**errors: float) -> PenaltyChoice:
    chosen = Penalty("all-token", 1e-3, 0.1, errors)
    return PenaltyChoice(chosen, (chosen,))


def test_where_most_groups_are_no_better_than_the_mean_it_cannot_be_known() -> None:
    nothing = {"a": 0.1, "b": 0.1, "c": 0.1}
    assert choice_notes(choice(a=0.2, b=0.01, c=0.01), nothing, True) == []
    [note] = choice_notes(choice(a=0.2, b=0.1, c=0.01), nothing, True)
    assert note.startswith("cannot be known from these models: for a, b left out of train")
    assert choice_notes(choice(a=0.2), {"a": 0.1, "b": 0.1}, True) == []  # half is not most
    assert choice_notes(choice(), {}, True) == []
    assert kinds(choice_notes(choice(validation=9.0), {"a": 0.1}, True)) == set()


def test_a_stopping_rule_that_did_not_hold_is_noted() -> None:
    assert kinds(choice_notes(choice(a=0.0), {"a": 0.1}, False)) == {"not converged"}


def test_test_models_outside_the_scores_of_train_are_counted_as_extrapolated(
    make_fit: Run, world: World
) -> None:
    score = np.array([1.0, 2.0, 0.5, 2.5, 1.5, 9.0])
    train = np.array([True, True, False, False, False, False])
    test = np.array([False, False, True, True, True, False])
    [note] = beyond_notes(score, train, test)
    assert note.startswith("extrapolated: 2 of 3 test models score outside the range of the models")
    assert beyond_notes(score, train, np.array([True, True, False, False, True, False])) == []
    many = np.array([1.0, 2.0, 0.5, 0.5] + [1.5] * 19)
    train, test = np.arange(23) < 2, np.arange(23) >= 3
    assert beyond_notes(many, train, test) == []  # one of 20 goes without saying
    assert len(beyond_notes(many, train, np.arange(23) >= 2)) == 1  # not two of 21
    own = [world.all_token(model) for model, side in SIDES.items() if side == "train"]
    beyond = [m for m in TEST if not min(own) <= world.all_token(m) <= max(own)]
    [note] = make_fit("reading", refit="train").notes
    assert note.startswith(f"extrapolated: {len(beyond)} of 3 test models")


# Notes by the worlds that cause them


def test_a_sound_world_has_no_note(make_fit: Run) -> None:
    assert kinds(make_fit("reading").notes) == set()
    assert kinds(make_fit("reading", "csv").notes) == set()
    assert kinds(make_fit("adding", "csv").notes) == set()


def test_accuracies_turned_upside_down_give_the_wrong_sign(make_fit: Run, world_db: Path) -> None:
    change(world_db, "UPDATE accuracies SET accuracy = 1 - accuracy WHERE task = 'reading'")
    fit = make_fit("reading")
    assert kinds(fit.notes) == {"wrong sign"}
    assert fit.alpha > 0


def test_train_models_that_know_all_or_nothing_give_a_step(make_fit: Run, world_db: Path) -> None:
    change(world_db, ALL_OR_NOTHING)
    assert "step-like" in kinds(make_fit("reading").notes)


def test_a_fit_cut_short_is_not_converged(make_fit: Run) -> None:
    short = make_fit("adding", "csv", penalty=1e-5, steps=1)
    assert kinds(short.notes) == {"not converged"}
    assert kinds(make_fit("adding", "csv", penalty=1e-5).notes) == set()
    assert make_fit("adding", "csv", algorithm="paper", steps=1).choice is None


def test_accuracies_that_hang_on_nothing_cannot_be_known(
    make_fit: Run, world: World, world_db: Path
) -> None:
    # high and low in turn along the loss, so that without one model the others mislead about it
    ranked = sorted(SIDES, key=lambda model: (SIDES[model] != "train", world.all_token(model)))
    alternate(world_db, ranked)
    fit = make_fit("reading", "csv", penalty=100.0)
    [note] = [note for note in fit.notes if note.startswith("cannot be known")]
    assert fit.choice is not None
    errors = fit.choice.chosen.errors
    train = [model for model in ranked if SIDES[model] == "train"]
    accuracy = {p.model: p.accuracy for p in fit.predictions}
    worse = {
        model
        for model in train
        if errors[f"run {model}"]
        >= (accuracy[model] - np.mean([accuracy[m] for m in train if m != model])) ** 2
    }
    assert len(worse) > 3
    named = note.split(" for ")[1].split(" left out")[0].split(", ")
    assert {name.removeprefix("run ") for name in named} == worse
    plain = make_fit("reading").notes
    assert not [note for note in plain if note.startswith("cannot be known")]
