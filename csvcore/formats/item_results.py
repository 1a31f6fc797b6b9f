"""Item results: a Parquet file with the result of each model on each item of its tasks."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from csvcore.errors import InputError
from csvcore.formats import atomic, parquet
from csvcore.formats.parquet import IMPORT, Budget

SCHEMA = pa.schema(
    [
        ("model", pa.string()),
        ("task", pa.string()),
        ("item", pa.string()),
        ("correct", pa.float64()),
    ]
)
BATCH = 200_000  # rows that are in memory at once


def read(path: Path) -> Iterator[pa.Table]:
    """Read an `items.parquet` in parts, tables of SCHEMA; raise as `decode`."""
    return decode(path.name, path)


def decode(name: str, source: Path | bytes, budget: Budget = IMPORT) -> Iterator[pa.Table]:
    """Decode item results from the path or the bytes of their file, called name in messages.

    Columns: model, task, item (a name or a whole number, kept as text), correct.

    Raises:
        InputError: not a Parquet file, beyond the budget, a column is missing or of another type, a
            cell is empty, a name that `values.name` refuses, a result is no fraction in [0, 1], or
            there are no rows. Raised when the part with the fault is read.
    """
    n_rows = 0
    with parquet.opened(name, source, SCHEMA.names, budget) as file:
        _check_columns(name, file.schema_arrow)
        for batch in file.iter_batches(BATCH, columns=SCHEMA.names):
            n_rows += batch.num_rows
            yield _checked(name, pa.Table.from_batches([batch]))
    if not n_rows:
        raise InputError(f"{name} has no rows; there is nothing to import")


def _check_columns(name: str, schema: pa.Schema) -> None:
    missing = [column for column in SCHEMA.names if column not in schema.names]
    if missing:
        raise InputError(
            f"{name} lacks the column {', '.join(missing)}; item results have "
            f"{', '.join(SCHEMA.names)}"
        )
    for column in SCHEMA.names:
        kind = schema.field(column).type
        text, number = parquet.is_text(kind), pa.types.is_integer(kind)
        if column == "correct":
            fine = parquet.is_number(kind) or pa.types.is_boolean(kind)
            rule = "numbers, 0 or 1 or a fraction"
        else:
            fine = text or (number and column == "item")
            rule = "text or whole numbers" if column == "item" else "text"
        if not fine:
            raise InputError(f"{name}: the column {column} must hold {rule}, it holds {kind}")


def _checked(name: str, part: pa.Table) -> pa.Table:
    table = part.select(SCHEMA.names).cast(SCHEMA)
    for column in SCHEMA.names:
        if table[column].null_count:
            raise InputError(f"{name}: the column {column} has an empty cell")
    for column in ("model", "task", "item"):
        table = parquet.with_names(name, table, column)
    correct = table["correct"]
    fine = pc.and_(pc.greater_equal(correct, 0.0), pc.less_equal(correct, 1.0))  # not so for NaN
    if not pc.all(fine).as_py():
        row = table.filter(pc.invert(fine)).slice(0, 1).to_pylist()[0]
        raise InputError(
            f"{name}: item {row['item']} of {row['task']} by {row['model']} has the result "
            f"{row['correct']:g}; give 0 or 1, or a fraction between them"
        )
    return table


def write(path: Path, parts: Iterable[pa.Table]) -> int:
    """Write tables of SCHEMA as one Parquet file and return its number of rows."""
    n_rows = 0
    with atomic.file(path) as building, pq.ParquetWriter(building, SCHEMA) as writer:
        for part in parts:
            writer.write_table(part)
            n_rows += len(part)
    return n_rows
