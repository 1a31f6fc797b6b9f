"""Export of stored data: loss packs, tables, token weights."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from csvcore import store
from csvcore.errors import InputError
from csvcore.formats import atomic, item_results, loss_packs
from csvcore.formats.csv_tables import without_formula
from csvcore.store import Connection

Format = Literal["csv", "parquet"]
# Too large to be a table for people; they have exports of their own.
APART = ("losses", "weights", "item_results")
SEPARATED_BY_SPACES = {"tasks"}  # lists in this table's CSV, so that it can be imported again

_CARD = """---
configs:
- config_name: tokens
  default: true
  data_files:
  - split: train
    path: data/tokens.parquet
- config_name: documents
  data_files:
  - split: train
    path: data/documents.parquet
tags:
- capability-salience-vectors
---

# Salience of every token

How much each token of a validation text counts when the capability of a language model is read off
its losses (Capability Salience Vector, arXiv 2506.13216). The mean absolute weight is 1.

```python
from datasets import load_dataset

tokens = load_dataset("path/to/this/folder", split="train")  # a row a token
documents = load_dataset("path/to/this/folder", "documents", split="train")  # with the texts
```

| column | in | meaning |
|---|---|---|
| doc_id | both | document of the corpus |
| token_index | tokens | place of the token in its document, from 0 |
| byte_start, byte_end | both | half-open span in the UTF-8 bytes of the text; spans tile it |
| weight | both | salience; a list with one entry a token in `documents` |
| spread | documents | standard deviation of each weight over draws of training runs, where known |
| source, text | documents | where the document comes from, and its text |

The fit these weights are of:

```json
{fit}
```
"""


@dataclass(frozen=True, slots=True)
class TableFile:
    """A table to write: CSV where its name ends so, else Parquet.

    safe: text that a spreadsheet would run as a formula gets an apostrophe in CSV.
    """

    path: Path
    safe: bool = False


def export_losses(database: Path, corpus: str, names: Sequence[str], out: Path) -> str:
    """Write stored losses of these models as a loss pack; by default of all with losses.

    The database is open while a model is read, not while it is written.
    """
    with store.connect(database, read_only=True) as db:
        sha256 = store.corpus_sha256(db, corpus)
        have = store.coverage(db, corpus)
        wanted = list(dict.fromkeys(names)) or list(have)
        missing = [name for name in wanted if name not in have]
        if missing or not wanted:
            raise InputError(f"no losses of {', '.join(missing) or 'any model'} on {corpus}")
        manifests = store.manifests(db, corpus)
    known_manifests = {name: made for name in wanted if (made := manifests.get(name))}
    rows = (_losses_of(database, corpus, name, have[name]) for name in sorted(wanted))
    n_rows = loss_packs.write_parts(out, rows, sha256, known_manifests)
    return f"{out}: {len(wanted)} models, {n_rows} rows"


def _losses_of(database: Path, corpus: str, model: str, n_rows: int) -> pa.Table:
    """Return the losses of a model; refuse another number of rows than there was."""
    with store.connect(database, read_only=True) as db:
        table = store.loss_rows(db, corpus, [model])
    if len(table) != n_rows:
        raise InputError(f"the losses of {model} changed while they were read; repeat the export")
    return table


def export_items(database: Path, out: Path) -> str:
    """Write all item results as an `items.parquet` that can be imported again.

    Raises:
        InputError: there are none.
    """
    with store.connect(database, read_only=True) as db:
        if not store.has_item_results(db):
            raise InputError("there are no item results; `csvcore import items FILE` brings some")
        n_rows = item_results.write(out, store.item_results(db))
    return f"{out}: {n_rows} item results"


def export_tables(database: Path, out: Path, form: Format = "csv", safe: bool = False) -> str:
    """Write every table of the database but losses, weights and item results into a folder.

    One file each.

    Args:
        database: the results database.
        out: a folder; files of the same names in it are replaced.
        form: csv or parquet; lists become JSON in CSV.
        safe: see `TableFile`; such files are for people, and cannot all be imported again.

    Raises:
        InputError: out is a file.
    """
    with store.connect(database, read_only=True) as db:
        names = [name for name in store.tables(db) if name not in APART]
        tables = {name: store.table(db, name) for name in names}
    with atomic.folder(out) as building:
        for name, table in tables.items():
            file = building / f"{name}.{form}"
            _fill(name, table, file, safe)
    return f"{out}: {', '.join(tables)} as {form}"


def _flat(name: str, table: pa.Table) -> pa.Table:
    """Return the table with lists and records as JSON text."""
    for at, field in enumerate(table.schema):
        if not pa.types.is_nested(field.type):
            continue
        cells = table[field.name].to_pylist()
        if name in SEPARATED_BY_SPACES:
            texts = [None if cell is None else " ".join(map(str, cell)) for cell in cells]
        else:
            texts = [None if cell is None else json.dumps(cell) for cell in cells]
        table = table.set_column(at, field.name, pa.array(texts, pa.string()))
    return table


def export_weights(database: Path, fit: str, out: Path, safe: bool = False) -> str:
    """Write a fit's salience, one row a token (columns of `token_weights`), as a `TableFile`."""
    with store.connect(database, read_only=True) as db:
        rows = token_weights(db, fit)
    _write(rows, TableFile(out, safe))
    return f"{out}: {len(rows)} tokens of {len(rows['doc_id'].unique())} documents"


def write_rows(rows: Sequence[Mapping[str, Any]], out: TableFile) -> None:
    """Write records as a table; lists are JSON in CSV."""
    _write(pa.Table.from_pylist(list(rows)), out)


def _write(table: pa.Table, out: TableFile) -> None:
    with atomic.file(out.path) as building:
        _fill("", table, building, out.safe, out.path.suffix)


def _fill(name: str, table: pa.Table, file: Path, safe: bool, suffix: str = "") -> None:
    """Write a table of this name into a file; suffix: that of its final name."""
    if (suffix or file.suffix) == ".csv":
        flat = _flat(name, table)
        pyarrow.csv.write_csv(_without_formulas(flat) if safe else flat, file)
    else:
        pq.write_table(table, file)


def _without_formulas(table: pa.Table) -> pa.Table:
    """Return a table with `without_formula` on all its text and column names."""
    for at, column in enumerate(table.schema):
        if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
            cells = [
                None if cell is None else without_formula(cell) for cell in table[at].to_pylist()
            ]
            table = table.set_column(at, column.name, pa.array(cells, column.type))
    return table.rename_columns([without_formula(name) for name in table.column_names])


def token_weights(db: Connection, fit: str) -> pa.Table:
    """Return a fit's salience, one row a token: doc_id, token_index, byte range, weight.

    Raises:
        InputError: there is no such fit.
    """
    table = store.weights(db, fit)
    ends = [np.asarray(cell) for cell in table["byte_end"].to_pylist()]
    return pa.table(
        {
            "doc_id": np.repeat(table["doc_id"].to_numpy(), [end.size for end in ends]),
            "token_index": np.concatenate([np.arange(end.size) for end in ends]).astype(np.int32),
            "byte_start": np.concatenate([[0, *end[:-1]] for end in ends]).astype(np.int32),
            "byte_end": np.concatenate(ends).astype(np.int32),
            "weight": table["weight"].combine_chunks().flatten(),
        }
    )


def export_weights_dataset(database: Path, fit: str, out: Path) -> str:
    """Write a fit's salience as a folder that Hugging Face's `datasets` loads.

    It has Parquet files by token and by document (with texts), and a data set card (README.md).

    Raises:
        InputError: there is no such fit, or out is a file.
    """
    with store.connect(database, read_only=True) as db:
        rows, record, table = token_weights(db, fit), store.fit(db, fit), store.weights(db, fit)
        docs = {doc.doc_id: doc for doc in store.documents(db, record.corpus)}
        sha256 = store.corpus_sha256(db, record.corpus)
    weighted = [docs[doc_id] for doc_id in table["doc_id"].to_pylist()]
    table = table.add_column(1, "source", pa.array([doc.source for doc in weighted]))
    table = table.add_column(2, "text", pa.array([doc.text for doc in weighted]))
    starts = [[0, *ends[:-1]] for ends in table["byte_end"].to_pylist()]
    table = table.add_column(3, "byte_start", pa.array(starts, table["byte_end"].type))
    summary = {"corpus_sha256": sha256} | {
        key: getattr(record, key)
        for key in ("fit", "corpus", "split", "task", "method", "alpha", "beta", "gamma", "mse")
    }
    with atomic.folder(out) as building:
        (building / "data").mkdir()
        pq.write_table(rows, building / "data" / "tokens.parquet")
        pq.write_table(table, building / "data" / "documents.parquet")
        card = _CARD.replace("{fit}", json.dumps(summary, indent=2))
        (building / "README.md").write_text(card, encoding="utf-8")
    return f"{out}: {len(rows)} tokens of {len(table)} documents"
