"""Loss packs dropped on a page: their content, and what their import would add."""

from dataclasses import dataclass
from pathlib import PurePath

import pandas as pd
import streamlit as st

from csvcore import store
from csvcore.formats import loss_packs
from csvcore.formats.manifest import Manifest
from csvcore.formats.parquet import UPLOAD
from dashboard.queries.database import Database, command


@dataclass(frozen=True, slots=True)
class Incoming:
    """The additions that a pack would make to the database.

    models: a row a model, columns model, family, new (documents it would add), stored (documents
    with losses already), of (documents of the corpus), dtype, prefix, weights, engine.
    why_not: what the import would be refused for, a sentence each; empty if nothing.
    """

    corpus: str
    has_manifest: bool
    models: pd.DataFrame
    why_not: list[str]


@st.cache_data(max_entries=4, show_spinner="Reading the pack")
def examine(db: Database, corpus: str, name: str, content: bytes) -> Incoming:
    """Return what a pack, given as the bytes of its file, would add to the database.

    A pack without a manifest counts as of the given corpus.

    Raises:
        InputError, OffsetsError: the pack is too large for a page, cannot be read, or was made on
            texts that are not stored.
    """
    name = PurePath(name).name
    pack = loss_packs.decode(name, content, UPLOAD)
    with store.connect(db.path, read_only=True) as con:
        chosen = corpus if pack.manifest is None else None
        home = store.corpus_of_pack(con, name, pack, chosen)
        made = store.manifests(con, home.name)
        names = list(dict.fromkeys(pack.table["model"].to_pylist()))
        stored = store.covered_documents(con, home.name, names)
        families = {card.model: card.family for card in store.models(con)}
    brought = pack.models
    keys = zip(pack.table["model"].to_pylist(), pack.table["doc_id"].to_pylist(), strict=True)
    coming = set(keys)
    rows, why_not = [], []
    for model in names:
        how, known = brought.get(model, Manifest()), made.get(model)
        rows.append(
            {
                "model": model,
                "family": families.get(model, ""),
                "new": sum(key[0] == model for key in coming - stored),
                "stored": sum(key[0] == model for key in stored),
                "of": len(home.docs),
                "dtype": how.dtype or "",
                "prefix": how.prefix_token or "",
                "weights": how.short_weights,
                "engine": how.engine or "",
            }
        )
        if model not in families:
            why_not.append(
                f"{model} has no card: {command(db, 'import models FILE')}, a CSV of "
                "model,family, comes first."
            )
        elif known and model in brought and brought[model].weights_sha256 != known.weights_sha256:
            why_not.append(f"Losses of other weights are stored as {model}.")
    if not coming - stored:
        why_not.append("All of these losses are stored already.")
    return Incoming(home.name, pack.manifest is not None, pd.DataFrame(rows), why_not)
