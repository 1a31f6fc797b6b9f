from dataclasses import replace
from pathlib import Path

import duckdb
import numpy as np
import pytest

from csvcore import store
from csvcore.errors import StoreError
from csvcore.records import Mix
from csvcore.store import connection
from tests.support.processes import CONTEXT, exit_codes, read_fit, started
from tests.support.rows import EDGES, FIT, WEIGHT, words
from tests.support.world import contents

# fits and weights as version 1 had them; all other tables are as they are now
VERSION_1 = {
    "fits": (
        "fit VARCHAR PRIMARY KEY, created TIMESTAMP NOT NULL, corpus VARCHAR NOT NULL, "
        "split VARCHAR NOT NULL, task VARCHAR NOT NULL, method VARCHAR NOT NULL, "
        "alpha DOUBLE NOT NULL, beta DOUBLE NOT NULL, gamma DOUBLE NOT NULL, "
        "steps INTEGER NOT NULL, seconds DOUBLE NOT NULL, n_models VARCHAR NOT NULL, "
        "mse VARCHAR NOT NULL, noise_floor VARCHAR NOT NULL, left_out VARCHAR[] NOT NULL, "
        "config VARCHAR NOT NULL"
    ),
    "weights": (
        "fit VARCHAR NOT NULL, doc_id VARCHAR NOT NULL, byte_end INTEGER[] NOT NULL, "
        "weight FLOAT[] NOT NULL, PRIMARY KEY (fit, doc_id)"
    ),
}


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A database of version 1 with a fit in it."""
    path = tmp_path / "old.duckdb"
    store.create(path)
    with store.connect(path) as db:
        words(db)
        store.add_split(db, "sides", {"ant": "train", "bee": "test"})
        store.add_fit(db, FIT, ["sum-1", "sum-2"], EDGES, WEIGHT)
    with duckdb.connect(str(path)) as db:
        for table, columns in VERSION_1.items():
            names = [column.split()[0] for column in columns.split(", PRIMARY")[0].split(", ")]
            db.execute(f"CREATE TABLE saved AS SELECT {', '.join(names)} FROM {table}")
            db.execute(f"DROP TABLE {table}")
            db.execute(f"CREATE TABLE {table} ({columns})")
            db.execute(f"INSERT INTO {table} FROM saved")
            db.execute("DROP TABLE saved")
        _back_to_version_3(db)
        db.execute("UPDATE meta SET schema_version = 1")
    return path


def _back_to_version_5(db: duckdb.DuckDBPyConnection) -> None:
    for table in ("capabilities", "factor_weights", "fit_labels", "saved_views"):
        db.execute(f"DROP TABLE {table}")
    db.execute("ALTER TABLE reveals DROP COLUMN who")
    db.execute("ALTER TABLE models DROP COLUMN run")
    db.execute("DROP TABLE item_results")
    db.execute("DROP TABLE unit_weights")
    for column in ("candidates", "interval_error"):
        db.execute(f"ALTER TABLE fits DROP COLUMN IF EXISTS {column}")


def _back_to_version_3(db: duckdb.DuckDBPyConnection) -> None:
    _back_to_version_5(db)
    db.execute("ALTER TABLE documents DROP COLUMN results")
    db.execute("DROP TABLE reveals")
    db.execute("ALTER TABLE mixes DROP COLUMN created")


def check(path: Path, before: dict[str, list[tuple[object, ...]]]) -> None:
    """All that was there is there, and what is new is empty."""
    after = contents(path)
    new_tables = {
        *("reveals", "unit_weights", "item_results"),
        *("capabilities", "factor_weights", "fit_labels", "saved_views"),
    }
    assert after.keys() == before.keys() | new_tables
    assert [after[table] for table in new_tables] == [[]] * len(new_tables)
    for table, rows in before.items():
        if table == "meta":
            assert after[table] == [(store.SCHEMA_VERSION,)]
            continue
        for row, new in zip(rows, after[table], strict=True):
            assert new[: len(row)] == row
            assert all(value in (None, []) for value in new[len(row) :])
    with store.connect(path, read_only=True) as db:
        assert store.fit(db, FIT.fit) == FIT
        assert store.weights(db, FIT.fit)["spread"].to_pylist() == [None, None]
        assert store.control(db, FIT.fit) is None
        assert list(store.fits(db)["fit"]) == [FIT.fit]


def columns(path: Path) -> dict[str, list[tuple[object, ...]]]:
    with duckdb.connect(str(path), read_only=True) as db:
        tables = [row[0] for row in db.execute("SHOW TABLES").fetchall()]
        return {t: [row[:2] for row in db.execute(f"DESCRIBE {t}").fetchall()] for t in tables}


@pytest.mark.parametrize("read_only", [True, False])
def test_an_old_database_opens_and_nothing_in_it_is_lost(old: Path, read_only: bool) -> None:
    before = contents(old)
    assert before["meta"] == [(1,)]
    with store.connect(old, read_only=read_only) as db:
        assert store.fit(db, FIT.fit) == FIT
    check(old, before)


def test_making_an_old_database_again_upgrades_it(old: Path) -> None:
    before = contents(old)
    assert not store.create(old)
    check(old, before)


def test_an_upgraded_database_has_the_columns_of_a_new_one(old: Path, tmp_path: Path) -> None:
    with store.connect(old):
        pass
    store.create(tmp_path / "new.duckdb")
    assert columns(old) == columns(tmp_path / "new.duckdb")


def test_an_upgraded_database_takes_fits_with_and_without_a_spread(old: Path) -> None:
    with store.connect(old) as db:
        store.add_fit(db, FIT, ["sum-1", "sum-2"], EDGES, WEIGHT, np.ones(4))
        assert store.weights(db, FIT.fit)["spread"].to_pylist() == [[1.0, 1.0, 1.0], [1.0]]


def test_a_block_that_fails_after_the_upgrade_takes_nothing_of_the_upgrade_back(old: Path) -> None:
    before = contents(old)
    with pytest.raises(ZeroDivisionError), store.connect(old) as db:
        db.execute("DELETE FROM fits")
        raise ZeroDivisionError
    check(old, before)


def test_an_upgrade_that_fails_leaves_the_old_database_whole(
    old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents(old)
    with monkeypatch.context() as patch:
        steps = (*connection.UPGRADES[1], "ALTER TABLE nowhere ADD COLUMN x VARCHAR")
        patch.setitem(connection.UPGRADES, 1, steps)
        with pytest.raises(StoreError), store.connect(old):
            pass
        assert contents(old) == before
    with store.connect(old):
        pass
    check(old, before)


@pytest.mark.parametrize("version", [0, 10, 99])
def test_a_version_that_is_neither_this_nor_the_one_before_is_refused_and_left(
    old: Path, version: int
) -> None:
    with duckdb.connect(str(old)) as db:
        db.execute("UPDATE meta SET schema_version = ?", [version])
    before = contents(old)
    for read_only in (True, False):
        with (
            pytest.raises(StoreError, match=r"has schema version .*, this program reads 9"),
            store.connect(old, read_only=read_only),
        ):
            pass
    assert contents(old) == before


@pytest.mark.worker
def test_processes_that_open_an_old_database_at_once_all_find_everything(old: Path) -> None:
    before = contents(old)
    start = CONTEXT.Event()
    children = [started(read_fit, old, own, start) for own in (True, False, True, False)]
    start.set()
    assert exit_codes(*children) == [0] * 4
    check(old, before)


def test_a_database_of_version_2_keeps_its_fits_without_left_out_errors(tmp_path: Path) -> None:
    path = tmp_path / "two.duckdb"
    store.create(path)
    fitted = replace(FIT, n_chars=10, residuals=(0.1, -0.2))
    with store.connect(path) as db:
        words(db)
        store.add_split(db, "sides", {"ant": "train", "bee": "test"})
        store.add_fit(db, fitted, ["sum-1", "sum-2"], EDGES, WEIGHT)
        assert store.fit(db, FIT.fit) == fitted
    with duckdb.connect(str(path)) as db:
        for column in ("n_chars", "residuals"):
            db.execute(f"ALTER TABLE fits DROP COLUMN {column}")
        _back_to_version_3(db)
        db.execute("UPDATE meta SET schema_version = 2")
    with store.connect(path, read_only=True) as db:
        assert store.fit(db, FIT.fit) == FIT
    store.create(tmp_path / "new.duckdb")
    assert columns(path) == columns(tmp_path / "new.duckdb")


def test_a_database_of_version_3_keeps_its_mixes_and_hides_the_test_set(tmp_path: Path) -> None:
    path = tmp_path / "three.duckdb"
    store.create(path)
    mix = Mix("adding", {"sums": 1.0}, ("sum-1",), 10, 0.1, 0.02, 0.01, 0.03, None)
    with store.connect(path) as db:
        words(db)
        store.add_split(db, "sides", {"ant": "train", "bee": "test"})
        store.add_fit(db, FIT, ["sum-1", "sum-2"], EDGES, WEIGHT)
        store.set_mixes(db, ["words"], "sides", "adding", [mix])
    with duckdb.connect(str(path)) as db:
        _back_to_version_3(db)
        db.execute("UPDATE meta SET schema_version = 3")
    with store.connect(path) as db:
        assert store.mixes(db, ["words"], "sides", "adding") == [mix]
        assert not store.revealed_mixes(db, ["words"], "sides", "adding")
        assert store.revealed_fits(db) == set()
        store.add_reveal(db, "words", "sides")
        assert store.revealed_mixes(db, ["words"], "sides", "adding")
    store.create(tmp_path / "new.duckdb")
    assert columns(path) == columns(tmp_path / "new.duckdb")


def test_a_database_of_version_5_keeps_its_models_without_a_named_run(tmp_path: Path) -> None:
    path = tmp_path / "five.duckdb"
    store.create(path)
    with store.connect(path) as db:
        words(db)
        before = store.models(db)
    with duckdb.connect(str(path)) as db:
        _back_to_version_5(db)
        db.execute("UPDATE meta SET schema_version = 5")
    with store.connect(path) as db:
        assert store.models(db) == before
        store.add_models(db, [replace(before[0], run="seed2")])
        assert [card.run for card in store.models(db)] == ["seed2", None]
    store.create(tmp_path / "new.duckdb")
    assert columns(path) == columns(tmp_path / "new.duckdb")
