"""Corpora sampled from data sets by a recipe of files, document counts and templates."""

import tomllib
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from csvcore import values
from csvcore.errors import InputError, reason
from csvcore.formats import csv_tables
from csvcore.formats.corpora import patterns, templates
from csvcore.formats.corpora.rows import Record, read_rows
from csvcore.records import Document

PAPER = Path(__file__).with_name("paper.toml")


@dataclass(frozen=True, slots=True)
class Part:
    """One source of a recipe.

    source: source of its documents. data: a folder, or the name of a data set on the Hugging Face
    hub. files: a glob inside it. count: documents to draw. text: template (see `templates`).
    rows: for text files, a regular expression whose named groups are the fields of one row.
    revision: of the hub's data set.
    """

    source: str
    data: str
    files: str
    count: int
    text: str
    rows: str = ""
    revision: str = ""


@dataclass(frozen=True, slots=True)
class Recipe:
    """Parts of a corpus in order, and the seed for sampling each."""

    seed: int
    parts: list[Part] = field(default_factory=list)

    def with_changes(self, counts: Mapping[str, int], data: Mapping[str, str]) -> "Recipe":
        """Return the recipe with other counts or data locations, by source.

        Raises:
            InputError: the recipe lacks a source.
        """
        sources = [part.source for part in self.parts]
        for source in [*counts, *data]:
            if source not in sources:
                raise InputError(
                    f"the recipe has no source {source!r}; it has {', '.join(sources)}"
                )
        parts = [
            replace(
                part,
                count=counts.get(part.source, part.count),
                data=data.get(part.source, part.data),
            )
            for part in self.parts
        ]
        return replace(self, parts=parts)


def read_recipe(path: Path) -> Recipe:
    """Read a recipe from TOML: `seed`, and one `[[part]]` with the fields of `Part` per source.

    Raises:
        InputError: not TOML, a field missing, unknown or of the wrong kind, a source twice, or an
            invalid template or expression.
    """
    content = csv_tables.text(path)
    try:
        raw = tomllib.loads(content)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path.name} is not TOML: {error}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path.name} cannot be read: {reason(error)}") from error
    tables, seed = raw.get("part"), raw.get("seed", 0)
    if not isinstance(tables, list) or not tables or type(seed) is not int or seed < 0:
        raise InputError(f"{path.name} needs a seed from 0 and at least one [[part]]")
    parts = [_part(table, f"{path.name}, part {i}") for i, table in enumerate(tables, start=1)]
    twice = values.twice(part.source for part in parts)
    if twice is not None:
        raise InputError(f"{path.name}: the source {twice!r} stands there twice")
    return Recipe(seed, parts)


def _part(table: Any, where: str) -> Part:
    if not isinstance(table, dict):
        raise InputError(f"{where} must be a table, [[part]], got {values.quoted(table)}")
    kinds = {entry.name: entry.type for entry in fields(Part)}
    unknown = [key for key in table if key not in kinds]
    missing = [key for key in kinds if key not in table and key not in ("rows", "revision")]
    if unknown or missing:
        wrong = f"an unknown field {unknown[0]!r}" if unknown else f"no {missing[0]}"
        raise InputError(f"{where} has {wrong}; a part has {', '.join(kinds)}")
    for key, value in table.items():
        if type(value) is not kinds[key] or (key == "count" and value < 0):
            kind = "a whole number from 0" if key == "count" else "a string"
            raise InputError(f"{where}: {key} must be {kind}, got {values.quoted(value)}")
    files = PurePath(table["files"])
    if not files.parts or files.is_absolute() or ".." in files.parts:
        raise InputError(
            f"{where}: files must be a pattern inside of data, such as *.jsonl, got "
            f"{values.quoted(table['files'])}"
        )
    try:
        patterns.check(table.get("rows", ""))
        templates.check(table["text"])
    except InputError as error:
        raise InputError(f"{where}: {error}") from error
    return Part(**{**table, "source": values.name(table["source"], "source", where)})


def sample(recipe: Recipe) -> Iterator[tuple[Part, list[Document]]]:
    """Yield each part with its documents, sampled without replacement.

    A part's sampling order depends only on the seed, its source and its data, so another count
    takes more or fewer documents in the same order. Equal texts count once.

    Raises:
        InputError: data that cannot be fetched or read, a row that does not fit the template, or
            fewer distinct texts than `count`.
    """
    for part in recipe.parts:
        yield part, _draw(part, recipe.seed)


def _draw(part: Part, seed: int) -> list[Document]:
    if part.count == 0:
        return []
    rows = list(_rows(part))
    rng = np.random.default_rng([seed, zlib.crc32(part.source.encode())])
    docs: dict[str, Document] = {}
    for index in rng.permutation(len(rows)).tolist():
        where, row = rows[index]
        try:
            rendered = templates.render(part.text, row)
        except InputError as error:
            raise InputError(
                f"{part.source}: {where} does not fit the template: {error}"
            ) from error
        raw = {
            "doc_id": f"{part.source}-{index:05d}",
            "source": part.source,
            "text": rendered.text,
            "answers": [list(span) for span in rendered.answers],
        }
        docs.setdefault(rendered.text, csv_tables.document(raw, f"{part.source}: {where}"))
        if len(docs) == part.count:
            return list(docs.values())
    raise InputError(
        f"{part.source}: {len(docs)} distinct texts in {len(rows)} rows of {part.data}, "
        f"{part.count} are wanted; lower its count"
    )


def _rows(part: Part) -> Iterator[tuple[str, Record]]:
    """Yield the rows of a part's files, in the order of their paths."""
    folder = _folder(part)
    files = sorted(file for file in folder.glob(part.files) if file.is_file())
    if not files:
        raise InputError(f"{part.source}: no file in {part.data} is like {part.files!r}")
    for file in files:
        for where, row in read_rows(file):
            if not part.rows:
                yield where, row
                continue
            matches = patterns.matches(part.rows, str(row.get("text")), str(file))
            for number, match in enumerate(matches, start=1):
                yield f"{file} match {number}", match


def _folder(part: Part) -> Path:
    """Return the folder of a part's data, downloading the needed files from the hub if remote."""
    folder = Path(part.data).expanduser()
    if folder.is_dir():
        return folder
    from huggingface_hub import snapshot_download  # half a second, and not needed for folders
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(
            snapshot_download(
                part.data,
                repo_type="dataset",
                revision=part.revision or None,
                allow_patterns=part.files,
            )
        )
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).strip().split("\n")[0]
        raise InputError(
            f"{part.source}: {part.data!r} is no folder here and cannot be had from the hub "
            f"({reason}); download it and say where with --data {part.source}=FOLDER"
        ) from error
