"""Storage of token losses; what is large is stored and read part by part."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from csvcore.errors import InputError, StoreError
from csvcore.formats.manifest import Manifest
from csvcore.records import ModelLosses
from csvcore.store.measurements import manifests
from csvcore.store.rows import Connection, Rows, first, flat

KEY = "corpus, model, doc_id"
INSERT = "INSERT INTO losses BY NAME SELECT * FROM incoming"
MOST_RUNS = 1000  # of rows in order that are moved as a whole
HASH = "bit_xor(hash(doc_id, byte_start, byte_end, nll))"


def add_losses(
    db: Connection, corpus: str, table: pa.Table, made_how: Mapping[str, Manifest] | None = None
) -> int:
    """Store checked rows of a loss pack and return how many were new.

    Raises:
        InputError: a model has no card; different losses of it on a document are stored; or
            losses of other weights are stored under its name.
    """
    names = sorted(set(table["model"].to_pylist()))
    return add_loss_parts(db, corpus, names, [table], made_how or {})


def add_loss_parts(
    db: Connection,
    corpus: str,
    names: Sequence[str],
    parts: Iterable[pa.Table],
    made_how: Mapping[str, Manifest],
) -> int:
    """Store checked rows of a loss pack, part by part, and return how many were new.

    Args:
        db: the results database.
        corpus: name of a stored corpus.
        names: all models of the rows.
        parts: tables of `loss_packs.SCHEMA` with each model and document once.
        made_how: the manifests that the pack has.

    Raises:
        InputError: see `add_losses`.
    """
    _refuse_unknown(db, names)
    _refuse_other_weights(db, corpus, names, made_how)
    had = set(
        db.execute("SELECT DISTINCT model FROM losses WHERE corpus = ?", [corpus]).df()["model"]
    )
    n_new = 0
    with Rows(db, "incoming") as rows:
        for part in parts:
            rows.table = part.append_column("corpus", pa.array([corpus] * len(part), pa.string()))
            stored = sorted(had & set(part["model"].to_pylist()))
            if stored:
                _refuse_other_losses(db, corpus, stored)
                query = (
                    f"{INSERT} ANTI JOIN (SELECT * FROM losses WHERE model IN $names) USING ({KEY})"
                )
                found = db.execute(query, {"names": stored})
            else:
                found = db.execute(INSERT)
            n_new += int(found.fetchall()[0][0])
    db.executemany(
        "INSERT OR IGNORE INTO manifests VALUES (?, ?, ?)",
        [
            [corpus, name, json.dumps(made_how[name].to_json()) if name in made_how else None]
            for name in names
        ],
    )
    return n_new


def _refuse_unknown(db: Connection, names: Sequence[str]) -> None:
    known = {row[0] for row in db.execute("SELECT model FROM models").fetchall()}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise InputError(
            f"losses name the model {unknown[0]!r}, which is not stored; "
            "`csvcore import models` first"
        )


def _refuse_other_weights(
    db: Connection, corpus: str, names: Sequence[str], made_how: Mapping[str, Manifest]
) -> None:
    stored = manifests(db, corpus)
    for name in names:
        manifest = stored.get(name)
        if manifest and made_how.get(name, manifest).weights_sha256 != manifest.weights_sha256:
            raise InputError(f"losses of other weights are stored as {name} on {corpus}")


def _refuse_other_losses(db: Connection, corpus: str, names: Sequence[str]) -> None:
    """Raise InputError if rows of `incoming` differ from stored losses of these models."""
    other = first(
        db,
        f"""
        SELECT model, doc_id FROM (SELECT * FROM losses WHERE model IN $names) l
        JOIN incoming i USING ({KEY})
        WHERE l.byte_start != i.byte_start OR l.byte_end != i.byte_end OR l.nll != i.nll
        LIMIT 1
        """,
        {"names": list(names)},
    )
    if other:
        raise InputError(
            f"other losses of {other[0]} on {other[1]} of {corpus} are stored already; bring "
            "these under another model name, or into another database"
        )


def hashes_of_parts(db: Connection, parts: Iterable[pa.Table]) -> dict[str, tuple[int, int]]:
    """Return the number of rows of each model and a hash of them, as `stored_hashes`."""
    found: dict[str, tuple[int, int]] = {}
    with Rows(db, "incoming") as rows:
        for part in parts:
            rows.table = part
            query = f"SELECT model, count(*), {HASH} FROM incoming GROUP BY model"
            for model, number, hashed in db.execute(query).fetchall():
                before = found.get(model, (0, 0))
                found[model] = before[0] + number, before[1] ^ hashed
    return found


def stored_hashes(db: Connection, corpus: str) -> dict[str, tuple[int, int]]:
    """Return the number of stored losses of each model on a corpus, and a hash of them."""
    rows = db.execute(
        f"SELECT model, count(*), {HASH} FROM losses WHERE corpus = ? GROUP BY model", [corpus]
    ).fetchall()
    return {model: (number, hashed) for model, number, hashed in rows}


def coverage(db: Connection, corpus: str) -> dict[str, int]:
    """Return the number of documents with losses per model, models without any left out."""
    return dict(
        db.execute(
            "SELECT model, count(*) FROM losses WHERE corpus = ? GROUP BY model ORDER BY model",
            [corpus],
        ).fetchall()
    )


def complete_models(db: Connection, corpus: str) -> list[str]:
    """Return the models with losses on every document of a corpus, by name."""
    rows = db.execute(
        """
        SELECT model FROM losses WHERE corpus = $corpus GROUP BY model
        HAVING count(*) = (SELECT count(*) FROM documents WHERE corpus = $corpus)
        ORDER BY model
        """,
        {"corpus": corpus},
    ).fetchall()
    return [row[0] for row in rows]


def loss_rows(db: Connection, corpus: str, names: Sequence[str]) -> pa.Table:
    """Return stored losses as rows of a loss pack, by model and document."""
    table = db.sql(
        """
        SELECT model, doc_id, byte_start, byte_end, nll, token_id FROM losses
        WHERE corpus = $corpus AND model IN $names
        """,
        params={"corpus": corpus, "names": list(names)},
    ).to_arrow_table()
    return _in_order(db, corpus, table)


def _in_order(db: Connection, corpus: str, table: pa.Table) -> pa.Table:
    """Return the rows on documents of the corpus, by model and document.

    By DuckDB a join or a sort would copy all lists, several times as slow as reading them. Rows
    come in order but for some models, whose rows are moved as a whole.
    """
    documents = db.sql(
        "SELECT doc_id FROM documents WHERE corpus = $corpus ORDER BY doc_index",
        params={"corpus": corpus},
    ).to_arrow_table()["doc_id"]
    place = pc.index_in(table["doc_id"], value_set=documents.combine_chunks())
    keys = pa.table({"model": table["model"], "place": place})
    if place.null_count:
        known = place.is_valid()
        table, keys = table.filter(known), keys.filter(known)
    order = pc.sort_indices(keys, [("model", "ascending"), ("place", "ascending")]).to_numpy()
    starts = np.flatnonzero(np.diff(order.astype(np.int64), prepend=-2) != 1)
    if len(starts) > MOST_RUNS:
        return table.take(order)
    ends = np.append(starts, order.size)[1:]
    runs = [table.slice(order[at], end - at) for at, end in zip(starts, ends, strict=True)]
    return pa.concat_tables(runs) if runs else table


def losses(
    db: Connection, corpus: str, names: Sequence[str], doc_id: str | None = None
) -> list[ModelLosses]:
    """Return losses of models on all documents of a corpus in its order, or on one document.

    Models without losses are missing from the result.

    Raises:
        StoreError: a model has two rows on a document, which no import of this program stores.
    """
    table: Any = db.sql(
        """
        SELECT model, doc_id, len(nll) AS n_tokens, byte_end, nll FROM losses
        WHERE corpus = $corpus AND model IN $names AND ($doc_id IS NULL OR doc_id = $doc_id)
        """,
        params={"corpus": corpus, "names": list(names), "doc_id": doc_id},
    ).to_arrow_table()
    table = _in_order(db, corpus, table)
    _refuse_repeated(table.select(["model", "doc_id"]), corpus)
    model_names = table["model"].to_numpy().astype(str)
    n_tokens = table["n_tokens"].to_numpy().astype(np.int64)
    byte_end, nll = flat(table, "byte_end"), flat(table, "nll")
    first = np.flatnonzero(
        np.concatenate([[True], model_names[1:] != model_names[:-1]])[: model_names.size]
    )
    edges = np.concatenate([[0], np.cumsum(n_tokens)])
    return [
        ModelLosses(
            model=str(model_names[start]),
            n_tokens=n_tokens[start:stop],
            byte_end=byte_end[edges[start] : edges[stop]].astype(np.int64),
            nll=nll[edges[start] : edges[stop]].astype(np.float64),
        )
        for start, stop in pairwise([*first, model_names.size])
    ]


def _refuse_repeated(keys: pa.Table, corpus: str) -> None:
    """Refuse two rows of a model on a document; `keys` has the columns model and doc_id."""
    found = keys.group_by(["model", "doc_id"]).aggregate([([], "count_all")])
    if len(found) != len(keys):
        twice = found.filter(pc.greater(found["count_all"], 1)).to_pylist()[0]
        raise StoreError(
            f"losses of {twice['model']} on {twice['doc_id']} of {corpus} are stored twice; "
            "`csvcore doctor` lists more, import the losses into a new database"
        )


def each_models_losses(db: Connection, corpus: str, names: Sequence[str]) -> Iterator[ModelLosses]:
    """Yield `losses` of one model after another, so that only one is in memory."""
    for name in sorted(set(names)):
        yield from losses(db, corpus, [name])
