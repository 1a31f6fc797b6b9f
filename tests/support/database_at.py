"""The database as the dashboard knows it."""

from pathlib import Path

from dashboard.queries.database import Database


def at(path: Path) -> Database:
    return Database(path, path.stat().st_mtime_ns)
