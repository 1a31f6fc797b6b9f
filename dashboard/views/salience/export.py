"""The Salience page as files: coloured text as HTML, tokens with their values as a table."""

import io
import json
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from csvcore.figures import tokens as highlights
from csvcore.formats.csv_tables import without_formula
from dashboard.queries.fit_tokens import Texts
from dashboard.views.salience.colouring import Coloured


def html(own: Texts, docs: Sequence[int], coloured: Coloured) -> str:
    """These documents as one page that asks the network nothing."""
    parts = []
    for i in docs:
        span = slice(int(own.first_cell[i]), int(own.first_cell[i + 1]))
        hatched = None if coloured.hatched is None else coloured.hatched[span]
        text = own.cells.text[span]
        parts.append((own.docs[i].doc_id, text, coloured.cells[span], hatched))
    note = f"hatched: {coloured.note}" if coloured.note else ""
    return highlights.page(parts, coloured.scale, note)


def table(own: Texts, docs: Sequence[int], coloured: Coloured) -> pa.Table:
    """One row a token of these documents.

    Columns: doc_id, token_index, byte_start, byte_end, text, weight, spread (null where the fit has
    none), value, and value_of: what the value is, with its unit.
    """
    text = own.token_text()
    spans = [(int(own.first_token[i]), int(own.first_token[i + 1])) for i in docs]
    rows = np.concatenate([np.arange(start, end) for start, end in spans])
    sizes = [end - start for start, end in spans]
    spread = None if own.spread is None else own.spread[rows]
    is_what = f"{coloured.scale.name}, {coloured.scale.unit}"
    return pa.table(
        {
            "doc_id": np.repeat([own.docs[i].doc_id for i in docs], sizes),
            "token_index": np.concatenate([np.arange(size, dtype=np.int32) for size in sizes]),
            "byte_start": np.concatenate([own.edges[i][:-1] for i in docs]).astype(np.int32),
            "byte_end": np.concatenate([own.edges[i][1:] for i in docs]).astype(np.int32),
            "text": pa.array([text[row] for row in rows.tolist()], pa.string()),
            "weight": own.weight[rows],
            "spread": pa.nulls(rows.size, pa.float64()) if spread is None else spread,
            "value": coloured.tokens[rows],
            "value_of": pa.array([is_what] * rows.size, pa.string()),
        }
    )


def csv(tokens: pa.Table) -> bytes:
    """The table as CSV. Texts are JSON strings: one line each, and no spreadsheet runs them."""
    names = [without_formula(name) for name in _list(tokens, "doc_id")]
    texts = [json.dumps(text, ensure_ascii=False) for text in _list(tokens, "text")]
    tokens = tokens.set_column(0, "doc_id", pa.array(names, pa.string()))
    tokens = tokens.set_column(4, "text", pa.array(texts, pa.string()))
    out = io.BytesIO()
    pa.csv.write_csv(tokens, out)
    return out.getvalue()


def parquet(tokens: pa.Table) -> bytes:
    """The table as Parquet."""
    out = io.BytesIO()
    pa.parquet.write_table(tokens, out)
    return out.getvalue()


def _list(tokens: pa.Table, column: str) -> list[str]:
    values: list[str] = tokens[column].to_pylist()
    return values
