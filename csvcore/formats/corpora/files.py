"""Corpora in files: JSON lines, CSV, Parquet, or a folder of plain texts."""

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from csvcore import values
from csvcore.errors import InputError
from csvcore.formats import atomic, csv_tables
from csvcore.formats.corpora.rows import read_rows
from csvcore.formats.outside import json_value
from csvcore.records import Document

FIELDS = ("doc_id", "source", "text", "answers", "results")
log = logging.getLogger(__name__)


def read_corpus(path: Path) -> list[Document]:
    """Read the documents of a file (JSON lines, CSV, Parquet) or of a folder of texts.

    A file has the fields doc_id, source, text and optionally answers and results; CSV cells hold
    these as JSON, [[start, end], ...]. In a folder, every `.txt` file in it or below it is one
    document: its path without the suffix is the doc_id, and its folder is its source. Documents
    are in the order of their paths and keep their line ends. The number of other files is logged.

    Raises:
        InputError: as `csv_tables.read_corpus`, or a folder without a text, or with a link to a
            file that is not in it.
    """
    if path.is_dir():
        return _folder(path)
    if path.suffix.lower() not in (".csv", ".parquet"):
        return csv_tables.read_corpus(path)
    docs = csv_tables.check_documents(
        (where, csv_tables.document(_fields(row, where), where))
        for where, row in read_rows(path, FIELDS)
    )
    if not docs:
        raise InputError(f"{path.name} has no documents")
    return docs


def _fields(row: dict[str, Any], where: str) -> dict[str, Any]:
    spans = {key: row.get(key) for key in ("answers", "results")}
    for key, value in spans.items():
        if isinstance(value, str) and value:
            spans[key] = json_value(value, f"{where}: {key}")
    return row | spans


def _folder(path: Path) -> list[Document]:
    files = sorted(file for file in path.rglob("*") if file.is_file())
    inside = path.resolve()
    out = next((file for file in files if not file.resolve().is_relative_to(inside)), None)
    if out is not None:
        raise InputError(
            f"{out} is a link to {out.resolve()}, out of the folder; copy the file into the "
            "folder, or remove the link"
        )
    texts = [file for file in files if file.suffix.lower() == ".txt"]
    if not texts:
        raise InputError(
            f"{path} has no .txt file; in a folder each text file is one document, and the folder "
            "it lies in is its source"
        )
    others = sorted(set(files).difference(texts))
    if others:
        one = values.quoted(str(others[0]))
        log.warning("left aside: %s files that are no .txt, such as %s", len(others), one)
    return csv_tables.check_documents(
        (str(file), csv_tables.document(_fields_of(file, path), str(file))) for file in texts
    )


def _fields_of(file: Path, folder: Path) -> dict[str, Any]:
    name = file.relative_to(folder).with_suffix("").as_posix()
    text = csv_tables.text(file, newline="")  # losses are counted on these bytes
    return {"doc_id": name, "source": file.parent.resolve().name, "text": text}


def write_corpus(path: Path, docs: Sequence[Document]) -> None:
    """Write documents as JSON lines, as `read_corpus` reads them. Atomic."""
    lines = [
        json.dumps(
            {
                "doc_id": doc.doc_id,
                "source": doc.source,
                "text": doc.text,
                "answers": [list(span) for span in doc.answers],
            }
            | ({"results": [list(span) for span in doc.results]} if doc.results else {}),
            ensure_ascii=False,
        )
        for doc in docs
    ]
    with atomic.file(path) as building:
        building.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")
