"""Laws of what the pages know of the state of the database."""

from pathlib import Path

import pytest

from csvcore import store
from csvcore.errors import StoreError
from dashboard.queries import database


def test_what_is_committed_to_the_log_alone_is_another_state(
    world_db: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(database.DATABASE_VARIABLE, str(world_db))
    before, moment = database.database(), world_db.stat().st_mtime_ns
    assert database.database() == before
    with store.connect(world_db) as db:
        db.execute("UPDATE models SET family = 'other' WHERE model = 'ant'")
        db.execute("COMMIT; BEGIN")
        assert world_db.stat().st_mtime_ns == moment  # it is in the log, where a killed writer
        assert database.database() != before  # would leave it


def test_a_database_that_is_not_there_is_refused_with_what_makes_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(database.DATABASE_VARIABLE, str(tmp_path / "none.duckdb"))
    with pytest.raises(StoreError, match=r"there is no database .*none\.duckdb; `csvcore --db"):
        database.database()
