import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from csvcore import store
from csvcore.errors import StoreError
from csvcore.records import (
    Accuracy,
    ModelCard,
)
from csvcore.store import connection, rows
from tests.support.rows import CARDS, EDGES, FIT, WEIGHT, table, words
from tests.support.world import World, contents

# Opening and making


def test_making_a_database_twice_changes_nothing(database: Path) -> None:
    with store.connect(database) as db:
        words(db)
    before = contents(database)
    assert not store.create(database)
    assert contents(database) == before


def test_a_database_that_is_not_there_is_refused_with_the_command_that_makes_it(
    tmp_path: Path,
) -> None:
    path = tmp_path / "none.duckdb"
    with (
        pytest.raises(StoreError, match=r"there is no database .*none\.duckdb; .* init"),
        store.connect(path),
    ):
        pass
    assert not path.exists()


@pytest.mark.parametrize("content", [b"these are my notes\n" * 500, b"", b"\x00" * 20_000])
def test_a_file_that_is_no_database_is_refused_and_left_as_it_is(
    write: Callable[[str, bytes], Path], content: bytes
) -> None:
    path = write("notes.txt", content)
    for read_only in (True, False):
        with pytest.raises(StoreError), store.connect(path, read_only=read_only):
            pass
    with pytest.raises(StoreError):
        store.create(path)
    assert path.read_bytes() == content


def test_a_text_file_is_named_in_its_refusal(write: Callable[[str, bytes], Path]) -> None:
    path = write("notes.txt", b"these are my notes\n" * 500)
    with (
        pytest.raises(StoreError, match=r"notes\.txt cannot be opened as a results database: "),
        store.connect(path),
    ):
        pass


def test_a_database_cut_short_is_refused(database: Path) -> None:
    whole = database.read_bytes()
    database.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(StoreError), store.connect(database):
        pass


def test_somebody_elses_duckdb_file_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "foreign.duckdb"
    with duckdb.connect(str(path)) as db:
        db.execute("CREATE TABLE theirs AS SELECT 42 AS answer")
    refusal = r"foreign\.duckdb is a DuckDB file but not a results database"
    with pytest.raises(StoreError, match=refusal), store.connect(path):
        pass
    with pytest.raises(StoreError, match=refusal):
        store.create(path)
    assert contents(path) == {"theirs": [(42,)]}


@pytest.mark.parametrize("table", ["meta", "other"])
def test_somebody_elses_meta_table_is_not_taken_for_ours(tmp_path: Path, table: str) -> None:
    path = tmp_path / "foreign.duckdb"
    with duckdb.connect(str(path)) as db:
        db.execute(f"CREATE TABLE {table} (name VARCHAR)")
    with (
        pytest.raises(StoreError, match="a DuckDB file but not a results database"),
        store.connect(path),
    ):
        pass


@pytest.mark.parametrize(
    ("change", "found"),
    [("UPDATE meta SET schema_version = 99", "99"), ("DELETE FROM meta", "none")],
)
def test_another_schema_version_is_refused(database: Path, change: str, found: str) -> None:
    with duckdb.connect(str(database)) as db:
        db.execute(change)
    reads = store.SCHEMA_VERSION
    refusal = f"has schema version {found}, this program reads {reads}; make a new database"
    with pytest.raises(StoreError, match=refusal), store.connect(database, read_only=True):
        pass
    with pytest.raises(StoreError, match=refusal):
        store.create(database)


def test_a_reader_cannot_write(database: Path) -> None:
    with (
        pytest.raises(StoreError, match="read-only"),
        store.connect(database, read_only=True) as db,
    ):
        store.add_models(db, CARDS)


def test_a_damaged_database_says_so_and_what_to_do(database: Path) -> None:
    content = bytearray(database.read_bytes())
    content[4100:7000] = bytes(2900)
    database.write_bytes(content)
    refusal = r"results\.duckdb is damaged: Corrupt database file.*doctor.*restore a copy"
    for read_only in (True, False):
        with (
            pytest.raises(StoreError, match=refusal),
            store.connect(database, read_only=read_only),
        ):
            pass


def test_a_damaged_write_ahead_log_says_so(database: Path) -> None:
    killed = f"""
import duckdb, os
db = duckdb.connect({str(database)!r})
db.execute("PRAGMA disable_checkpoint_on_shutdown")
db.execute("INSERT INTO models (model, family) SELECT 'n' || range, 'f' FROM range(5000)")
os._exit(0)
"""
    subprocess.run([sys.executable, "-c", killed], check=True)
    log = database.with_name("results.duckdb.wal")
    content = bytearray(log.read_bytes())
    content[50:58] = b"\xff" * 8
    log.write_bytes(content)
    with (
        pytest.raises(StoreError, match=r"is damaged: .*WAL.*restore a copy"),
        store.connect(database, read_only=True),
    ):
        pass


def test_a_failed_insert_names_its_own_cause(database: Path) -> None:
    bad = pa.table({"model": ["a", None], "family": ["f", "f"]})
    with pytest.raises(StoreError, match="NOT NULL"), store.connect(database) as db:
        rows.insert(db, "models", bad)


# Transactions and processes


def test_a_block_that_fails_leaves_nothing_behind(database: Path, world: World) -> None:
    before = contents(database)
    with pytest.raises(ZeroDivisionError), store.connect(database) as db:
        words(db)
        store.add_losses(db, "words", table(world, "ant"), None)
        store.add_accuracies(db, [Accuracy("ant", "reading", 0.5)])
        store.add_split(db, "sides", {"ant": "train"})
        store.add_fit(db, FIT, ["sum-1", "sum-2"], EDGES, WEIGHT)
        raise ZeroDivisionError
    assert contents(database) == before


def test_a_block_that_is_interrupted_leaves_nothing_behind(database: Path) -> None:
    with pytest.raises(KeyboardInterrupt), store.connect(database) as db:
        words(db)
        raise KeyboardInterrupt
    assert contents(database)["documents"] == []


WRITER = """
import sys
import threading
from pathlib import Path
from csvcore import store
from csvcore.records import ModelCard

name, database = sys.argv[1], Path(sys.argv[2])
for i in range(6):
    with store.connect(database) as db:
        seen = len(store.models(db))
        store.add_models(db, [ModelCard(f"{name}-{i}", "f", n_params=seen)])
"""


def test_two_processes_that_write_in_turn_lose_nothing(database: Path) -> None:
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, name, str(database)])
        for name in ("left", "right")
    ]
    assert [writer.wait(timeout=120) for writer in writers] == [0, 0]
    with store.connect(database, read_only=True) as db:
        cards = store.models(db)
    assert {card.model for card in cards} == {
        f"{n}-{i}" for n in ("left", "right") for i in range(6)
    }
    seen = sorted(card.n_params or 0 for card in cards)
    assert seen == list(range(12))  # each writer saw all that was written before it


KILLED = """
import os, signal, sys
from pathlib import Path
from csvcore import store
from csvcore.records import ModelCard

with store.connect(Path(sys.argv[1])) as db:
    store.add_models(db, [ModelCard("half", "f")])
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_writer_killed_in_its_transaction_leaves_the_database_whole_and_unlocked(
    database: Path,
) -> None:
    with store.connect(database) as db:
        store.add_models(db, CARDS)
    killed = subprocess.run([sys.executable, "-c", KILLED, str(database)], timeout=120)
    assert killed.returncode == -signal.SIGKILL
    with store.connect(database) as db:
        assert {card.model for card in store.models(db)} == {"ant", "bee"}
        store.add_models(db, [ModelCard("cow", "f")])
    with store.connect(database, read_only=True) as db:
        assert len(store.models(db)) == 3


def test_a_database_in_use_for_long_is_refused_and_not_waited_for_without_end(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "LOCK_SECONDS", 0.2)
    with store.connect(database):
        pid = os.fork()
        if pid == 0:  # another process; it must not come back into pytest
            try:
                with store.connect(database, read_only=True):
                    os._exit(0)
            except StoreError as error:
                os._exit(7 if "has been in use by another process" in str(error) else 8)
            os._exit(9)
        _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 7


def test_readers_have_the_database_open_together_and_a_writer_waits_for_them(
    database: Path,
) -> None:
    both, written = threading.Barrier(3), threading.Event()
    seen: list[int] = []

    def read() -> None:
        with store.connect(database, read_only=True) as db:
            both.wait(60)  # another reader is in as well
            assert not written.wait(0.2)
            seen.append(len(store.models(db)))

    def write() -> None:
        with store.connect(database) as db:
            store.add_models(db, CARDS)
            written.set()

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    with store.connect(database, read_only=True):
        both.wait(60)
    writer = threading.Thread(target=write)
    writer.start()
    for thread in (*readers, writer):
        thread.join(60)
    assert seen == [0, 0]
    with store.connect(database, read_only=True) as db:
        assert len(store.models(db)) == len(CARDS)
