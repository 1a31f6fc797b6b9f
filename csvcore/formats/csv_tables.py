"""Readers of users' files, with checks; every error names the file, the line and the rule."""

import csv
import hashlib
import io
import json
import logging
import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from csvcore import values
from csvcore.errors import InputError
from csvcore.formats.outside import json_value
from csvcore.records import Accuracy, Document, ModelCard, Task

log = logging.getLogger(__name__)

CARD_COLUMNS = (
    *("model", "family", "n_params", "train_tokens", "stage", "step", "license", "origin", "run"),
)
SHOWN = 5  # columns in a message
LONGEST_CELL = 2**31 - 1  # characters; the default of 131,072 is too few for a document
# Starts of a cell that a spreadsheet would run; the last four are full-width.
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def corpus_sha256(docs: Sequence[Document]) -> str:
    """Return the SHA-256 of a corpus: of its documents in file order, as canonical JSON lines."""
    digest = hashlib.sha256()
    for doc in docs:
        line = json.dumps(
            [doc.doc_id, doc.source, doc.text], ensure_ascii=False, separators=(",", ":")
        )
        digest.update(f"{line}\n".encode())
    return digest.hexdigest()


def read_corpus(path: Path) -> list[Document]:
    """Read the documents of a `documents.jsonl`, in file order.

    Raises:
        InputError: not JSON, a field missing or of the wrong kind, an empty text, a doc_id twice,
            an answer span outside the text, or no document at all.
    """
    lines = ((f"{path.name} line {n}", line) for n, line in enumerate(text(path).split("\n"), 1))
    docs = check_documents(
        (where, document(_object(line, where), where)) for where, line in lines if line.strip()
    )
    if not docs:
        raise InputError(f"{path.name} has no documents; give one JSON object a line")
    return docs


def check_documents(docs: Iterable[tuple[str, Document]]) -> list[Document]:
    """Return the documents of (place in the file, document) pairs; refuse a repeated doc_id."""
    seen: dict[str, Document] = {}
    for where, doc in docs:
        if doc.doc_id in seen:
            raise InputError(f"{where}: doc_id {doc.doc_id!r} stands there twice")
        seen[doc.doc_id] = doc
    return list(seen.values())


def _object(line: str, where: str) -> dict[str, Any]:
    raw = json_value(line, where)
    if not isinstance(raw, dict):
        raise InputError(f"{where} must be a JSON object, got {type(raw).__name__}")
    return raw


def document(raw: dict[str, Any], where: str) -> Document:
    """Return a document from its fields doc_id, source, text, and optional answers and results.

    Raises:
        InputError: a field is missing or of the wrong kind, or a span outside the text.
    """
    for key in ("doc_id", "source", "text"):
        if not isinstance(raw.get(key), str) or not raw[key]:
            raise InputError(f"{where}: {key} must be a string that is not empty")
        try:
            raw[key].encode()
        except UnicodeEncodeError as error:
            raise InputError(
                f"{where}: the {key} has a lone surrogate and no UTF-8 form"
            ) from error
    answers, results = (_spans(raw, key, where) for key in ("answers", "results"))
    doc_id, source = (values.name(raw[key], key, where) for key in ("doc_id", "source"))
    return Document(doc_id, source, raw["text"], answers, results)


def _spans(raw: dict[str, Any], key: str, where: str) -> tuple[tuple[int, int], ...]:
    """Return the character spans in an optional field of a document."""
    spans = raw.get(key) or []
    if not isinstance(spans, list):
        raise InputError(
            f"{where}: {key} must be a list of [start, end], got {values.quoted(spans)}"
        )
    for span in spans:
        if (
            not isinstance(span, list)
            or len(span) != 2
            or not all(type(edge) is int for edge in span)
            or not 0 <= span[0] < span[1] <= len(raw["text"])
        ):
            raise InputError(
                f"{where}: {key.removesuffix('s')} span {values.quoted(span)} must be "
                f"[start, end] with 0 <= start < end <= {len(raw['text'])} characters"
            )
    return tuple((span[0], span[1]) for span in spans)


def read_models(path: Path) -> list[ModelCard]:
    """Read the model cards of a `models.csv`; family and name are required."""
    cards = [
        ModelCard(
            model=values.name(row["model"], "model", where),
            family=values.name(row["family"], "family", where),
            n_params=_count(row, "n_params", where),
            train_tokens=_count(row, "train_tokens", where),
            stage=row.get("stage") or None,
            step=_count(row, "step", where),
            license=row.get("license") or None,
            origin=row.get("origin") or None,
            run=row.get("run") or None,
        )
        for where, row in rows(path, ("model", "family"), CARD_COLUMNS)
    ]
    _refuse_twice(path, [card.model for card in cards], "model")
    return cards


def read_tasks(path: Path) -> list[Task]:
    """Read a `tasks.csv`; its optional `sources` are corpus sources separated by spaces."""
    tasks = []
    for where, row in rows(path, ("task", "chance")):
        chance = _chance(row["chance"], where)
        sources = tuple((row.get("sources") or "").split())
        name = values.name(row["task"], "task", where)
        tasks.append(Task(name, chance, row.get("title") or None, sources))
    _refuse_twice(path, [task.task for task in tasks], "task")
    return tasks


def chance_levels(arguments: Sequence[str]) -> list[Task]:
    """Return tasks with their chance levels from arguments `TASK=LEVEL`."""
    tasks = []
    for argument in arguments:
        name, _, level = argument.rpartition("=")
        if not name:
            raise InputError(f"a chance level is given as TASK=LEVEL, got {argument!r}")
        tasks.append(Task(values.name(name, "task"), _chance(level, name)))
    return tasks


def _chance(text: str, where: str) -> float:
    chance = values.number(text, "chance", where)
    if not 0.0 <= chance < 1.0:
        raise InputError(f"{where}: chance is a fraction in [0, 1), got {chance:g}")
    return chance


def read_accuracies(paths: Sequence[Path]) -> list[Accuracy]:
    """Read one or more `accuracies.csv`; equal repeats count once, conflicting ones are refused."""
    seen: dict[tuple[str, str], Accuracy] = {}
    for path in paths:
        for where, row in rows(path, ("model", "task", "accuracy")):
            value = fraction(values.number(row["accuracy"], "accuracy", where), where)
            model, task = (values.name(row[key], key, where) for key in ("model", "task"))
            entry = Accuracy(model, task, value, _count(row, "n_items", where, least=1))
            add_once(seen, entry, where)
    return list(seen.values())


def fraction(value: float, where: str) -> float:
    """Return an accuracy after checking that it is finite and between 0 and 1."""
    if not math.isfinite(value):
        raise InputError(f"{where}: accuracy must be finite, got {value}")
    if value > 1.0:
        raise InputError(
            f"{where}: accuracy {value:g} is above 1; this looks like percent, "
            "give a fraction between 0 and 1"
        )
    if value < 0.0:
        raise InputError(f"{where}: accuracy {value:g} is below 0; give a fraction")
    return value


def add_once(seen: dict[tuple[str, str], Accuracy], entry: Accuracy, where: str) -> None:
    """Add an accuracy to `seen`, by model and task; refuse a conflicting value."""
    key = (entry.model, entry.task)
    if seen.setdefault(key, entry) != entry:
        raise InputError(
            f"{where}: {entry.model} on {entry.task} stands there twice with different "
            f"values, {_value(seen[key])} and {_value(entry)}"
        )


def _value(entry: Accuracy) -> str:
    items = "" if entry.n_items is None else f" ({entry.n_items} items)"
    return f"{entry.accuracy}{items}"


def read_split(path: Path, name: str = "") -> dict[str, str]:
    """Read the side of each model in a `split.csv`; `splits.check_split` checks sides and names.

    The splits.csv of `csvcore export tables` has sides in the column `side` and several splits;
    only the split called `name` is read from it.
    """
    entries = [row for _, row in rows(path, ("model", "split"))]
    if "side" in entries[0]:
        names = list(dict.fromkeys(row["split"] for row in entries))
        if name not in names:
            raise InputError(f"{path} has no split {name!r}, but {', '.join(names)}")
        sides = [(row["model"], row["side"]) for row in entries if row["split"] == name]
    else:
        sides = [(row["model"], row["split"]) for row in entries]
    sides = [(values.name(model, "model", path.name), side) for model, side in sides]
    _refuse_twice(path, [model for model, _ in sides], "model")
    return dict(sides)


def text(path: Path, newline: str | None = None) -> str:
    """Read a UTF-8 text file; newline as in `open`."""
    if not path.is_file():
        raise InputError(f"there is no file {path}")
    try:
        with path.open(encoding="utf-8-sig", newline=newline) as file:
            return file.read()
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text (byte {error.start})") from error


def header(names: Sequence[str], path: Path) -> list[str]:
    """Return the column names of a CSV file, stripped; refuse a repeated name.

    Several columns may be nameless, since nothing reads them.
    """
    clean = [name.strip() for name in names]
    twice = values.twice(name for name in clean if name)
    if twice is not None:
        raise InputError(
            f"{path.name} has the column {values.quoted(twice)} twice, and one would be "
            "lost; rename or remove one"
        )
    return clean


def csv_lines(path: Path, content: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows of a CSV text with the line each ends on; skip blank lines."""
    csv.field_size_limit(LONGEST_CELL)
    reader, last = csv.reader(io.StringIO(content, newline=""), strict=True), 0
    try:
        for row in reader:
            last = reader.line_num
            if len(row) > 1 or "".join(row).strip():
                yield last, row
    except csv.Error as error:
        raise InputError(f"{path} line {last + 1} is not CSV: {error}") from error


def refuse_separator(path: Path, names: Sequence[str]) -> None:
    """Raise InputError where a header shows another separator than the comma."""
    for mark, separator in ((";", "';'"), ("\t", "tabs")):
        if any(mark in name for name in names):
            raise InputError(
                f"{path.name} is separated by {separator}, csvcore reads commas; "
                "save it with commas"
            )


def _refuse_lacking(path: Path, names: Sequence[str], required: tuple[str, ...]) -> None:
    missing = [name for name in required if name not in names]
    if missing:
        refuse_separator(path, names)
        present = ", ".join(name for name in names if name) or "none with a name"
        raise InputError(
            f"{path.name} lacks the column {', '.join(missing)}; it has {present}, "
            "and capitals count"
        )


def rows(
    path: Path, required: tuple[str, ...], known: Sequence[str] = ()
) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield (place for error messages, row) for each row of a CSV file with a header.

    Where all columns that are read are `known`, the log names those that are not.
    """
    lines = csv_lines(path, text(path))
    _, first = next(lines, (0, []))
    if not first:
        raise InputError(f"{path.name} is empty; it needs the columns {', '.join(required)}")
    names = header(first, path)
    _refuse_lacking(path, names, required)
    unread = [name for name in names if known and name not in known]
    if unread:
        shown = ", ".join(map(values.quoted, unread[:SHOWN]))
        more = f" and {len(unread) - SHOWN} more" if len(unread) > SHOWN else ""
        log.warning(
            "%s: the columns are %s; not read: %s%s",
            values.quoted(path.name), ", ".join(known), shown, more,
        )  # fmt: skip
    empty = True
    for number, row in lines:
        empty = False
        where = f"{path.name} line {number}"
        if len(row) != len(names):
            raise InputError(f"{where} does not have {len(names)} fields")
        clean = {name: cell.strip() for name, cell in zip(names, row, strict=True)}
        for name in required:
            if not clean[name]:
                raise InputError(f"{where}: {name} is empty")
        yield where, clean
    if empty:
        raise InputError(f"{path.name} has a header and no rows; there is nothing to import")


def without_formula(cell: str) -> str:
    """Return a cell's text, with an apostrophe before anything that a spreadsheet would run."""
    return f"'{cell}" if cell.startswith(FORMULA) else cell


def _count(row: dict[str, str], name: str, where: str, least: int = 0) -> int | None:
    value = row.get(name)
    return values.whole(value, name, where, least) if value else None


def _refuse_twice(path: Path, names: Sequence[str], what: str) -> None:
    twice = values.twice(names)
    if twice is not None:
        raise InputError(f"{path.name}: the {what} {twice!r} stands there twice")
