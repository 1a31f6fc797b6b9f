from collections.abc import Callable
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.optimize import least_squares
from scipy.special import expit
from scipy.stats import spearmanr

from csvcore import store
from csvcore.analysis.comparison import Comparison
from csvcore.errors import FitError, InputError
from csvcore.fitting import learn
from csvcore.fitting.config import FitConfig
from csvcore.optimise import choose_heads
from csvcore.pipeline import compare
from csvcore.pipeline.fit import fit
from csvcore.records import Floats
from tests.support.world import SIDES, World, alternate, change, contents

pytestmark = pytest.mark.slow

TEST = [model for model, side in SIDES.items() if side == "test"]
TRAIN = [model for model, side in SIDES.items() if side == "train"]
Compare = Callable[..., list[Comparison]]


@pytest.fixture
def config(config: FitConfig) -> FitConfig:
    return replace(config, members=1, penalty=1e-4)


@pytest.fixture
def run_compare(world_db: Path, config: FitConfig) -> Compare:
    """Every method on these tasks of the made-up world."""

    def run(*tasks: str, **more: Any) -> list[Comparison]:
        return compare.compare(world_db, "words", "sides", tasks, config, **more)

    return run


def by_method(rows: list[Comparison], task: str) -> dict[str, Comparison]:
    return {row.method: row for row in rows if row.task == task}


def test_every_method_the_corpus_allows_stands_in_the_table_best_first(
    run_compare: Compare,
) -> None:
    rows = run_compare()
    methods = {
        *("stack", "csv", "all-token", "label-token", "label-probability", "best-source"),
        *("rank-token", "loss-compute", "loss-quantiles", "exponential"),
        *("train-mean", "sibling", "compute", "best-constant"),
    }
    assert by_method(rows, "reading").keys() == methods  # it names no sources
    assert by_method(rows, "adding").keys() == methods | {"source-token"}
    assert [row.task for row in rows] == sorted(row.task for row in rows)
    for task in ("adding", "reading"):
        errors = [row.mse for row in rows if row.task == task]
        assert errors == sorted(errors)


def test_the_method_that_made_the_accuracies_comes_first(run_compare: Compare) -> None:
    rows = run_compare()
    adding = by_method(rows, "adding")
    assert next(row.method for row in rows if row.task == "adding") == "label-token"
    assert adding["label-token"].mse < 1e-8
    reading = by_method(rows, "reading")
    assert reading["all-token"].mse < 1e-8
    assert reading["all-token"].r2 == pytest.approx(1.0, abs=1e-6)
    assert (reading["all-token"].spearman, reading["all-token"].pairwise) == (1.0, 1.0)


def test_the_figures_are_those_of_the_stored_predictions_of_test_models(
    run_compare: Compare, world_db: Path, world: World
) -> None:
    row = by_method(run_compare("adding"), "adding")["csv"]
    assert row.fit is not None
    with store.connect(world_db, read_only=True) as db:
        placed = {p.model: p for p in store.fit(db, row.fit).predictions}
    accuracy = np.array([world.accuracy(model, "adding") for model in TEST])
    predicted = np.array([placed[model].predicted for model in TEST])
    wrong = accuracy - predicted
    assert row.mse == pytest.approx(np.mean(wrong**2))
    assert row.mae == pytest.approx(np.mean(np.abs(wrong)))
    assert row.r2 == pytest.approx(1 - np.sum(wrong**2) / np.sum((accuracy - accuracy.mean()) ** 2))
    assert row.spearman == pytest.approx(spearmanr(accuracy, predicted).statistic)
    pairs = [(0, 1), (0, 2), (1, 2)]
    right = [(accuracy[i] < accuracy[j]) == (predicted[i] < predicted[j]) for i, j in pairs]
    assert row.pairwise == pytest.approx(np.mean(right))
    assert row.low is not None
    assert row.high is not None
    assert row.low <= row.mse <= row.high


def test_the_train_mean_predicts_one_accuracy_for_all(run_compare: Compare, world: World) -> None:
    row = by_method(run_compare("adding"), "adding")["train-mean"]
    mean = np.mean([world.accuracy(model, "adding") for model in TRAIN])
    wrong = [world.accuracy(model, "adding") - mean for model in TEST]
    assert row.mse == pytest.approx(np.mean(np.square(wrong)))
    assert row.mae == pytest.approx(np.mean(np.abs(wrong)))
    assert (row.spearman, row.fit) == (None, None)
    assert row.pairwise == 0.5  # every pair is a tie


def test_the_noise_floor_stands_where_the_items_are_counted(
    run_compare: Compare, world: World
) -> None:
    rows = run_compare()
    accuracy = np.array([world.accuracy(model, "reading") for model in TEST])
    floor = np.mean(accuracy * (1 - accuracy) / 400)
    for row in by_method(rows, "reading").values():
        assert row.noise_floor == pytest.approx(floor)
    assert {row.noise_floor for row in by_method(rows, "adding").values()} == {None}


def test_checkpoints_of_one_run_give_no_interval(run_compare: Compare, world_db: Path) -> None:
    with store.connect(world_db) as db:
        ours = [card for card in store.models(db) if card.model in TEST]
        store.add_models(
            db,
            [replace(c, family="wild", n_params=9, step=i) for i, c in enumerate(ours)],
        )
    for row in run_compare("adding"):
        assert (row.low, row.high) == (None, None)


def test_missing_fits_are_made_and_stored_ones_are_taken_as_they_are(
    run_compare: Compare, world_db: Path, config: FitConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    [first] = fit(world_db, "words", "sides", [("adding", "csv")], config)
    made = contents(world_db)["fits"]
    tasks: list[list[str]] = []
    real = choose_heads

    def watch(table: Any, problems: Any, *more: Any) -> Any:
        tasks.append([problem.task for problem in problems])
        return real(table, problems, *more)

    monkeypatch.setattr(learn, "choose_heads", watch)
    rows = run_compare()
    assert tasks == [["reading", "adding"]]  # the stack of adding is judged by CSV's folds
    assert by_method(rows, "adding")["csv"].fit == first.fit
    after = contents(world_db)
    assert made[0] in after["fits"]  # not even its time changed
    assert len(after["fits"]) == 21
    assert run_compare() == rows
    assert len(tasks) == 1
    assert contents(world_db) == after


def test_a_changed_accuracy_makes_new_fits_of_its_task_alone(
    run_compare: Compare, world_db: Path
) -> None:
    before = {row.fit for row in run_compare()}
    with store.connect(world_db) as db:
        db.execute("UPDATE accuracies SET accuracy = 0.5 WHERE task = 'adding' AND model = 'ant'")
    rows = run_compare()
    assert {row.fit for row in by_method(rows, "reading").values()} <= before
    assert not {row.fit for row in by_method(rows, "adding").values()} & before - {None}


def test_progress_ends_at_its_total(run_compare: Compare) -> None:
    seen: list[tuple[int, int]] = []
    run_compare("adding", report=lambda step, total, message: seen.append((step, total)))
    assert seen[0] == (0, 1)
    assert seen[-1][0] == seen[-1][1]
    assert all(0 <= step <= total for step, total in seen)


# Refusals: each leaves the database as it was


def test_a_split_without_test_models_is_refused_before_anything_is_fitted(
    run_compare: Compare, world_db: Path
) -> None:
    with store.connect(world_db) as db:
        db.execute("UPDATE splits SET side = 'validation' WHERE side = 'test'")
    before = contents(world_db)
    with pytest.raises(InputError, match="the split sides has no test models to compare methods"):
        run_compare()
    assert contents(world_db) == before


def test_test_models_without_an_accuracy_on_the_task_are_no_test_models(
    run_compare: Compare, world_db: Path
) -> None:
    with store.connect(world_db) as db:
        for model in TEST:
            db.execute("DELETE FROM accuracies WHERE task = 'adding' AND model = ?", [model])
    with pytest.raises(InputError, match="adding has no accuracy of a test model of the split"):
        run_compare("adding")


def test_an_unknown_task_is_refused(run_compare: Compare, world_db: Path) -> None:
    before = contents(world_db)
    with pytest.raises(InputError, match="there is no task 'riding'; stored: adding, reading"):
        run_compare("reading", "riding")
    assert contents(world_db) == before


def test_a_named_task_at_chance_is_refused_by_name(run_compare: Compare, world_db: Path) -> None:
    change(world_db, "UPDATE accuracies SET accuracy = 0.25 WHERE task = 'adding'")
    before = contents(world_db)
    with pytest.raises(FitError, match="all 6 train models are at chance on adding"):
        run_compare("reading", "adding")
    assert contents(world_db) == before


CANNOT = {
    "at chance": "UPDATE accuracies SET accuracy = 0.25 WHERE task = 'adding'",
    "2 train models": "DELETE FROM accuracies WHERE task = 'adding'"
    " AND model IN ('ant', 'bee', 'cow', 'dog')",
    "no accuracy of a test model": "DELETE FROM accuracies WHERE task = 'adding'"
    " AND model IN ('jay', 'kid', 'owl')",
    "the same accuracy": "UPDATE accuracies SET accuracy = 0.75 WHERE task = 'adding'",
}


@pytest.mark.parametrize("reason", CANNOT)
@pytest.mark.parametrize("named", [False, True], ids=["unnamed", "lenient"])
def test_a_task_that_cannot_be_fitted_is_left_out_with_a_warning_unless_it_was_named(
    run_compare: Compare, world_db: Path, caplog: pytest.LogCaptureFixture, reason: str, named: bool
) -> None:
    change(world_db, CANNOT[reason])
    rows = run_compare("adding", "reading", lenient=True) if named else run_compare()
    assert {row.task for row in rows} == {"reading"}
    assert reason in caplog.text
    with pytest.raises((InputError, FitError), match=reason):
        run_compare("adding", "reading")


def test_where_nothing_can_be_fitted_every_reason_is_given(
    run_compare: Compare, world_db: Path
) -> None:
    change(world_db, "UPDATE accuracies SET accuracy = 0.25 WHERE task = 'adding'")
    change(world_db, "DELETE FROM accuracies WHERE task = 'reading'")
    for lenient in (False, True):
        with pytest.raises(InputError, match=r"at chance on adding.*; reading has 0 train models"):
            run_compare(lenient=lenient)
    change(world_db, "DELETE FROM tasks")
    with pytest.raises(InputError, match="there are no tasks; csvcore import tasks FILE"):
        run_compare()


# The trivial baselines, by hand


def test_the_best_constant_is_the_mean_of_the_test_models(
    run_compare: Compare, world: World
) -> None:
    row = by_method(run_compare("adding"), "adding")["best-constant"]
    accuracy = np.array([world.accuracy(model, "adding") for model in TEST])
    assert row.mse == pytest.approx(accuracy.var())
    assert row.r2 == pytest.approx(0.0, abs=1e-9)
    assert (row.spearman, row.fit, row.covered) == (None, None, None)


def test_the_sibling_is_the_next_smaller_model_of_the_family_that_is_not_in_test(
    run_compare: Compare, world: World
) -> None:
    # sizes rise with the name; ant, cow, elk, gnu, jay, owl are tame, the others wild
    row = by_method(run_compare("reading"), "reading")["sibling"]
    next_smaller = {"jay": "gnu", "owl": "gnu", "kid": "hen"}
    wrong = [
        world.accuracy(model, "reading") - world.accuracy(other, "reading")
        for model, other in next_smaller.items()
    ]
    assert row.mse == pytest.approx(np.mean(np.square(wrong)))


def test_compute_is_the_law_in_the_logarithm_of_the_training_flops(
    run_compare: Compare, world: World
) -> None:
    row = by_method(run_compare("reading"), "reading")["compute"]
    flops = {card.model: np.log10(6.0 * card.n_params * 5000) for card in world.cards}  # type: ignore[operator]
    accuracy = np.array([world.accuracy(model, "reading") for model in TRAIN])
    x = np.array([flops[model] for model in TRAIN])

    def residuals(law: Floats) -> Floats:
        return np.asarray(expit(law[0] * x + law[1]) - accuracy)

    slopes = (-8.0, -1.0, 1.0, 8.0)
    fits = [least_squares(residuals, [slope, -slope * x.mean()]) for slope in slopes]
    law = min(fits, key=lambda solution: float(solution.cost)).x
    wrong = [
        world.accuracy(model, "reading") - expit(law[0] * flops[model] + law[1]) for model in TEST
    ]
    assert row.mse == pytest.approx(np.mean(np.square(wrong)), rel=1e-4)


def test_nulls_that_the_cards_do_not_allow_are_missing(
    run_compare: Compare, world_db: Path
) -> None:
    change(world_db, "UPDATE models SET train_tokens = NULL WHERE model = 'ant'")
    change(world_db, "UPDATE models SET stage = 'chat' WHERE model = 'owl'")
    methods = by_method(run_compare("reading"), "reading").keys()
    assert not {"compute", "sibling"} & methods
    assert {"train-mean", "best-constant"} <= methods


# Differences, intervals, coverage


def test_the_difference_is_to_csv_on_the_same_models_and_its_interval_is_paired(
    run_compare: Compare, world: World, world_db: Path
) -> None:
    rows = by_method(run_compare("adding"), "adding")
    csv = rows["csv"]
    assert (csv.difference, csv.difference_low, csv.difference_high) == (None, None, None)
    wrong = {}
    with store.connect(world_db, read_only=True) as db:
        for method, row in rows.items():
            if row.fit is not None:
                placed = {p.model: p for p in store.fit(db, row.fit).predictions}
                wrong[method] = np.array(
                    [(placed[m].accuracy - placed[m].predicted) ** 2 for m in TEST]
                )
    for method, own in wrong.items():
        row = rows[method]
        if method == "csv":
            continue
        assert row.difference == pytest.approx(row.mse - csv.mse)
        # every way to draw three runs of three, each as likely: paired, so drawn for both at once
        draws = np.array(list(product(range(3), repeat=3)))
        means = (own - wrong["csv"])[draws].mean(axis=1)
        low, high = np.quantile(means, [0.05, 0.95])
        assert row.difference_low is not None
        assert row.difference_high is not None
        step = means.max() - means.min()
        assert row.difference_low == pytest.approx(low, abs=0.2 * step)
        assert row.difference_high == pytest.approx(high, abs=0.2 * step)
        assert means.min() - 1e-12 <= row.difference_low <= row.difference_high
        assert row.difference_high <= means.max() + 1e-12
    train_mean = rows["train-mean"]
    mean = np.mean([world.accuracy(model, "adding") for model in TRAIN])
    own = np.array([(world.accuracy(m, "adding") - mean) ** 2 for m in TEST])
    assert train_mean.difference == pytest.approx(float(np.mean(own - wrong["csv"])))


def test_covered_is_the_share_of_test_models_within_their_interval(
    run_compare: Compare, world_db: Path
) -> None:
    rows = by_method(run_compare("adding"), "adding")
    shares = set()
    for row in rows.values():
        if row.fit is None:
            assert row.covered is None
            continue
        with store.connect(world_db, read_only=True) as db:
            placed = [p for p in store.fit(db, row.fit).predictions if p.side == "test"]
        assert row.covered == np.mean([p.low <= p.accuracy <= p.high for p in placed])
        assert row.n_models == len(placed) == 3
        shares.add(row.covered)
    assert len(shares) > 1


def test_the_notes_of_a_row_are_those_of_its_fit(run_compare: Compare, world_db: Path) -> None:
    for row in run_compare("adding"):
        if row.fit is None:
            assert row.notes == ()
            continue
        with store.connect(world_db, read_only=True) as db:
            assert row.notes == store.fit(db, row.fit).notes
    assert any(row.notes for row in run_compare("adding"))


# Permutations


def test_the_p_value_is_asked_for_stored_and_not_computed_again(
    run_compare: Compare, world_db: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert {row.p_value for row in run_compare("adding")} == {None}
    rows = by_method(run_compare("adding", permutations=9), "adding")
    p_value = rows.pop("csv").p_value
    assert p_value is not None
    assert p_value * 10 == pytest.approx(round(p_value * 10))
    assert 0.1 <= p_value <= 1.0
    assert {row.p_value for row in rows.values()} == {None}
    monkeypatch.setattr(compare, "permutation_control", lambda *_: pytest.fail("refitted"))
    for permutations in (9, 5):
        again = by_method(run_compare("adding", permutations=permutations), "adding")
        assert again["csv"].p_value == p_value
    with pytest.raises(pytest.fail.Exception, match="refitted"):
        run_compare("adding", permutations=10)  # more than were run


def test_an_ability_in_the_losses_has_a_small_p_value_and_one_that_is_dealt_out_has_not(
    run_compare: Compare, world_db: Path
) -> None:
    # six train models have 720 orders; the true one is among the best
    assert by_method(run_compare("reading", permutations=39), "reading")["csv"].p_value == 1 / 40
    alternate(world_db, SIDES)
    dealt = by_method(run_compare("reading", permutations=39), "reading")["csv"].p_value
    assert dealt is not None
    assert dealt > 0.1
