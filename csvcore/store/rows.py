"""Rows into and out of a connection to the results database."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import duckdb
import pyarrow as pa

from csvcore.errors import StoreError

Connection = duckdb.DuckDBPyConnection


def first(
    db: Connection, query: str, values: Sequence[Any] | dict[str, Any]
) -> tuple[Any, ...] | None:
    """Return the first row of a query's result, or None.

    All rows are fetched: a partly read result makes the connection's next relation fail
    (DuckDB 2.0).
    """
    rows: list[tuple[Any, ...]] = db.execute(query, values).fetchall()
    return rows[0] if rows else None


@contextmanager
def intact(what: str) -> Iterator[None]:
    """Raise StoreError if stored JSON, read in the block, is not what csvcore stores."""
    try:
        yield
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreError(
            f"{what} is damaged in the database ({type(error).__name__}: {error}); remove it with "
            "`csvcore remove` and make it again, or restore a copy of the database"
        ) from error


def stored_object(text: str) -> dict[str, Any]:
    """Return a JSON object; raise ValueError for another value."""
    value = json.loads(text)
    if not isinstance(value, dict):
        raise ValueError(f"an object was expected, got {text[:40]}")
    return value


def flat(table: pa.Table, column: str) -> Any:
    """Return the concatenated entries of a list column as a numpy array."""
    return table[column].combine_chunks().flatten().to_numpy(zero_copy_only=False)


class Rows:
    """Rows that queries read by a name, other ones from query to query, during a block.

    A table that is registered within a transaction stays in memory until its end; `table` does not.
    """

    def __init__(self, db: Connection, name: str) -> None:
        """Prepare the name."""
        self._db, self._name, self._registered = db, name, False
        self._table: pa.Table | None = None

    @property
    def table(self) -> pa.Table | None:
        """The rows, all of one schema."""
        return self._table

    @table.setter
    def table(self, table: pa.Table) -> None:
        self._table = table
        if not self._registered:
            self._db.register(self._name, self)
            self._registered = True

    def __arrow_c_stream__(self, schema: object = None) -> object:
        """Return the rows to a query, by Arrow's protocol."""
        return None if self._table is None else self._table.__arrow_c_stream__(schema)

    def __enter__(self) -> "Rows":
        """Return itself."""
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        """Take the name back, unless the block failed: that would hide the cause."""
        self._table = None
        if self._registered and kind is None:
            self._db.unregister(self._name)


def insert(db: Connection, table: str, rows: pa.Table, conflict: str = "") -> None:
    """Add Arrow rows to a table, columns matched by name; conflict: an ON CONFLICT clause."""
    if len(rows) == 0:
        return
    db.register("incoming", rows)
    db.execute(f"INSERT INTO {table} BY NAME SELECT * FROM incoming {conflict}")
    db.unregister("incoming")  # not after a failure: it would hide the cause
