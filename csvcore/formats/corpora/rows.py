"""Rows of data files: Parquet, JSON, JSON lines, CSV, plain text."""

import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from csvcore.errors import InputError
from csvcore.formats import csv_tables

Record = dict[str, Any]
LONGEST_CELL = 2**31 - 1  # characters; the default of 131,072 is too few for a document


def read_rows(path: Path) -> Iterator[tuple[str, Record]]:
    """Yield (place for messages, row) for each row of a file, read by its suffix.

    A JSON file is a list of objects, or an object with one such list in it. A text file is one row
    with the field `text`.

    Raises:
        InputError: no such file, an unknown suffix, or content of another format.
    """
    if not path.is_file():
        raise InputError(f"there is no file {path}")
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise InputError(f"{path} is none of {', '.join(READERS)}; give it such an ending")
    for number, row in enumerate(reader(path), start=1):
        where = f"{path} row {number}"
        if not isinstance(row, dict):
            raise InputError(f"{where} must be an object, got {type(row).__name__}")
        yield where, row


def _parquet(path: Path) -> list[Record]:
    try:
        rows: list[Record] = pq.read_table(path).to_pylist()
    except (pa.ArrowException, OSError, ValueError) as error:
        reason = str(error).split("\n")[0]
        raise InputError(f"{path} is not a Parquet file that can be read: {reason}") from error
    return rows


def _csv(path: Path) -> list[Record]:
    """Read rows by the header's names; keep every cell as unchanged text of any length."""
    csv.field_size_limit(LONGEST_CELL)
    lines = list(csv_tables.csv_lines(path, csv_tables.text(path, newline="")))
    if not lines:
        raise InputError(f"{path} is not CSV: it is empty; it needs a header and rows")
    names = csv_tables.header(lines[0][1], path)
    if len(names) == 1:
        csv_tables.refuse_separator(path, names)
    for number, row in lines[1:]:
        if len(row) != len(names):
            raise InputError(
                f"{path} line {number} has {len(row)} fields and the header {len(names)}; "
                "put cells with commas or line breaks in double quotes"
            )
    return [dict(zip(names, row, strict=True)) for _, row in lines[1:]]


def _jsonl(path: Path) -> list[Any]:
    return [
        _json(line, f"{path} line {number}")
        for number, line in enumerate(csv_tables.text(path).split("\n"), start=1)
        if line.strip()
    ]


def _json_file(path: Path) -> list[Any]:
    raw = _json(csv_tables.text(path), str(path))
    if isinstance(raw, dict):
        lists = [value for value in raw.values() if isinstance(value, list)]
        raw = lists[0] if len(lists) == 1 else None
    if not isinstance(raw, list):
        raise InputError(f"{path} must be a list of objects, or an object with one such list")
    return raw


def _json(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(f"{where} is not JSON: {error.msg}") from error


def _text(path: Path) -> list[Record]:
    return [{"text": csv_tables.text(path)}]


READERS: dict[str, Callable[[Path], list[Any]]] = {
    ".parquet": _parquet,
    ".jsonl": _jsonl,
    ".json": _json_file,
    ".csv": _csv,
    ".txt": _text,
}
