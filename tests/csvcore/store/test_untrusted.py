"""A received database is data: what would compute, or read another file, is refused."""

import shutil
import subprocess
import sys
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from csvcore import store
from csvcore.errors import StoreError
from csvcore.store import connection
from tests.support.world import contents

CODE = {
    "the view 'models'": "DROP TABLE models; CREATE VIEW models AS "
    "SELECT content AS model, 'x' AS family FROM read_text('/etc/passwd')",
    "the view 'more'": "CREATE VIEW more AS SELECT * FROM models",
    "the macro 'count'": "CREATE MACRO count(x) AS 42",
    "the macro 'list_contains'": "CREATE MACRO list_contains(a, b) AS true",
    # It would hide the list of views if the check asked for it by its bare name.
    "the macro 'duckdb_views'": "CREATE MACRO duckdb_views() AS TABLE "
    "SELECT 'none' AS view_name, true AS internal",
    "the trigger 'add'": "CREATE TRIGGER add AFTER INSERT ON models INSERT INTO meta VALUES (1)",
    "the sequence 'numbers'": "CREATE SEQUENCE numbers",
    "the type 'mood'": "CREATE TYPE mood AS ENUM ('good')",
    "the schema 'system'": "CREATE SCHEMA system; CREATE TABLE results.system.tasks (a INTEGER)",
    "the computed column 'b'": "CREATE TABLE g (a INTEGER, b INTEGER GENERATED ALWAYS AS (a + 1))",
}
TABLES = {
    "the foreign table 'notes'": "CREATE TABLE notes (a INTEGER)",
    "the foreign column models.extra": "ALTER TABLE models ADD COLUMN extra VARCHAR",
    "no table 'tasks'": "DROP TABLE tasks",
    "no column models.run": "ALTER TABLE models DROP COLUMN run",
    "models.run as BIGINT instead of VARCHAR": "ALTER TABLE models ALTER COLUMN run TYPE BIGINT",
}


def change(database: Path, statements: str) -> None:
    with duckdb.connect(str(database)) as db:
        db.execute(statements)


@pytest.mark.parametrize("what", CODE)
def test_what_would_compute_is_refused_and_left_as_it_is(database: Path, what: str) -> None:
    change(database, CODE[what])
    before = database.read_bytes()
    refusal = rf"results\.duckdb contains {what}, and a results database contains tables alone; "
    for read_only in (True, False):
        with pytest.raises(StoreError, match=refusal), store.connect(database, read_only=read_only):
            pass
    with pytest.raises(StoreError, match=refusal):
        store.create(database)
    assert database.read_bytes() == before


@pytest.mark.parametrize("what", TABLES)
def test_other_tables_and_columns_are_refused(database: Path, what: str) -> None:
    change(database, TABLES[what])
    refusal = f"does not have the tables of schema version {store.SCHEMA_VERSION}: {what}; make"
    with pytest.raises(StoreError, match=refusal), store.connect(database, read_only=True):
        pass


def test_an_older_database_with_a_view_is_refused_before_it_is_upgraded(database: Path) -> None:
    change(database, "UPDATE meta SET schema_version = 4; CREATE VIEW v AS SELECT 1")
    with pytest.raises(StoreError, match="the view 'v'"), store.connect(database):
        pass
    assert contents(database)["meta"] == [(4,)]


IN_THE_LOG = """
import os, sys, duckdb
db = duckdb.connect(sys.argv[1])
db.execute("CREATE VIEW late AS SELECT 1")
os._exit(0)  # the view is in the log beside the file only
"""


def test_a_view_in_the_log_beside_the_file_is_refused(database: Path) -> None:
    with store.connect(database, read_only=True):
        pass  # the file itself was seen to be sound
    subprocess.run([sys.executable, "-c", IN_THE_LOG, str(database)], check=True, timeout=120)
    assert database.with_name("results.duckdb.wal").exists()
    with pytest.raises(StoreError, match="the view 'late'"), store.connect(database):
        pass


def test_a_sound_file_replaced_by_a_hostile_one_is_checked_again(
    database: Path, tmp_path: Path
) -> None:
    with store.connect(database):
        pass
    hostile = tmp_path / "hostile.duckdb"
    shutil.copy(database, hostile)
    change(hostile, CODE["the view 'more'"])
    hostile.replace(database)
    with pytest.raises(StoreError, match="the view 'more'"), store.connect(database):
        pass


REACHES_OUT = (
    "SELECT * FROM read_text('/etc/passwd')",
    "COPY models TO '{folder}/out.csv'",
    "COPY models FROM '{folder}/in.csv'",
    "ATTACH '{folder}/other.duckdb'",
    "EXPORT DATABASE '{folder}/all'",
    "INSTALL httpfs",
    "LOAD '{folder}/x.duckdb_extension'",
    "CREATE PERSISTENT SECRET x (TYPE http, bearer_token 'a')",
    "SET enable_external_access = true",
    "SET autoload_known_extensions = true",
    "RESET lock_configuration",
    "SELECT * FROM frame",  # a variable of the caller
)


@pytest.mark.parametrize("statement", REACHES_OUT)
def test_no_statement_reaches_out_of_the_database(database: Path, statement: str) -> None:
    frame = pa.table({"a": [1]})
    before = sorted(database.parent.iterdir())
    with store.connect(database) as db, pytest.raises(duckdb.Error):
        db.execute(statement.replace("{folder}", str(database.parent)))
    assert len(frame) == 1
    assert sorted(path for path in database.parent.iterdir() if path.suffix != ".lock") == [
        path for path in before if path.suffix != ".lock"
    ]


def test_every_setting_is_one_that_this_version_has_and_keeps(database: Path) -> None:
    with store.connect(database) as db:
        rows = db.execute("SELECT name, value FROM duckdb_settings()").fetchall()
    assert {name: value for name, value in rows if name in connection.SETTINGS} == {
        **connection.SETTINGS
    }


def test_a_large_sort_may_still_use_the_disk(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = {"memory_limit": "60MB", "threads": 1}
    monkeypatch.setattr(connection, "SETTINGS", connection.SETTINGS | small)
    with store.connect(database) as db:
        db.execute("CREATE TEMP TABLE s AS SELECT md5(i::VARCHAR) a FROM range(3000000) t(i)")
        [(n,)] = db.execute("SELECT count(*) FROM (SELECT a FROM s ORDER BY a)").fetchall()
    assert n == 3_000_000
    assert not list(database.parent.glob("*.tmp"))


@pytest.mark.parametrize("read_only", [True, False])
def test_every_connection_has_bounded_memory(database: Path, read_only: bool) -> None:
    query = "SELECT current_setting('memory_limit'), current_setting('threads')"
    with store.connect(database, read_only=read_only) as db:
        [(memory, n_threads)] = db.execute(query).fetchall()
    assert memory == "381.4 MiB"  # 400 MB
    assert 1 <= n_threads <= 4


@pytest.mark.parametrize("name", ["system", "temp", "memory", "main", "pg_catalog", "a'b;--"])
def test_a_file_may_have_any_name(database: Path, name: str) -> None:
    path = database.rename(database.with_name(f"{name}.duckdb"))
    with store.connect(path) as db:
        assert store.models(db) == []
