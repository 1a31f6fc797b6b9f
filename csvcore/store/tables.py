"""Unchanged database tables, for export."""

import pyarrow as pa

from csvcore.errors import InputError
from csvcore.store.rows import Connection


def tables(db: Connection) -> list[str]:
    """Return the names of all tables."""
    return [
        row[0] for row in db.execute("SELECT table_name FROM duckdb_tables() ORDER BY 1").fetchall()
    ]


def table(db: Connection, name: str) -> pa.Table:
    """Return all rows of a table, sorted by its columns in order; refuse an unknown name."""
    names = tables(db)
    if name not in names:
        raise InputError(f"there is no table {name!r}; stored: {', '.join(names)}")
    return db.sql(f'SELECT * FROM "{name}" ORDER BY ALL').to_arrow_table()
