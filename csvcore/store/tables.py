"""Whole tables as they lie in the database, for export."""

import pyarrow as pa

from csvcore.errors import InputError
from csvcore.store.connection import Connection


def tables(db: Connection) -> list[str]:
    """Names of all tables."""
    return [
        row[0] for row in db.execute("SELECT table_name FROM duckdb_tables() ORDER BY 1").fetchall()
    ]


def table(db: Connection, name: str) -> pa.Table:
    """All rows of a table in the order of its columns; refuses an unknown name."""
    known = tables(db)
    if name not in known:
        raise InputError(f"there is no table {name!r}; stored: {', '.join(known)}")
    return db.sql(f'SELECT * FROM "{name}" ORDER BY ALL').to_arrow_table()
