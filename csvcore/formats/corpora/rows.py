"""Rows of data files: Parquet, JSON, JSON lines, CSV, plain text."""

from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

from csvcore.errors import InputError
from csvcore.formats import csv_tables, parquet
from csvcore.formats.outside import json_value

Record = dict[str, Any]


def read_rows(path: Path, columns: Collection[str] | None = None) -> Iterator[tuple[str, Record]]:
    """Yield (place for messages, row) for each row of a file, read by its suffix.

    columns: of a Parquet file, the ones that are wanted if they are there; None is all.

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
    rows = _parquet(path, columns) if reader is _parquet else reader(path)
    for number, row in enumerate(rows, start=1):
        where = f"{path} row {number}"
        if not isinstance(row, dict):
            raise InputError(f"{where} must be an object, got {type(row).__name__}")
        yield where, row


def _parquet(path: Path, columns: Collection[str] | None = None) -> list[Record]:
    with parquet.opened(str(path), path, columns) as file:
        names = file.schema_arrow.names
        present = names if columns is None else [name for name in names if name in columns]
        rows: list[Record] = file.read(present).to_pylist()
    return rows


def _csv(path: Path) -> list[Record]:
    """Read rows by the header's names; keep every cell as unchanged text of any length."""
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
        json_value(line, f"{path} line {number}")
        for number, line in enumerate(csv_tables.text(path).split("\n"), start=1)
        if line.strip()
    ]


def _json_file(path: Path) -> list[Any]:
    raw = json_value(csv_tables.text(path), str(path))
    if isinstance(raw, dict):
        lists = [value for value in raw.values() if isinstance(value, list)]
        raw = lists[0] if len(lists) == 1 else None
    if not isinstance(raw, list):
        raise InputError(f"{path} must be a list of objects, or an object with one such list")
    return raw


def _text(path: Path) -> list[Record]:
    return [{"text": csv_tables.text(path)}]


READERS: dict[str, Callable[[Path], list[Any]]] = {
    ".parquet": _parquet,
    ".jsonl": _jsonl,
    ".json": _json_file,
    ".csv": _csv,
    ".txt": _text,
}
