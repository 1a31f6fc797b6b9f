from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import SIDES, World, contents
from scipy.stats import spearmanr

from csvcore import pipeline, store
from csvcore.errors import FitError, InputError
from csvcore.pipeline import Comparison, FitConfig, fitting

TEST = [model for model, side in SIDES.items() if side == "test"]
TRAIN = [model for model, side in SIDES.items() if side == "train"]
Compare = Callable[..., list[Comparison]]


@pytest.fixture
def config(tiny_lm: Path) -> FitConfig:
    return FitConfig(steps=12, learning_rate=0.05, seed=0, scorer=str(tiny_lm))


@pytest.fixture
def compare(world_db: Path, config: FitConfig) -> Compare:
    """Every method on these tasks of the made-up world."""

    def run(*tasks: str, **more: Any) -> list[Comparison]:
        return pipeline.compare(world_db, "words", "sides", tasks, config, **more)

    return run


def by_method(rows: list[Comparison], task: str) -> dict[str, Comparison]:
    return {row.method: row for row in rows if row.task == task}


def test_every_method_the_corpus_allows_stands_in_the_table_best_first(compare: Compare) -> None:
    rows = compare()
    methods = {"csv", "all-token", "label-token", "train-mean"}
    assert by_method(rows, "reading").keys() == methods  # it names no sources
    assert by_method(rows, "adding").keys() == methods | {"source-token"}
    assert [row.task for row in rows] == sorted(row.task for row in rows)
    for task in ("adding", "reading"):
        errors = [row.test_mse for row in rows if row.task == task]
        assert errors == sorted(errors)


def test_the_method_that_made_the_accuracies_comes_first(compare: Compare) -> None:
    rows = compare()
    adding = by_method(rows, "adding")
    assert next(row.method for row in rows if row.task == "adding") == "label-token"
    assert adding["label-token"].test_mse < 1e-8
    reading = by_method(rows, "reading")
    assert reading["all-token"].test_mse < 1e-8
    assert reading["all-token"].r2 == pytest.approx(1.0, abs=1e-6)
    assert (reading["all-token"].spearman, reading["all-token"].pairwise) == (1.0, 1.0)


def test_the_figures_are_those_of_the_stored_predictions_of_test_models(
    compare: Compare, world_db: Path, world: World
) -> None:
    row = by_method(compare("adding"), "adding")["csv"]
    assert row.fit is not None
    with store.connect(world_db, read_only=True) as db:
        placed = {p.model: p for p in store.fit(db, row.fit).predictions}
    accuracy = np.array([world.accuracy(model, "adding") for model in TEST])
    predicted = np.array([placed[model].predicted for model in TEST])
    wrong = accuracy - predicted
    assert row.test_mse == pytest.approx(np.mean(wrong**2))
    assert row.test_mae == pytest.approx(np.mean(np.abs(wrong)))
    assert row.r2 == pytest.approx(1 - np.sum(wrong**2) / np.sum((accuracy - accuracy.mean()) ** 2))
    assert row.spearman == pytest.approx(spearmanr(accuracy, predicted).statistic)
    pairs = [(0, 1), (0, 2), (1, 2)]
    right = [(accuracy[i] < accuracy[j]) == (predicted[i] < predicted[j]) for i, j in pairs]
    assert row.pairwise == pytest.approx(np.mean(right))
    assert row.low is not None
    assert row.high is not None
    assert row.low <= row.test_mse <= row.high


def test_the_train_mean_predicts_one_accuracy_for_all(compare: Compare, world: World) -> None:
    row = by_method(compare("adding"), "adding")["train-mean"]
    mean = np.mean([world.accuracy(model, "adding") for model in TRAIN])
    wrong = [world.accuracy(model, "adding") - mean for model in TEST]
    assert row.test_mse == pytest.approx(np.mean(np.square(wrong)))
    assert row.test_mae == pytest.approx(np.mean(np.abs(wrong)))
    assert (row.spearman, row.fit) == (None, None)
    assert row.pairwise == 0.5  # every pair is a tie


def test_the_noise_floor_stands_where_the_items_are_counted(compare: Compare, world: World) -> None:
    rows = compare()
    accuracy = np.array([world.accuracy(model, "reading") for model in TEST])
    floor = np.mean(accuracy * (1 - accuracy) / 400)
    for row in by_method(rows, "reading").values():
        assert row.noise_floor == pytest.approx(floor)
    assert {row.noise_floor for row in by_method(rows, "adding").values()} == {None}


def test_checkpoints_of_one_run_give_no_interval(compare: Compare, world_db: Path) -> None:
    with store.connect(world_db) as db:
        ours = [card for card in store.models(db) if card.model in TEST]
        store.add_models(
            db,
            [replace(c, family="wild", n_params=9, step=i) for i, c in enumerate(ours)],
        )
    for row in compare("adding"):
        assert (row.low, row.high) == (None, None)


def test_missing_fits_are_made_and_stored_ones_are_taken_as_they_are(
    compare: Compare, world_db: Path, config: FitConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    [first] = pipeline.fit(world_db, "words", "sides", [("adding", "csv")], config)
    made = contents(world_db)["fits"]
    tasks: list[list[str]] = []
    real = fitting.optimise_heads

    def watch(hidden: Any, nll: Any, n_chars: int, problems: Any, *more: Any) -> Any:
        tasks.append([problem.task for problem in problems])
        return real(hidden, nll, n_chars, problems, *more)

    monkeypatch.setattr(fitting, "optimise_heads", watch)
    rows = compare()
    assert tasks == [["reading"]]
    assert by_method(rows, "adding")["csv"].fit == first.fit
    after = contents(world_db)
    assert made[0] in after["fits"]  # not even its time changed
    assert len(after["fits"]) == 7
    assert compare() == rows
    assert tasks == [["reading"]]
    assert contents(world_db) == after


def test_a_changed_accuracy_makes_new_fits_of_its_task_alone(
    compare: Compare, world_db: Path
) -> None:
    before = {row.fit for row in compare()}
    with store.connect(world_db) as db:
        db.execute("UPDATE accuracies SET accuracy = 0.5 WHERE task = 'adding' AND model = 'ant'")
    rows = compare()
    assert {row.fit for row in by_method(rows, "reading").values()} <= before
    assert not {row.fit for row in by_method(rows, "adding").values()} & before - {None}


def test_progress_ends_at_its_total(compare: Compare) -> None:
    seen: list[tuple[int, int]] = []
    compare("adding", report=lambda step, total, message: seen.append((step, total)))
    assert seen[0] == (0, 12)
    assert seen[-1] == (12, 12)


# Refusals: each leaves the database as it was


def test_a_split_without_test_models_is_refused_before_anything_is_fitted(
    compare: Compare, world_db: Path
) -> None:
    with store.connect(world_db) as db:
        db.execute("UPDATE splits SET side = 'validation' WHERE side = 'test'")
    before = contents(world_db)
    with pytest.raises(InputError, match="the split sides has no test models to compare methods"):
        compare()
    assert contents(world_db) == before


def test_test_models_without_an_accuracy_on_the_task_are_no_test_models(
    compare: Compare, world_db: Path
) -> None:
    with store.connect(world_db) as db:
        for model in TEST:
            db.execute("DELETE FROM accuracies WHERE task = 'adding' AND model = ?", [model])
    with pytest.raises(InputError, match="adding has no accuracy of a test model of the split"):
        compare("adding")


def test_an_unknown_task_is_refused(compare: Compare, world_db: Path) -> None:
    before = contents(world_db)
    with pytest.raises(InputError, match="there is no task 'riding'; stored: adding, reading"):
        compare("reading", "riding")
    assert contents(world_db) == before


def test_a_task_at_chance_is_refused_by_name(compare: Compare, world_db: Path) -> None:
    with store.connect(world_db) as db:
        db.execute("UPDATE accuracies SET accuracy = 0.25 WHERE task = 'adding'")
    before = contents(world_db)
    with pytest.raises(FitError, match="all 6 train models are at chance on adding"):
        compare()
    assert contents(world_db) == before
