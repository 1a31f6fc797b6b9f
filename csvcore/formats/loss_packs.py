"""Loss packs: one Parquet file of per-token losses, with a manifest of how they were made."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from csvcore.errors import InputError, OffsetsError, reason
from csvcore.formats import atomic, parquet
from csvcore.formats.manifest import KEY, Manifest, PackManifest, decode_manifest, encode_manifest
from csvcore.formats.parquet import IMPORT, PARTS, Budget
from csvcore.records import Corpus, ModelLosses, TokenLosses

SCHEMA = pa.schema(
    [
        ("model", pa.string()),
        ("doc_id", pa.string()),
        ("byte_start", pa.list_(pa.int32())),
        ("byte_end", pa.list_(pa.int32())),
        ("nll", pa.list_(pa.float32())),
        ("token_id", pa.list_(pa.int32())),
    ]
)


TOKENS_AT_ONCE = 2_000_000  # in memory where a pack is read or written part by part
ROWS_OF_A_GROUP = 5000  # of a pack that is written


@dataclass(frozen=True, slots=True)
class Pack:
    """A loss pack with checked rows: a table of SCHEMA, and its manifest if it has one."""

    table: pa.Table
    manifest: PackManifest | None

    @property
    def models(self) -> Mapping[str, Manifest]:
        """Return the manifests of the models that have one."""
        return {} if self.manifest is None else self.manifest.models


def check(name: str, pack: Pack, corpus: Corpus) -> None:
    """Check a pack against a corpus: the hash in its manifest, its documents and their spans.

    Raises:
        InputError: the manifest names another corpus, or a document is not in the corpus.
        OffsetsError: spans of a row do not tile their document.
    """
    theirs = None if pack.manifest is None else pack.manifest.corpus_sha256
    if theirs not in (None, corpus.sha256):
        raise InputError(
            f"{name} has losses on another corpus ({theirs[:12]}); collect them on {corpus.name}, "
            "or choose the pack's own corpus and a fit on it"
        )
    check_documents(name, pack.table, corpus.n_bytes)


def losses_on(
    name: str, source: Path | bytes, corpus: Corpus, budget: Budget = IMPORT
) -> list[ModelLosses]:
    """Return the losses of a pack, given as its path or its bytes, on every document of a corpus.

    Raises:
        InputError, OffsetsError: see `decode`, `check` and `model_losses`.
    """
    pack = decode(name, source, budget)
    check(name, pack, corpus)
    return model_losses(name, pack.table, [doc.doc_id for doc in corpus.docs])


def read(path: Path) -> Pack:
    """Read a loss pack; raise as `decode`."""
    return decode(path.name, path)


def read_manifest(path: Path) -> PackManifest | None:
    """Return the manifest of a loss pack, None if it has none; raise as `decode`."""
    with parquet.opened(path.name, path, SCHEMA.names, PARTS) as file:
        metadata: dict[bytes, bytes] = file.schema_arrow.metadata or {}
    return decode_manifest(path.name, metadata[KEY]) if KEY in metadata else None


def decode(name: str, source: Path | bytes, budget: Budget = IMPORT) -> Pack:
    """Decode a loss pack from its path or its bytes.

    Args:
        name: what to call it in messages.
        source: its path or its bytes.
        budget: see `parquet.Budget`.

    Raises:
        InputError: not a Parquet file of this format, beyond the budget, a name that `values.name`
            refuses, a nll that is no number, negative or not finite, a (model, doc_id) twice.
            `check_documents` makes the checks that need the corpus.
    """
    with parquet.opened(name, source, SCHEMA.names, budget) as file:
        metadata: dict[bytes, bytes] = file.schema_arrow.metadata or {}
        _check_columns(name, file.schema_arrow)
        manifest = decode_manifest(name, metadata[KEY]) if KEY in metadata else None
        table = _normalised(name, file.read(_present(file.schema_arrow)))
    if not len(table):
        raise InputError(f"{name} has no rows; there is nothing to import")
    check_rows(name, table)
    return Pack(table, manifest)


def parts(path: Path) -> Iterator[pa.Table]:
    """Yield the rows of a loss pack in tables of SCHEMA with some TOKENS_AT_ONCE tokens each.

    Raises:
        InputError: as `decode`, when the part with the fault is read; a (model, doc_id) that
            stands in two parts is not found.
    """
    name = path.name
    with parquet.opened(name, path, SCHEMA.names, PARTS) as file:
        _check_columns(name, file.schema_arrow)
        n_rows = file.metadata.num_rows
        if not n_rows:
            raise InputError(f"{name} has no rows; there is nothing to import")
        step = parquet.rows_at_once(path, "nll", n_rows, TOKENS_AT_ONCE)
        columns = _present(file.schema_arrow)
        for batch in file.iter_batches(step, columns=columns, use_threads=False):
            table = _normalised(name, pa.Table.from_batches([batch]))
            check_rows(name, table)
            yield table


def _present(schema: pa.Schema) -> list[str]:
    return [column for column in SCHEMA.names if column in schema.names]


def _normalised(name: str, table: pa.Table) -> pa.Table:
    """Return a table of SCHEMA, with names as `values.name` returns them."""
    if "token_id" not in table.column_names:
        table = table.append_column("token_id", pa.nulls(len(table), SCHEMA.field("token_id").type))
    try:
        table = table.select(SCHEMA.names).cast(SCHEMA).combine_chunks()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise InputError(f"{name}: a column has the wrong type: {reason(error)}") from error
    for column in ("model", "doc_id"):
        table = parquet.with_names(name, table, column)
    return table


def _check_columns(name: str, schema: pa.Schema) -> None:
    """Raise InputError unless the columns hold text, whole numbers and numbers as they must."""
    missing = [column for column in SCHEMA.names[:5] if column not in schema.names]
    if missing:
        raise InputError(f"{name} lacks the column {', '.join(missing)}")
    for column in schema.names:
        if column not in SCHEMA.names:
            continue
        kind, entry = schema.field(column).type, None
        if pa.types.is_list(kind) or pa.types.is_large_list(kind):
            entry = kind.value_type
        if column in ("model", "doc_id"):
            fine, rule = parquet.is_text(kind), "text"
        elif column == "nll":
            fine, rule = entry is not None and parquet.is_number(entry), "lists of numbers"
        else:
            whole = entry is not None and pa.types.is_integer(entry)
            fine, rule = whole or _is_empty(column, kind, entry), "lists of whole numbers"
        if not fine:
            raise InputError(
                f"{name}: a column has the wrong type: {column} must hold {rule}, it holds {kind}"
            )


def _is_empty(column: str, kind: pa.DataType, entry: pa.DataType | None) -> bool:
    """Return whether this is a column of token ids where nobody knows one."""
    return column == "token_id" and pa.types.is_null(kind if entry is None else entry)


def check_rows(name: str, table: pa.Table) -> None:
    """Raise InputError on an empty cell, a repeated key, or an nll negative or not finite."""
    for column in SCHEMA.names[:5]:
        if table[column].null_count:
            raise InputError(f"{name}: the column {column} has an empty cell")
    keys = table.group_by(["model", "doc_id"]).aggregate([([], "count_all")])
    if len(keys) != len(table):
        row = keys.filter(pc.greater(keys["count_all"], 1)).to_pylist()[0]
        raise InputError(f"{name}: {row['model']} on {row['doc_id']} stands there twice")
    if table["token_id"].combine_chunks().flatten().null_count:
        raise InputError(
            f"{name}: the column token_id has an empty entry; give every token's id, or none"
        )
    nll = flat(table, "nll")
    wrong = np.flatnonzero(~np.isfinite(nll) | (nll < 0))
    if wrong.size:
        row_index, token = _place(table, int(wrong[0]))
        row = table.slice(row_index, 1).select(["model", "doc_id"]).to_pylist()[0]
        raise InputError(
            f"{name}: nll of token {token} of {row['doc_id']} by {row['model']} is "
            f"{nll[wrong[0]]:g}; a negative log-likelihood is finite and not negative"
        )


def _place(table: pa.Table, position: int) -> tuple[int, int]:
    ends = np.cumsum(lengths(table))
    row = int(np.searchsorted(ends, position, side="right"))
    return row, position - int(ends[row - 1] if row else 0)


def flat(table: pa.Table, column: str) -> np.ndarray[Any, np.dtype[Any]]:
    """Return the concatenated entries of a list column."""
    return np.asarray(table[column].combine_chunks().flatten().to_numpy(zero_copy_only=False))


def lengths(table: pa.Table) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Return the number of tokens of each row, (n_rows,)."""
    return np.asarray(pc.list_value_length(table["nll"]).to_numpy(), dtype=np.int64)


def check_documents(name: str, table: pa.Table, n_bytes: Mapping[str, int]) -> None:
    """Raise unless every row's spans tile its document.

    Args:
        name: what to call the pack in messages.
        table: a table of SCHEMA.
        n_bytes: UTF-8 length of each document of the corpus.

    Raises:
        InputError: a document is not in the corpus.
        OffsetsError: spans of a row do not run from 0 to the end without gap or overlap.
    """
    ids = table["doc_id"].to_pylist()
    unknown = [doc_id for doc_id in ids if doc_id not in n_bytes]
    if unknown:
        raise InputError(f"{name}: the document {unknown[0]!r} is not in the corpus")
    count = lengths(table)
    for column in ("byte_start", "byte_end", "token_id"):
        size = pc.list_value_length(table[column])
        differs = np.asarray(pc.fill_null(size, -1).to_numpy()) != count
        if column == "token_id":  # no cell at all is no token ids
            differs &= np.asarray(size.is_valid().to_numpy())
        if differs.any():
            raise OffsetsError(
                f"{name}: {column} of {ids[int(differs.argmax())]} and its nll differ in length"
            )
    start, end = flat(table, "byte_start"), flat(table, "byte_end")
    last = np.cumsum(count) - 1
    has_tokens = count > 0
    size = np.array([n_bytes[doc_id] for doc_id in ids])
    expected = np.concatenate([[0], end[:-1]])  # a token starts where the one before it ends
    expected[(last - count + 1)[has_tokens]] = 0
    broken = (start != expected) | (end < start)
    broken[last[has_tokens]] |= end[last[has_tokens]] != size[has_tokens]
    rows = np.repeat(np.arange(len(ids)), count)[broken]
    if not has_tokens.all():
        rows = np.append(rows, np.flatnonzero(~has_tokens))
    if rows.size:
        row = int(rows.min())
        model = table["model"][row].as_py()
        raise OffsetsError(
            f"{name}: the spans of {ids[row]} by {model} do not tile its {size[row]} bytes; they "
            "must run from 0 to the end without gap or overlap, in UTF-8 bytes, not characters"
        )


def write(path: Path, table: pa.Table, corpus_sha256: str, models: Mapping[str, Manifest]) -> None:
    """Write a loss pack; models maps each model to its part of the manifest. Atomic."""
    write_parts(path, [table], corpus_sha256, models)


def write_parts(
    path: Path, tables: Iterable[pa.Table], corpus_sha256: str, models: Mapping[str, Manifest]
) -> int:
    """Write a loss pack from tables of its rows and return their number. Atomic."""
    with atomic.file(path) as building:
        return _write(building, tables, PackManifest(corpus_sha256, models))


def encode(table: pa.Table, corpus_sha256: str, models: Mapping[str, Manifest]) -> bytes:
    """Encode a loss pack as the bytes of its file."""
    file = pa.BufferOutputStream()
    _write(file, [table], PackManifest(corpus_sha256, models))
    return bytes(file.getvalue())


def _write(out: Path | pa.NativeFile, tables: Iterable[pa.Table], manifest: PackManifest) -> int:
    schema = SCHEMA.with_metadata({KEY: encode_manifest(manifest)})
    n_rows = 0
    with pq.ParquetWriter(
        out,
        schema,
        compression="zstd",
        compression_level=3,  # 15 takes nine times as long for files 5 % smaller
        use_dictionary=["model", "doc_id"],
        column_encoding={
            "byte_start.list.element": "DELTA_BINARY_PACKED",
            "byte_end.list.element": "DELTA_BINARY_PACKED",
            "token_id.list.element": "DELTA_BINARY_PACKED",
            "nll.list.element": "BYTE_STREAM_SPLIT",
        },
        write_page_checksum=True,
    ) as writer:
        for table in _groups(tables):
            rows = table.select(SCHEMA.names).cast(SCHEMA).replace_schema_metadata(schema.metadata)
            writer.write_table(rows, row_group_size=ROWS_OF_A_GROUP)
            n_rows += len(rows)
    return n_rows


def _groups(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Yield tables joined up to the rows or the tokens of a row group, whichever is reached."""
    held: list[pa.Table] = []
    for table in tables:
        held.append(table)
        n_tokens = sum(int(lengths(part).sum()) for part in held)
        if sum(map(len, held)) >= ROWS_OF_A_GROUP or n_tokens >= TOKENS_AT_ONCE:
            yield pa.concat_tables(held)
            held = []
    if held:
        yield pa.concat_tables(held)


def loss_table(rows: Sequence[TokenLosses]) -> pa.Table:
    """Return records as the rows of a loss pack."""
    return pa.table(
        {
            "model": [row.model for row in rows],
            "doc_id": [row.doc_id for row in rows],
            "byte_start": pa.array([row.byte_start for row in rows], pa.list_(pa.int32())),
            "byte_end": pa.array([row.byte_end for row in rows], pa.list_(pa.int32())),
            "nll": pa.array([row.nll for row in rows], pa.list_(pa.float32())),
            "token_id": pa.array([row.token_id for row in rows], pa.list_(pa.int32())),
        },
        schema=SCHEMA,
    )


def model_losses(name: str, table: pa.Table, doc_ids: Sequence[str]) -> list[ModelLosses]:
    """Return the losses of each model in a pack on all documents of a corpus, in its order.

    Args:
        name: what to call the pack in messages.
        table: rows of a pack whose documents were checked.
        doc_ids: the corpus.

    Raises:
        InputError: a model lacks a document.
    """
    losses = []
    for model in dict.fromkeys(table["model"].to_pylist()):
        rows = table.filter(pc.equal(table["model"], model))
        place = {doc_id: row for row, doc_id in enumerate(rows["doc_id"].to_pylist())}
        missing = [doc_id for doc_id in doc_ids if doc_id not in place]
        if missing:
            raise InputError(
                f"{name}: {model} has losses on {len(doc_ids) - len(missing)} of {len(doc_ids)} "
                f"documents, not on {missing[0]}; collect the others too"
            )
        rows = rows.take([place[doc_id] for doc_id in doc_ids])
        losses.append(
            ModelLosses(
                model=model,
                n_tokens=lengths(rows),
                byte_end=flat(rows, "byte_end").astype(np.int64),
                nll=flat(rows, "nll").astype(np.float64),
            )
        )
    return losses
