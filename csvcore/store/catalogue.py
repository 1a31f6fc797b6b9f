"""What the file of a results database may contain: its tables, and nothing that computes.

A file from elsewhere is data. A view, macro or trigger in it would be code: it could answer with
another file's content, or change what a query means.
"""

from functools import lru_cache
from pathlib import Path

import duckdb

# Each object that is neither a table nor a column of one. Names are qualified, since a macro of
# the file may have the name of one of DuckDB's functions; no function is called for the same
# reason.
_CODE = """
SELECT 'view' AS kind, view_name AS name FROM system.main.duckdb_views() WHERE NOT internal
UNION ALL
SELECT 'macro', function_name FROM system.main.duckdb_functions() WHERE NOT internal
UNION ALL
SELECT 'trigger', trigger_name FROM system.main.duckdb_triggers()
UNION ALL
SELECT 'sequence', sequence_name FROM system.main.duckdb_sequences()
UNION ALL
SELECT 'type', type_name FROM system.main.duckdb_types() WHERE NOT internal
UNION ALL
SELECT 'schema', schema_name FROM system.main.duckdb_schemas() WHERE NOT internal
UNION ALL
SELECT 'computed column', column_name FROM system.main.duckdb_columns()
WHERE NOT internal AND is_generated
"""
_COLUMNS = """
SELECT table_name, column_name, data_type FROM system.main.duckdb_columns() WHERE NOT internal
"""
Tables = dict[str, dict[str, str]]  # type of each column of each table


def code(db: duckdb.DuckDBPyConnection) -> list[str]:
    """Return everything in the database that is no table, as words such as "the view 'models'"."""
    found = sorted(set(db.execute(_CODE).fetchall()))
    return [f"the {kind} {name!r}" for kind, name in found]


def differences(db: duckdb.DuckDBPyConnection, *, older: bool) -> list[str]:
    """Return how tables and columns differ from the schema, in words; empty if they do not.

    Args:
        db: a connection.
        older: whether the database is of an older version, which may lack tables and columns.
    """
    stored, known = tables(db), _schema()
    found = [f"the foreign table {name!r}" for name in sorted(stored.keys() - known.keys())]
    if not older:
        found += [f"no table {name!r}" for name in sorted(known.keys() - stored.keys())]
    for name in sorted(stored.keys() & known.keys()):
        theirs, ours = stored[name], known[name]
        for column in sorted(theirs):
            if column not in ours:
                found.append(f"the foreign column {name}.{column}")
            elif theirs[column] != ours[column] and not older:
                found.append(f"{name}.{column} as {theirs[column]} instead of {ours[column]}")
        if not older:
            found += [f"no column {name}.{column}" for column in sorted(ours.keys() - theirs)]
    return found


def tables(db: duckdb.DuckDBPyConnection) -> Tables:
    """Return the type of each column of each table."""
    found: Tables = {}
    for table, column, kind in db.execute(_COLUMNS).fetchall():
        found.setdefault(table, {})[column] = kind
    return found


@lru_cache(maxsize=1)
def _schema() -> Tables:
    with duckdb.connect() as db:
        db.execute(Path(__file__).with_name("schema.sql").read_text())
        return tables(db)
