"""Downloads of the Salience page: coloured text as HTML, tokens with values as a table."""

import io
import json
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from csvcore.figures.tokens import page
from csvcore.formats.csv_tables import without_formula
from dashboard.queries.fit_tokens import FitTokens
from dashboard.views.salience.colouring import Coloured


def html(texts: FitTokens, docs: Sequence[int], coloured: Coloured) -> str:
    """Return these documents as one HTML page that loads nothing from the network."""
    parts = []
    for i in docs:
        span = slice(int(texts.first_cell[i]), int(texts.first_cell[i + 1]))
        hatched = None if coloured.hatched is None else coloured.hatched[span]
        text = texts.cells.text[span]
        parts.append((texts.docs[i].doc_id, text, coloured.cells[span], hatched))
    note = f"hatched: {coloured.note}" if coloured.note else ""
    return page(parts, coloured.scale, note)


def table(texts: FitTokens, docs: Sequence[int], coloured: Coloured) -> pa.Table:
    """Return a table with a row per token of these documents.

    Columns: doc_id, token_index, byte_start, byte_end, text, weight, spread (null where the fit has
    none), value, and value_of: name and unit of the value.
    """
    text = texts.token_text()
    spans = [(int(texts.first_token[i]), int(texts.first_token[i + 1])) for i in docs]
    rows = np.concatenate([np.arange(start, end) for start, end in spans])
    sizes = [end - start for start, end in spans]
    spread = None if texts.spread is None else texts.spread[rows]
    value_of = f"{coloured.scale.name}, {coloured.scale.unit}"
    return pa.table(
        {
            "doc_id": np.repeat([texts.docs[i].doc_id for i in docs], sizes),
            "token_index": np.concatenate([np.arange(size, dtype=np.int32) for size in sizes]),
            "byte_start": np.concatenate([texts.edges[i][:-1] for i in docs]).astype(np.int32),
            "byte_end": np.concatenate([texts.edges[i][1:] for i in docs]).astype(np.int32),
            "text": pa.array([text[row] for row in rows.tolist()], pa.string()),
            "weight": texts.weight[rows],
            "spread": pa.nulls(rows.size, pa.float64()) if spread is None else spread,
            "value": coloured.tokens[rows],
            "value_of": pa.array([value_of] * rows.size, pa.string()),
        }
    )


def csv(tokens: pa.Table) -> bytes:
    """Return the table as CSV; token texts are JSON strings, safe from spreadsheet formulas."""
    names = [without_formula(name) for name in _list(tokens, "doc_id")]
    texts = [json.dumps(text, ensure_ascii=False) for text in _list(tokens, "text")]
    tokens = tokens.set_column(0, "doc_id", pa.array(names, pa.string()))
    tokens = tokens.set_column(4, "text", pa.array(texts, pa.string()))
    out = io.BytesIO()
    pa.csv.write_csv(tokens, out)
    return out.getvalue()


def parquet(tokens: pa.Table) -> bytes:
    """Return the table as Parquet."""
    out = io.BytesIO()
    pa.parquet.write_table(tokens, out)
    return out.getvalue()


def _list(tokens: pa.Table, column: str) -> list[str]:
    values: list[str] = tokens[column].to_pylist()
    return values
