"""Rows of the files that data sets come in: Parquet, JSON, JSON lines, CSV, plain text."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from csvcore import inputs
from csvcore.errors import InputError

Record = dict[str, Any]


def read(path: Path) -> Iterator[tuple[str, Record]]:
    """Rows of one file by its ending, each with its place for messages.

    A JSON file is a list of objects, or an object with one such list in it. A text file is one row
    with the field `text`.

    Raises:
        InputError: no such file, an ending that is not known, or a content that does not fit it.
    """
    if not path.is_file():
        raise InputError(f"there is no file {path}")
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise InputError(f"{path.name} is none of {', '.join(READERS)}; give it such an ending")
    for number, row in enumerate(reader(path), start=1):
        where = f"{path.name} row {number}"
        if not isinstance(row, dict):
            raise InputError(f"{where} must be an object, got {type(row).__name__}")
        yield where, row


def _parquet(path: Path) -> list[Record]:
    try:
        rows: list[Record] = pq.read_table(path).to_pylist()
    except (pa.ArrowException, OSError, ValueError) as error:
        reason = str(error).split("\n")[0]
        raise InputError(f"{path.name} is not a Parquet file that can be read: {reason}") from error
    return rows


def _csv(path: Path) -> list[Record]:
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except (ValueError, pd.errors.ParserError, UnicodeDecodeError) as error:
        raise InputError(f"{path.name} is not CSV: {str(error).strip()}") from error
    rows: list[Record] = table.to_dict("records")  # type: ignore[assignment]
    return rows


def _jsonl(path: Path) -> list[Any]:
    return [
        _json(line, f"{path.name} line {number}")
        for number, line in enumerate(inputs.text(path).split("\n"), start=1)
        if line.strip()
    ]


def _json_file(path: Path) -> list[Any]:
    raw = _json(inputs.text(path), path.name)
    if isinstance(raw, dict):
        lists = [value for value in raw.values() if isinstance(value, list)]
        raw = lists[0] if len(lists) == 1 else None
    if not isinstance(raw, list):
        raise InputError(f"{path.name} must be a list of objects, or an object with one such list")
    return raw


def _json(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(f"{where} is not JSON: {error.msg}") from error


def _text(path: Path) -> list[Record]:
    return [{"text": inputs.text(path)}]


READERS: dict[str, Callable[[Path], list[Any]]] = {
    ".parquet": _parquet,
    ".jsonl": _jsonl,
    ".json": _json_file,
    ".csv": _csv,
    ".txt": _text,
}
