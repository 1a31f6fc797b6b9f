"""Reads and checks the files users bring; every refusal names the file, the line and the rule."""

import csv
import hashlib
import io
import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

from csvcore.errors import InputError
from csvcore.records import Accuracy, Document, ModelCard, Task

LARGEST_COUNT = 2**63 - 1  # what the database can hold


def corpus_sha256(docs: Sequence[Document]) -> str:
    """Identity of a corpus: its documents in file order, as the contract's canonical lines."""
    digest = hashlib.sha256()
    for doc in docs:
        line = json.dumps(
            [doc.doc_id, doc.source, doc.text], ensure_ascii=False, separators=(",", ":")
        )
        digest.update(f"{line}\n".encode())
    return digest.hexdigest()


def read_corpus(path: Path) -> list[Document]:
    """Documents of a `documents.jsonl`, in file order.

    Raises:
        InputError: not JSON, a field missing or of the wrong kind, an empty text, a doc_id twice,
            an answer span outside the text, or no document at all.
    """
    docs: list[Document] = []
    seen: set[str] = set()
    for number, line in enumerate(_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        doc = _document(line, f"{path.name} line {number}")
        if doc.doc_id in seen:
            raise InputError(f"{path.name} line {number}: doc_id {doc.doc_id!r} stands there twice")
        seen.add(doc.doc_id)
        docs.append(doc)
    if not docs:
        raise InputError(f"{path.name} has no documents; give one JSON object a line")
    return docs


def _document(line: str, where: str) -> Document:
    try:
        raw = json.loads(line)
    except json.JSONDecodeError as error:
        raise InputError(f"{where} is not JSON: {error.msg}") from error
    if not isinstance(raw, dict):
        raise InputError(f"{where} must be a JSON object, got {type(raw).__name__}")
    for key in ("doc_id", "source", "text"):
        if not isinstance(raw.get(key), str) or not raw[key]:
            raise InputError(f"{where}: {key} must be a string that is not empty")
        try:
            raw[key].encode()
        except UnicodeEncodeError as error:
            raise InputError(
                f"{where}: the {key} has a lone surrogate and no UTF-8 form"
            ) from error
    answers = raw.get("answers") or []
    if not isinstance(answers, list):
        raise InputError(f"{where}: answers must be a list of [start, end], got {answers!r}")
    for span in answers:
        if (
            not isinstance(span, list)
            or len(span) != 2
            or not all(type(edge) is int for edge in span)
            or not 0 <= span[0] < span[1] <= len(raw["text"])
        ):
            raise InputError(
                f"{where}: answer span {span} must be [start, end] with "
                f"0 <= start < end <= {len(raw['text'])} characters"
            )
    spans = tuple((span[0], span[1]) for span in answers)
    return Document(raw["doc_id"], raw["source"], raw["text"], spans)


def read_models(path: Path) -> list[ModelCard]:
    """Model cards of a `models.csv`; family and name are required."""
    cards = [
        ModelCard(
            model=row["model"],
            family=row["family"],
            n_params=_count(row, "n_params", where),
            train_tokens=_count(row, "train_tokens", where),
            stage=row.get("stage") or None,
            step=_count(row, "step", where),
            license=row.get("license") or None,
            origin=row.get("origin") or None,
        )
        for where, row in _rows(path, ("model", "family"))
    ]
    _refuse_twice(path, [card.model for card in cards], "model")
    return cards


def read_tasks(path: Path) -> list[Task]:
    """Tasks of a `tasks.csv`; `sources` (optional) lists corpus sources, separated by spaces."""
    tasks = []
    for where, row in _rows(path, ("task", "chance")):
        chance = _number(row["chance"], "chance", where)
        if not 0.0 <= chance < 1.0:
            raise InputError(f"{where}: chance is a fraction in [0, 1), got {chance:g}")
        sources = tuple((row.get("sources") or "").split())
        tasks.append(Task(row["task"], chance, row.get("title") or None, sources))
    _refuse_twice(path, [task.task for task in tasks], "task")
    return tasks


def read_accuracies(paths: Sequence[Path]) -> list[Accuracy]:
    """Accuracies of one or more `accuracies.csv`; equal repeats count once, others are refused."""
    seen: dict[tuple[str, str], Accuracy] = {}
    for path in paths:
        for where, row in _rows(path, ("model", "task", "accuracy")):
            value = _number(row["accuracy"], "accuracy", where)
            if value > 1.0:
                raise InputError(
                    f"{where}: accuracy {value:g} is above 1; this looks like percent, "
                    "give a fraction between 0 and 1"
                )
            if value < 0.0:
                raise InputError(f"{where}: accuracy {value:g} is below 0; give a fraction")
            entry = Accuracy(
                row["model"], row["task"], value, _count(row, "n_items", where, least=1)
            )
            key = (entry.model, entry.task)
            if seen.setdefault(key, entry) != entry:
                raise InputError(
                    f"{where}: {entry.model} on {entry.task} stands there twice with different "
                    f"values, {_value(seen[key])} and {_value(entry)}"
                )
    return list(seen.values())


def _value(entry: Accuracy) -> str:
    items = "" if entry.n_items is None else f" ({entry.n_items} items)"
    return f"{entry.accuracy}{items}"


def read_split(path: Path) -> dict[str, str]:
    """Side of each model in a `split.csv`; sides and names are checked by `splits.check_split`."""
    rows = [(row["model"], row["split"]) for _, row in _rows(path, ("model", "split"))]
    _refuse_twice(path, [model for model, _ in rows], "model")
    return dict(rows)


def _text(path: Path) -> str:
    if not path.is_file():
        raise InputError(f"there is no file {path}")
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path.name} is not UTF-8 text (byte {error.start})") from error


def _rows(path: Path, required: tuple[str, ...]) -> Iterator[tuple[str, dict[str, str]]]:
    """Rows of a CSV file with a header, each with its place for error messages."""
    text = _text(path)
    if not text:
        raise InputError(f"{path.name} is empty; it needs the columns {', '.join(required)}")
    reader = csv.DictReader(io.StringIO(text), strict=True)
    try:
        missing = [name for name in required if name not in (reader.fieldnames or ())]
        if missing:
            raise InputError(f"{path.name} lacks the column {', '.join(missing)}")
        n_rows = 0
        for row in reader:
            n_rows += 1
            where = f"{path.name} line {reader.line_num}"
            if None in row or None in row.values():
                raise InputError(f"{where} does not have {len(reader.fieldnames or ())} fields")
            clean = {key: value.strip() for key, value in row.items()}
            for name in required:
                if not clean[name]:
                    raise InputError(f"{where}: {name} is empty")
            yield where, clean
        if n_rows == 0:
            raise InputError(f"{path.name} has a header and no rows; there is nothing to import")
    except csv.Error as error:
        raise InputError(f"{path.name} line {reader.line_num + 1} is not CSV: {error}") from error


def _number(value: str, name: str, where: str) -> float:
    try:
        number = float(value)
    except ValueError as error:
        raise InputError(f"{where}: {name} must be a number, got {value!r}") from error
    if not math.isfinite(number):
        raise InputError(f"{where}: {name} must be finite, got {value!r}")
    return number


def _count(row: dict[str, str], name: str, where: str, least: int = 0) -> int | None:
    value = row.get(name)
    if not value:
        return None
    number = _number(value, name, where)
    if not least <= number <= LARGEST_COUNT or number != int(number):
        raise InputError(f"{where}: {name} must be a whole number from {least}, got {value!r}")
    return int(number)


def _refuse_twice(path: Path, names: Sequence[str], what: str) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"{path.name}: the {what} {twice[0]!r} stands there twice")
