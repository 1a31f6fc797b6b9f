from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from csvcore import splits, store
from csvcore.analysis.comparison import Comparison
from csvcore.errors import InputError
from csvcore.fitting.config import FitConfig
from csvcore.pipeline import compare, leave_one_family_out
from csvcore.pipeline.leave_one_family_out import FamilyComparison, medians
from tests.support.world import SIDES, World, change, contents

pytestmark = pytest.mark.slow

FAMILIES = {
    "tame": {model for i, model in enumerate(SIDES) if i % 2 == 0},
    "wild": {model for i, model in enumerate(SIDES) if i % 2 == 1},
}
Leave = Callable[..., list[FamilyComparison]]


@pytest.fixture
def leave(world_db: Path, config: FitConfig) -> Leave:
    """Every family of the made-up world in turn unseen."""
    quick = replace(config, members=1, penalty=1e-4)

    def run(*tasks: str, **more: Any) -> list[FamilyComparison]:
        return leave_one_family_out.leave_one_family_out(world_db, "words", tasks, quick, **more)

    return run


def stored_splits(database: Path) -> dict[str, dict[str, Any]]:
    with store.connect(database, read_only=True) as db:
        return {name: store.split(db, name) for name in store.splits(db)}


def row(family: str, task: str, method: str, mse: float) -> FamilyComparison:
    """A row of which only the error matters."""
    nothing: dict[str, Any] = dict.fromkeys(
        ("mae", "r2", "spearman", "pairwise", "noise_floor", "low", "high", "difference",
         "difference_low", "difference_high", "covered", "fit")
    )  # fmt: skip
    one = Comparison(task=task, method=method, side="test", mse=mse, n_models=1, **nothing)
    return FamilyComparison(family, f"without-{family}", one)


# The command's work


def test_every_family_is_unseen_once_and_its_split_is_stored(
    leave: Leave, world: World, world_db: Path
) -> None:
    found = leave()
    assert {one.family for one in found} == FAMILIES.keys()
    assert {one.split for one in found} == {"without-tame", "without-wild"}
    stored = stored_splits(world_db)
    assert stored["sides"] == SIDES
    for family, models in FAMILIES.items():
        split = stored[f"without-{family}"]
        assert split == splits.leave_one_family_out(world.cards, family)
        assert {model for model, side in split.items() if side == "test"} == models
    for one in found:
        if one.row.fit is None:
            continue
        with store.connect(world_db, read_only=True) as db:
            fit = store.fit(db, one.row.fit)
        assert fit.split == one.split == f"without-{one.family}"
        assert {p.model for p in fit.predictions if p.side == "test"} == FAMILIES[one.family]


def test_the_rows_are_those_of_compare_on_the_stored_split(
    leave: Leave, world_db: Path, config: FitConfig
) -> None:
    found = leave("adding")
    quick = replace(config, members=1, penalty=1e-4)
    before = contents(world_db)
    for family in FAMILIES:
        rows = compare.compare(world_db, "words", f"without-{family}", ["adding"], quick)
        assert [one.row for one in found if one.family == family] == rows
    assert contents(world_db) == before  # nothing had to be fitted again


def test_a_second_run_makes_nothing_again(leave: Leave, world_db: Path) -> None:
    first = leave("reading")
    before = contents(world_db)
    assert leave("reading") == first
    assert contents(world_db) == before


def test_a_split_of_that_name_that_says_something_else_is_made_again(
    leave: Leave, world: World, world_db: Path
) -> None:
    with store.connect(world_db) as db:
        store.add_split(db, "without-tame", {"ant": "test"})
    leave("reading")
    expected = splits.leave_one_family_out(world.cards, "tame")
    assert stored_splits(world_db)["without-tame"] == expected


def test_models_without_all_losses_take_no_part(leave: Leave, world_db: Path) -> None:
    change(world_db, "DELETE FROM losses WHERE model = 'ant' AND doc_id = 'note-1'")
    leave("reading")
    made = stored_splits(world_db)
    assert made.keys() == {"sides", "without-tame", "without-wild"}
    assert "ant" not in made["without-tame"].keys() | made["without-wild"].keys()


def test_a_task_that_cannot_be_fitted_without_a_family_is_left_out_there_alone(
    leave: Leave, world_db: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tame = ", ".join(f"'{model}'" for model in FAMILIES["tame"])
    change(world_db, f"UPDATE accuracies SET accuracy = 0.25 WHERE model IN ({tame})"
           " AND task = 'adding'")  # fmt: skip
    tasks = {(one.family, one.row.task) for one in leave("adding", "reading")}
    assert tasks == {("tame", "reading"), ("tame", "adding"), ("wild", "reading")}
    assert "train models are at chance on adding" in caplog.text


def test_a_task_that_a_family_was_not_measured_on_is_left_out_for_that_family_alone(
    leave: Leave, world_db: Path
) -> None:
    wild = ", ".join(f"'{model}'" for model in FAMILIES["wild"])
    change(world_db, f"DELETE FROM accuracies WHERE model IN ({wild}) AND task = 'adding'")
    tasks = {(one.family, one.row.task) for one in leave("reading", "adding")}
    # without tame, adding has no train model; without wild it has no test model
    assert tasks == {("tame", "reading"), ("wild", "reading")}


def test_a_family_without_which_too_few_train_is_left_out(leave: Leave, world_db: Path) -> None:
    change(
        world_db,
        "UPDATE models SET family = 'wild'",
        "UPDATE models SET family = 'tame' WHERE model IN ('ant', 'cow')",
    )
    assert {one.family for one in leave("reading")} == {"tame"}


def test_progress_runs_over_all_families(leave: Leave) -> None:
    seen: list[tuple[int, int, str]] = []
    leave("reading", report=lambda step, total, message: seen.append((step, total, message)))
    assert all(0 <= step <= total for step, total, _ in seen)
    assert seen[-1][0] == seen[-1][1]
    assert {message.split(":")[0] for _, _, message in seen} == {"without tame", "without wild"}


# Medians, by hand


def test_medians_are_over_families_and_ratios_to_all_token_of_the_same_family() -> None:
    found = [
        *(row("a", "t", "all-token", 0.4), row("a", "t", "csv", 0.1)),
        *(row("b", "t", "all-token", 0.1), row("b", "t", "csv", 0.15)),
        *(row("c", "t", "all-token", 0.2), row("c", "t", "csv", 0.3)),
        *(row("a", "s", "csv", 0.5), row("d", "t", "csv", 9.0)),
        *(row("b", "t", "best-source", 0.2),),
    ]
    table = medians(found)
    assert [(task, method, n) for task, method, _, _, n in table] == [
        ("s", "csv", 1), ("t", "all-token", 3), ("t", "best-source", 1), ("t", "csv", 4)
    ]  # fmt: skip
    figures = {(task, method): (median, worst) for task, method, median, worst, _ in table}
    assert figures["t", "all-token"] == pytest.approx((0.2, 1.0))
    assert figures["t", "best-source"] == pytest.approx((0.2, 2.0))
    assert figures["t", "csv"] == pytest.approx((np.median([0.1, 0.15, 0.3, 9.0]), 1.5))
    assert figures["s", "csv"] == (0.5, None)


# Refusals


def test_one_family_cannot_be_left_out(leave: Leave, world_db: Path) -> None:
    change(world_db, "UPDATE models SET family = 'one'")
    before = contents(world_db)
    message = "leaving out a family needs 2 families with losses on every document of words, got 1"
    with pytest.raises(InputError, match=message):
        leave()
    assert contents(world_db) == before


def test_families_without_losses_are_none(leave: Leave, world_db: Path) -> None:
    wild = ", ".join(f"'{model}'" for model in FAMILIES["wild"])
    change(world_db, f"DELETE FROM losses WHERE model IN ({wild})")
    with pytest.raises(InputError, match=r"needs 2 families .*, got 1"):
        leave()


def test_where_no_task_can_be_fitted_it_is_refused(leave: Leave, world_db: Path) -> None:
    change(world_db, "UPDATE accuracies SET accuracy = 0.25 WHERE task = 'adding'")
    with pytest.raises(InputError, match="no task can be fitted on words without one of its famil"):
        leave("adding")
