"""Splits made from presets, from other splits and from files, and the commands that need one."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from csvcore import cli, splits, store
from csvcore.errors import InputError
from csvcore.pipeline import imports
from csvcore.pipeline.splits import make_split, ready_split
from tests.support.world import SIDES, contents, write_split

TRAIN = [model for model, side in SIDES.items() if side == "train"]
TESTED = [model for model, side in SIDES.items() if side == "test"]


@pytest.fixture
def world_db(world_db: Path) -> Path:
    """That world without manifests: they all tell of the same weights."""
    with store.connect(world_db) as db:
        db.execute("DELETE FROM manifests")
    return world_db


def stored(database: Path, name: str) -> dict[str, str]:
    with store.connect(database, read_only=True) as db:
        return dict(store.split(db, name))


def test_other_models_test_and_the_rest_stays_where_it_was(world_db: Path) -> None:
    said, leaks = make_split(world_db, "mine", "sides", TRAIN[:2])
    kept = {model: side for model, side in SIDES.items() if side != "test"}
    assert stored(world_db, "mine") == kept | dict.fromkeys(TRAIN[:2], "test")
    n_validation = list(SIDES.values()).count("validation")
    assert said == f"split mine: {len(TRAIN) - 2} train, {n_validation} validation, 2 test"
    assert leaks == []
    assert stored(world_db, "sides") == SIDES


def test_presets_are_those_of_the_library(world_db: Path) -> None:
    with store.connect(world_db, read_only=True) as db:
        cards = store.models(db)
    make_split(world_db, "a", "by-size")
    assert stored(world_db, "a") == splits.by_size(cards)
    make_split(world_db, "b", "without-wild")
    assert stored(world_db, "b") == splits.leave_one_family_out(cards, "wild")
    make_split(world_db, "by-size", "sides")  # from here on this name is a stored split
    make_split(world_db, "c", "by-size")
    assert stored(world_db, "c") == SIDES


def test_checkpoints_of_one_run_on_both_sides_are_named(world_db: Path) -> None:
    with store.connect(world_db) as db:
        runs = [card.model for card in store.models(db)[:2]]
        db.execute(
            "UPDATE models SET family = 'one', n_params = 7, step = 1 WHERE model IN (?, ?)", runs
        )
    before = {model: "train" for model in SIDES}
    with store.connect(world_db) as db:
        store.add_split(db, "all", before)  # type: ignore[arg-type]
    _, [leak] = make_split(world_db, "leaky", "all", runs[:1])
    assert "one run" in leak and "stand in test and in train" in leak


def test_a_ready_split_is_the_stored_one_or_made_and_named_by_what_tests(world_db: Path) -> None:
    assert ready_split(world_db, "sides") == ("sides", [])
    name, [said] = ready_split(world_db, "by-size")
    assert name == "by-size" and said.startswith("split by-size: ")
    name, _ = ready_split(world_db, "sides", (TRAIN[1], TRAIN[0], TRAIN[1]))
    assert name == f"sides on {TRAIN[0]}, {TRAIN[1]}"
    assert {model for model, side in stored(world_db, name).items() if side == "test"} == set(
        TRAIN[:2]
    )
    many, _ = ready_split(world_db, "sides", (*TRAIN[:2], *TESTED, "ant"))
    assert many.startswith(f"sides on {len({*TRAIN[:2], *TESTED, 'ant'})} models ")


def test_copies_of_one_model_on_both_sides_are_named(world_db: Path) -> None:
    with store.connect(world_db) as db:
        db.execute(
            "UPDATE losses SET nll = (SELECT nll FROM losses AS other WHERE other.model = 'ant'"
            " AND other.doc_id = losses.doc_id) WHERE model = 'jay'"
        )
    _, leaks = make_split(world_db, "copies", "sides")
    assert leaks == ["ant and jay are the same model, and stand in test and in another side."]


def test_a_split_that_nothing_can_be_made_of_is_refused(world_db: Path) -> None:
    for start, test, refusal in (
        ("sdies", (), "there is no split 'sdies'; stored: sides; presets: by-size, table-2"),
        ("without-dogs", (), "cannot leave out 'dogs'; the families are tame, wild"),
        ("sides", ("yak",), "the split names the model 'yak'"),
        ("sides", TRAIN[:-2], "at least 3 train models, got 2"),
        ("table-2", (), "at least 3 train models, got 0"),
    ):
        with pytest.raises(InputError, match=refusal):
            make_split(world_db, "new", start, test)
    with store.connect(world_db, read_only=True) as db:
        assert store.splits(db) == ["sides"]


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        ({"yak": "train"}, "the split names the model 'yak'"),
        ({"ant": "dev"}, "ant: split must be one of train, validation, test, got 'dev'"),
        (dict.fromkeys(("ant", "bee", "cow", "dog"), "test"), "at least 3 train models, got 2"),
    ],
)
def test_a_split_that_cannot_be_fitted_is_refused_and_the_old_one_stays(
    world_db: Path, tmp_path: Path, change: dict[str, str], refusal: str
) -> None:
    file = write_split(tmp_path / "split.csv", SIDES | change)
    before = contents(world_db)
    with pytest.raises(InputError, match=refusal):
        imports.import_split(world_db, file, "sides")
    assert contents(world_db) == before


def test_another_split_of_a_name_is_refused_and_the_same_one_changes_nothing(
    world_db: Path, tmp_path: Path
) -> None:
    before = contents(world_db)
    same = write_split(tmp_path / "same.csv", SIDES)
    assert imports.import_split(world_db, same, "sides").startswith("split sides: ")
    other = write_split(tmp_path / "other.csv", SIDES | {"ant": "test"})
    with pytest.raises(InputError, match=r"`csvcore replace split other\.csv --name sides`"):
        imports.import_split(world_db, other, "sides")
    assert contents(world_db) == before


def test_the_commands_say_which_split_they_made(world_db: Path, tiny_lm: Path) -> None:
    database = ["--db", str(world_db)]
    made = CliRunner().invoke(cli.main, [*database, "split", "--name", "new", "--from", "by-size"])
    assert (made.exit_code, made.stdout.split(":")[0]) == (0, "split new")
    fit = f"fit --corpus words --split sides --test {TRAIN[0]} --task reading --method all-token"
    found = CliRunner().invoke(cli.main, [*database, *fit.split(), "--scorer", str(tiny_lm)])
    assert found.exit_code == 0, found.output
    assert f"split sides on {TRAIN[0]}: " in found.stderr
    with store.connect(world_db, read_only=True) as db:
        assert store.fits(db)["split"].tolist() == [f"sides on {TRAIN[0]}"]
