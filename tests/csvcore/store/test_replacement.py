from pathlib import Path

import pytest

from csvcore import store
from csvcore.errors import InputError
from csvcore.pipeline import importers
from csvcore.records import Accuracy
from tests.support.world import (
    PACK,
    SIDES,
    World,
    contents,
    pack_rows,
    world_fit,
    write_accuracies,
    write_csv,
    write_pack,
    write_split,
)


def run(database: Path, act: store.Edit, whole: bool = False) -> store.Changes:
    planned = store.rehearse(database, act, whole)
    return store.perform(database, act, planned.fingerprint, whole)


def told(changes: store.Changes) -> list[tuple[str, ...]]:
    return [(row.what, row.name, row.effect, row.before, row.after) for row in changes.rows]


def test_a_card_becomes_that_of_the_file_and_others_stay(world_db: Path, tmp_path: Path) -> None:
    rows = [["ant", "wild", 7, ""], ["yak", "tame", "", ""]]
    file = write_csv(tmp_path / "m.csv", "model,family,n_params,license", rows)
    before = {row[0]: row for row in contents(world_db)["models"]}
    done = run(world_db, importers.models(file, replace=True))
    assert told(done) == [
        (
            "model", "ant", "changed",
            "family tame, n_params 1000, train_tokens 5000, stage base, license mit, origin x/y",
            "family wild, n_params 7, train_tokens unknown, stage unknown, license unknown, "
            "origin unknown",
        ),
        ("model", "yak", "added", "", "family tame"),
    ]  # fmt: skip
    after = {row[0]: row for row in contents(world_db)["models"]}
    assert after["ant"][:3] == ("ant", "wild", 7)
    assert {name: after[name] for name in before if name != "ant"} == {
        name: row for name, row in before.items() if name != "ant"
    }


def test_an_accuracy_gives_way_with_what_was_made_from_it(
    world_db: Path, tmp_path: Path, world: World
) -> None:
    with store.connect(world_db) as db:
        for task in ("reading", "adding"):
            world_fit(db, f"{task}-1", task)
    same = Accuracy("bee", "adding", world.accuracy("bee", "adding"), None)
    file = write_accuracies(tmp_path / "a.csv", [Accuracy("ant", "adding", 0.5, 80), same])
    old = world.accuracy("ant", "adding")
    done = run(
        world_db, importers.accuracies(world_db, [file], importers.Evaluations(), replace=True)
    )
    assert told(done) == [
        (
            "accuracy", "ant on adding", "changed",
            f"accuracy {old:g}, n_items unknown", "accuracy 0.5, n_items 80",
        ),
        ("fit", "adding-1", "removed", "made of the split as it is", ""),
    ]  # fmt: skip
    assert done.n_unchanged == 1
    assert ("ant", "adding", 0.5, 80) in contents(world_db)["accuracies"]


def test_losses_of_a_pack_take_the_place_of_all_of_its_models(
    world_db: Path, tmp_path: Path, world: World
) -> None:
    with store.connect(world_db) as db:
        world_fit(db, "reading-1", "reading")
    rows = pack_rows(world, ["ant", "bee"])
    rows[0]["nll"] = [value + 1.0 for value in rows[0]["nll"]]
    pack = write_pack(tmp_path / "p.parquet", rows)
    with pytest.raises(InputError, match="other losses of ant on sum-1"):
        store.rehearse(world_db, importers.losses(world_db, [pack]))
    done = run(world_db, importers.losses(world_db, [pack], replace=True), whole=True)
    assert told(done) == [
        ("set of losses", "ant on words", "changed", "stored content", "other content"),
        ("fit", "reading-1", "removed", "made of the split as it is", ""),
    ]
    assert done.n_unchanged == 1  # those of bee
    [nll] = [row[5] for row in contents(world_db)["losses"] if row[1:3] == ("ant", "sum-1")]
    assert nll == pytest.approx(rows[0]["nll"])


def test_fewer_documents_in_the_pack_are_told(world_db: Path, tmp_path: Path, world: World) -> None:
    pack = write_pack(tmp_path / "p.parquet", pack_rows(world, ["ant"])[:2])
    done = run(world_db, importers.losses(world_db, [pack], replace=True), whole=True)
    assert told(done) == [
        ("set of losses", "ant on words", "changed", "documents 6", "documents 2")
    ]


def test_the_same_file_over_itself_changes_nothing(world_db: Path, world_files: Path) -> None:
    before = contents(world_db)
    accuracies = [world_files / "accuracies.csv"]
    for act, number in (
        (importers.models(world_files / "models.csv", replace=True), 11),
        (importers.accuracies(world_db, accuracies, importers.Evaluations(), replace=True), 22),
        (importers.losses(world_db, [world_files / PACK], replace=True), 11),
        (importers.split(world_files / "splits" / "sides.csv", "sides"), 11),
    ):
        done = run(world_db, act, whole=True)
        assert (done.rows, done.n_unchanged) == ((), number)
    assert contents(world_db) == before


def test_a_split_gives_way_and_its_fits_are_listed_as_older(world_db: Path, tmp_path: Path) -> None:
    with store.connect(world_db) as db:
        world_fit(db, "reading-1", "reading")
    file = write_split(tmp_path / "s.csv", SIDES | {"ant": "validation"})
    done = run(world_db, importers.split(file, "sides", replace=True))
    assert told(done) == [
        ("side in a split", "ant in sides", "changed", "side train", "side validation"),
        (
            "fit", "reading-1", "changed", "made of the split as it is",
            "made older than the split as it is",
        ),
    ]  # fmt: skip
    assert done.n_unchanged == 10


def test_several_packs_at_once_replace_nothing(world_db: Path, world_files: Path) -> None:
    with pytest.raises(InputError, match="one pack at a time replaces losses, got 2"):
        importers.losses(world_db, [world_files / PACK] * 2, replace=True)
