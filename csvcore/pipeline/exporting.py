"""What the database holds as files for others: loss packs and token weights."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from csvcore import packs, store
from csvcore.errors import InputError


def export_losses(database: Path, corpus: str, names: Sequence[str], out: Path) -> str:
    """Write stored losses of these models, all that have any if none is named, as a loss pack."""
    with store.connect(database, read_only=True) as db:
        sha256 = store.corpus_sha256(db, corpus)
        have = store.coverage(db, corpus)
        wanted = list(names) or list(have)
        missing = [name for name in wanted if name not in have]
        if missing or not wanted:
            raise InputError(f"no losses of {', '.join(missing) or 'any model'} on {corpus}")
        table = store.loss_rows(db, corpus, wanted)
        known = store.manifests(db, corpus)
    manifests = {name: known[name] for name in wanted if known.get(name)}
    packs.write(out, table, sha256, manifests)
    return f"{out}: {len(wanted)} models, {len(table)} rows"


def export_weights(database: Path, fit: str, out: Path) -> str:
    """Write a fit's salience, one row a token (contracts: Weights)."""
    with store.connect(database, read_only=True) as db:
        table = store.weights(db, fit)
    ends = [np.asarray(cell) for cell in table["byte_end"].to_pylist()]
    rows = pa.table(
        {
            "doc_id": np.repeat(table["doc_id"].to_numpy(), [end.size for end in ends]),
            "token_index": np.concatenate([np.arange(end.size) for end in ends]).astype(np.int32),
            "byte_start": np.concatenate([[0, *end[:-1]] for end in ends]).astype(np.int32),
            "byte_end": np.concatenate(ends).astype(np.int32),
            "weight": table["weight"].combine_chunks().flatten(),
        }
    )
    building = out.with_name(f".{out.name}.part")
    pq.write_table(rows, building)
    building.replace(out)
    return f"{out}: {len(rows)} tokens of {len(table)} documents"
