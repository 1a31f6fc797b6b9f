"""The one door to Parquet files: the footer must keep a budget before anything is read."""

from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import pyarrow as pa
import pyarrow.parquet as pq

from csvcore import values
from csvcore.errors import InputError, reason
from csvcore.formats import footer
from csvcore.formats.outside import REFUSALS, reading

VALUE_BYTES = 4  # of a value in memory, at least
BUFFER = 2**20  # bytes of a column that are read at once; without it, all of a row group


@dataclass(frozen=True, slots=True)
class Budget:
    """The most that a file may hold, since a small file can unfold to any number of values.

    columns: of the file. values: of the columns that are read, such as tokens times columns of a
    loss pack. n_bytes: uncompressed; None is the memory that is free. instead: what to do with a
    larger file. by_group: n_bytes are those of a row group, where a file is read part by part.
    """

    columns: int
    values: int
    n_bytes: int | None
    instead: str
    by_group: bool = False


IMPORT = Budget(10_000, 2**40, None, "divide it into smaller files")
PARTS = Budget(10_000, 2**40, None, "divide it into smaller files or row groups", by_group=True)
UPLOAD = Budget(
    1_000, 50_000_000, 2**30, "import it on the command line, `csvcore import losses` or `items`"
)


@contextmanager
def opened(
    name: str, source: Path | bytes, columns: Collection[str] | None = None, budget: Budget = IMPORT
) -> Iterator[pq.ParquetFile]:
    """Open a Parquet file, called name in messages, whose footer keeps a budget.

    Args:
        name: of the file.
        source: its path, or its bytes.
        columns: those that the block reads; None is all.
        budget: see `Budget`.

    Raises:
        InputError: no such file, not a Parquet file, beyond the budget, or damaged content that is
            met in the block.
    """
    if isinstance(source, Path) and not source.is_file():
        raise InputError(f"there is no file {source}")
    try:
        _check(name, source, columns, budget)
        file_of = source if isinstance(source, Path) else pa.BufferReader(source)
        with pq.ParquetFile(
            file_of,
            page_checksum_verification=True,
            buffer_size=BUFFER,
            pre_buffer=False,  # or all that was read stays in memory until the end of the file
        ) as file:
            yield file
    except (*REFUSALS, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:  # of the disk
            raise
        raise InputError(
            f"{name} is not a Parquet file that can be read: {reason(error)}"
        ) from error


def rows_at_once(source: Path | bytes, column: str, n_rows: int, n_values: int) -> int:
    """Return the number of rows whose lists in a column have n_values on average, at least 1.

    Args:
        source: a file, as of `opened`.
        column: of lists.
        n_rows: of the file.
        n_values: in memory at once.
    """
    held = sum(chunk.n_values for chunk in footer.chunks(source) if chunk.column == column)
    return max(1, min(n_rows, n_values * n_rows // max(held, 1)))


def _check(
    name: str, source: Path | bytes, columns: Collection[str] | None, budget: Budget
) -> None:
    """Raise InputError for a footer beyond the budget."""
    chunks = footer.chunks(source)
    _keep(name, len({chunk.column for chunk in chunks}), budget.columns, "columns", budget)
    read = [chunk for chunk in chunks if columns is None or chunk.column in columns]
    n_values = sum(chunk.n_values for chunk in read)
    n_bytes_of: Counter[int] = Counter()
    for chunk in read:
        group = chunk.group if budget.by_group else 0
        n_bytes_of[group] += max(chunk.n_bytes, VALUE_BYTES * chunk.n_values)
    n_bytes = max(n_bytes_of.values(), default=0)
    free = psutil.virtual_memory().available if budget.n_bytes is None else budget.n_bytes
    _keep(name, n_values, budget.values, "values", budget)
    _keep(name, n_bytes, free, "bytes once it is read", budget)


def _keep(name: str, held: int, most: int, what: str, budget: Budget) -> None:
    if held > most:
        raise InputError(
            f"{name} has {held:,} {what}, at most {most:,} are taken here; {budget.instead}"
        )


def is_text(kind: pa.DataType) -> bool:
    """Return whether a column of this type holds text, plain or by dictionary."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(
        pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    )


def is_number(kind: pa.DataType) -> bool:
    """Return whether a column of this type holds numbers; truth values are none."""
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def with_names(file: str, table: pa.Table, column: str) -> pa.Table:
    """Return a table whose column of text holds names as `values.name` returns them.

    Raises:
        InputError: a name that it refuses, no UTF-8, or an empty cell.
    """
    if table[column].null_count:
        raise InputError(f"{file}: the column {column} has an empty cell")
    coded = table[column].combine_chunks().dictionary_encode()
    with reading(f"{file}: the column {column}"):
        old = coded.dictionary.to_pylist()
    new = [values.name(name, column, file) for name in old]
    if new == old:
        return table
    place = table.column_names.index(column)
    return table.set_column(place, column, pa.array(new, pa.string()).take(coded.indices))
