import multiprocessing
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from csvcore import store
from csvcore.errors import InputError, StoreError
from csvcore.pipeline import importers, imports
from csvcore.records import Mix
from csvcore.store import Target, removal
from csvcore.store.replays import replay_path
from tests.support.world import PACK, contents, world_fit


@pytest.fixture
def full_db(world_db: Path) -> Path:
    """The made-up world with fits, a mix search, item results and a reveal."""
    with store.connect(world_db) as db:
        for task in ("reading", "adding"):
            world_fit(db, f"{task}-1", task)
        mix = Mix("reading", {"sums": 1.0}, ("sum-1",), 10, 0.1, None, None, None, None)
        store.set_mixes(db, ["words"], "sides", "reading", [mix])
        store.add_reveal(db, "words", "sides")
        db.execute("INSERT INTO item_results VALUES ('ant', 'reading', '1', 1.0)")
    return world_db


def remove(database: Path, target: Target) -> store.Changes:
    act = removal(target)
    planned = store.rehearse(database, act)
    return store.perform(database, act, planned.fingerprint)


def mentions(database: Path, name: str) -> list[str]:
    """The tables that have a cell, or an entry of a list in a cell, with this name."""

    def has(cell: Any) -> bool:
        return name in cell if isinstance(cell, list) else cell == name

    return [
        table
        for table, rows in contents(database).items()
        if any(has(cell) for row in rows for cell in row)
    ]


@pytest.mark.parametrize(
    ("target", "name"),
    [
        (Target("models", ("ant",)), "ant"),
        (Target("models", ("owl",)), "owl"),
        (Target("tasks", ("adding",)), "adding"),
        (Target("corpora", ("words",)), "words"),
        (Target("splits", ("sides",)), "sides"),
        (Target("fits", ("reading-1",)), "reading-1"),
    ],
)
def test_after_a_removal_no_table_names_the_thing(full_db: Path, target: Target, name: str) -> None:
    assert mentions(full_db, name)
    remove(full_db, target)
    assert [table for table in mentions(full_db, name) if table != "reveals"] == []


@pytest.mark.parametrize("target", [Target("corpora", ("words",)), Target("splits", ("sides",))])
def test_a_reveal_stays_counted_after_its_split_is_removed(full_db: Path, target: Target) -> None:
    remove(full_db, target)
    with store.connect(full_db, read_only=True) as db:
        assert store.n_reveals(db, "words", "sides") == 1


def test_all_that_vanishes_is_listed_before(full_db: Path) -> None:
    """By hand: what a model has in the made-up world."""
    planned = store.rehearse(full_db, removal(Target("models", ("ant",))))
    assert [(row.what, row.name) for row in planned.rows if row.effect == "removed"] == [
        ("model", "ant"),
        ("accuracy", "ant on adding"),
        ("accuracy", "ant on reading"),
        ("set of item results", "ant on reading"),
        ("set of losses", "ant on words"),
        ("side in a split", "ant in sides"),
        ("fit", "adding-1"),
        ("fit", "reading-1"),
        ("mix search", "reading on words, sides"),
    ]
    assert not [row for row in planned.rows if row.effect != "removed"]


@pytest.mark.parametrize(
    "target",
    [Target("tasks", ("reading",)), Target("accuracies", models=("ant",), tasks=("reading",))],
)
def test_fits_that_read_an_accuracy_of_another_task_go_with_it(
    world_db: Path, target: Target
) -> None:
    with store.connect(world_db) as db:
        for method in ("csv", "other-tasks", "collaborative"):
            world_fit(db, f"adding-{method}", "adding")
            db.execute("UPDATE fits SET method = ? WHERE fit = ?", [method, f"adding-{method}"])
        world_fit(db, "adding-without", "adding", left_out=("ant",))
        db.execute("UPDATE fits SET method = 'other-tasks' WHERE fit = 'adding-without'")
    remove(world_db, target)
    stay = {"adding-csv"} | ({"adding-without"} if target.kind == "accuracies" else set())
    with store.connect(world_db, read_only=True) as db:
        assert set(store.fits(db)["fit"]) == stay


def test_a_fit_that_left_the_model_out_stays(world_db: Path) -> None:
    with store.connect(world_db) as db:
        world_fit(db, "without", "reading", left_out=("ant",))
    planned = remove(world_db, Target("models", ("ant",)))
    [row] = [row for row in planned.rows if row.what == "fit"]
    assert (row.effect, row.before, row.after) == ("changed", "left_out ant", "left_out unknown")
    with store.connect(world_db, read_only=True) as db:
        assert store.fit(db, "without").left_out == ()


@pytest.mark.parametrize(
    ("target", "again"),
    [
        (
            Target("models", ("ant", "owl")),
            ("models", "accuracies", "losses", "split"),
        ),
        (Target("corpora", ("words",)), ("corpus", "losses")),
        (Target("tasks", ("adding", "reading")), ("tasks", "accuracies")),
        (Target("splits", ("sides",)), ("split",)),
        (Target("accuracies", models=("ant",), tasks=("adding",)), ("accuracies",)),
        (Target("losses", corpora=("words",), models=("bee",)), ("losses",)),
        (Target("losses", corpora=("words",)), ("losses",)),
    ],
)
def test_a_removal_and_the_same_import_give_the_same_database(
    world_db: Path, world_files: Path, target: Target, again: tuple[str, ...]
) -> None:
    before, sides = contents(world_db), world_files / "splits" / "sides.csv"
    remove(world_db, target)
    assert contents(world_db) != before
    importers: dict[str, Callable[[], str]] = {
        "corpus": lambda: imports.import_corpus(world_db, world_files / "documents.jsonl", "words"),
        "models": lambda: imports.import_models(world_db, world_files / "models.csv"),
        "tasks": lambda: imports.import_tasks(world_db, world_files / "tasks.csv"),
        "accuracies": lambda: imports.import_accuracies(world_db, [world_files / "accuracies.csv"]),
        "losses": lambda: imports.import_losses(world_db, [world_files / PACK]),
        "split": lambda: imports.import_split(world_db, sides, "sides"),
    }
    if "models" in again:  # a split that lacks some is another, which an import refuses
        remove(world_db, Target("splits", ("sides",)))
    for what in again:
        importers[what]()
    assert contents(world_db) == before


def test_other_things_stay(full_db: Path) -> None:
    before = contents(full_db)
    remove(full_db, Target("accuracies", models=("ant",), tasks=("adding",)))
    after = contents(full_db)
    assert [row for row in before["accuracies"] if row[:2] != ("ant", "adding")] == after[
        "accuracies"
    ]
    assert {row[0] for row in before["fits"]} - {row[0] for row in after["fits"]} == {"adding-1"}
    same = set(before) - {"accuracies", "fits", "predictions", "traces", "weights"}
    assert all(before[table] == after[table] for table in same)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (Target("models", ("ant", "yeti")), "no model 'yeti'; stored: ant, bee"),
        (Target("tasks", ("x",)), "no task 'x'; stored: adding, reading"),
        (Target("corpora", ("x",)), "no corpus 'x'; stored: words"),
        (Target("splits", ("x",)), "no split 'x'; stored: sides"),
        (Target("fits", ("x",)), "no fit 'x'; stored: adding-1"),
        (Target("accuracies", tasks=("x",)), "no task 'x'"),
        (Target("losses", corpora=("x",)), "no corpus 'x'"),
    ],
)
def test_a_refused_removal_changes_nothing(full_db: Path, target: Target, message: str) -> None:
    before = contents(full_db)
    with pytest.raises(InputError, match=message):
        store.rehearse(full_db, removal(target))
    with pytest.raises(InputError, match=message):
        store.perform(full_db, removal(target), "")
    assert contents(full_db) == before


def test_nothing_named_is_refused() -> None:
    with pytest.raises(InputError, match="say which models to remove"):
        removal(Target("models"))


def test_a_list_that_is_out_of_date_is_refused(full_db: Path) -> None:
    act = removal(Target("models", ("ant",)))
    planned = store.rehearse(full_db, act)
    with store.connect(full_db) as db:
        world_fit(db, "reading-2", "reading")
    before = contents(full_db)
    with pytest.raises(StoreError, match="has changed since the list of changes was made"):
        store.perform(full_db, act, planned.fingerprint)
    assert contents(full_db) == before


def test_a_rehearsal_changes_nothing(full_db: Path) -> None:
    before = contents(full_db)
    store.rehearse(full_db, removal(Target("corpora", ("words",))))
    assert contents(full_db) == before


def test_the_replay_of_a_removed_fit_is_deleted(full_db: Path) -> None:
    path = replay_path(full_db, "reading-1")
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"replay")
    store.rehearse(full_db, removal(Target("fits", ("reading-1",))))
    assert path.exists()
    remove(full_db, Target("fits", ("reading-1",)))
    assert not path.exists()


def test_mixes_of_a_corpus_go_with_it_and_those_of_others_stay(full_db: Path) -> None:
    mix = Mix("reading", {"sums": 1.0}, ("sum-1",), 10, 0.1, None, None, None, None)
    with store.connect(full_db) as db:
        for corpora in (["words", "more"], ["words2"]):
            store.set_mixes(db, corpora, "sides", "reading", [mix])
    remove(full_db, Target("corpora", ("words",)))
    assert [row[0] for row in contents(full_db)["mixes"]] == ["words2"]


def _killed_in_the_middle(database: Path) -> None:
    act = removal(Target("models", ("ant",)))

    def die(db: Any) -> Any:
        act(db)
        os.kill(os.getpid(), signal.SIGKILL)

    store.perform(database, die, "")


@pytest.mark.worker
def test_a_kill_in_the_middle_leaves_all(full_db: Path) -> None:
    before = contents(full_db)
    process = multiprocessing.get_context("spawn").Process(
        target=_killed_in_the_middle, args=(full_db,)
    )
    process.start()
    process.join(120)
    assert process.exitcode == -signal.SIGKILL
    assert contents(full_db) == before
    remove(full_db, Target("models", ("ant",)))  # and the lock is free


def test_a_fit_of_something_removed_meanwhile_is_not_stored(world_db: Path) -> None:
    remove(world_db, Target("models", ("ant",)))
    before = contents(world_db)
    with store.connect(world_db) as db:
        late = world_fit(db, "late", "reading")
        db.execute("DELETE FROM fits")
        for table in ("predictions", "weights"):
            db.execute(f"DELETE FROM {table}")
        with pytest.raises(StoreError, match="model 'ant' was removed while the fit was made"):
            store.refuse_stale(db, late)
    assert contents(world_db) == before


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE accuracies SET accuracy = 0.123 WHERE model = 'ant' AND task = 'reading'",
        "UPDATE splits SET side = 'test' WHERE model = 'ant'",
        "DELETE FROM splits WHERE model = 'ant'",
    ],
)
def test_a_fit_of_values_that_changed_meanwhile_is_not_stored(world_db: Path, change: str) -> None:
    with store.connect(world_db) as db:
        late = world_fit(db, "late", "reading")
        known = {(one.model, one.task): one.accuracy for one in store.accuracies(db)}
        placed = [
            replace(entry, accuracy=known[entry.model, "reading"]) for entry in late.predictions
        ]
        late = replace(late, predictions=tuple(placed))
        store.refuse_stale(db, late)
        db.execute(change)
        with pytest.raises(StoreError, match="of 'ant' changed while the fit was made"):
            store.refuse_stale(db, late)


def test_counts_of_a_large_list_are_told_by_kind(full_db: Path) -> None:
    planned = store.rehearse(full_db, removal(Target("losses", corpora=("words",))))
    assert planned.counts() == [
        ("removed", "set of losses", 11),
        ("removed", "fit", 2),
        ("removed", "mix search", 1),
    ]


def test_an_import_is_rehearsed_by_the_same_means(world_db: Path, world_files: Path) -> None:
    before = contents(world_db)
    planned = store.rehearse(world_db, importers.models(world_files / "models.csv"))
    assert (planned.rows, planned.n_unchanged) == ((), 11)
    assert contents(world_db) == before


def test_the_fingerprint_tells_lists_apart(full_db: Path) -> None:
    one = store.rehearse(full_db, removal(Target("models", ("ant",))))
    other = store.rehearse(full_db, removal(Target("models", ("bee",))))
    assert one.fingerprint != other.fingerprint
    assert one.fingerprint == replace(one, message="other").fingerprint
