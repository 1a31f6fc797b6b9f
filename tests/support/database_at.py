"""The database as the dashboard knows it."""

from pathlib import Path

from csvcore import store
from dashboard.queries.database import Database


def at(path: Path) -> Database:
    return Database(path, store.stamp(path))
