"""Import of a loss pack: preview, checks and the button that queues it."""

import hashlib
from dataclasses import dataclass
from pathlib import PurePath

import pandas as pd
import streamlit as st

from csvcore import store
from csvcore.errors import InputError
from csvcore.formats import loss_packs
from csvcore.jobs import queue
from dashboard.queries import database
from dashboard.queries.database import Database
from dashboard.widgets import figure, state, text

SHOWN = 5  # reasons that are written out


@dataclass(frozen=True, slots=True)
class Incoming:
    """What a pack would add to the database.

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
    """What a pack, given as the bytes of its file, would add; without a manifest, to this corpus.

    Raises:
        InputError, OffsetsError: the pack cannot be read, or was made on texts that are not stored.
    """
    name = PurePath(name).name
    pack = loss_packs.decode(name, content)
    with store.connect(db.path, read_only=True) as con:
        home = _corpus(con, corpus, name, pack)
        n_bytes = {doc.doc_id: len(doc.text.encode()) for doc in store.documents(con, home)}
        made = store.manifests(con, home)
        names = list(dict.fromkeys(pack.table["model"].to_pylist()))
        stored = store.covered_documents(con, home, names)
        families = {card.model: card.family for card in store.models(con)}
    loss_packs.check_documents(name, pack.table, n_bytes)
    brought = (pack.manifest or {}).get("models", {})
    keys = zip(pack.table["model"].to_pylist(), pack.table["doc_id"].to_pylist(), strict=True)
    coming = set(keys)
    rows, why_not = [], []
    for model in names:
        how, known = brought.get(model) or {}, made.get(model) or {}
        rows.append(
            {
                "model": model,
                "family": families.get(model, ""),
                "new": sum(key[0] == model for key in coming - stored),
                "stored": sum(key[0] == model for key in stored),
                "of": len(n_bytes),
                "dtype": how.get("dtype", ""),
                "prefix": loss_packs.prefix_token(how) or "",
                "weights": str(how.get("weights_sha256") or "")[:12],
                "engine": how.get("engine", ""),
            }
        )
        if model not in families:
            why_not.append(
                f"{model} has no card: {database.command(db, 'import models FILE')}, a CSV of "
                "model,family, comes first."
            )
        elif known and how and how.get("weights_sha256") != known.get("weights_sha256"):
            why_not.append(f"Losses of other weights are stored as {model}.")
    if not coming - stored:
        why_not.append("All of these losses are stored already.")
    return Incoming(home, pack.manifest is not None, pd.DataFrame(rows), why_not)


def _corpus(db: store.Connection, chosen: str, name: str, pack: loss_packs.Pack) -> str:
    """The corpus that a pack scores: the one of its manifest's hash, else the chosen one."""
    if pack.manifest is None:
        return chosen
    sha256 = str(pack.manifest.get("corpus_sha256"))
    found = store.corpus_of_sha256(db, sha256)
    if found is None:
        raise InputError(
            f"{name} was made on a corpus with hash {sha256[:12]}, which is not stored; import the "
            "corpus it was made on first"
        )
    return found


def submit(db: Database, corpus: str, name: str, content: bytes) -> int:
    """Queue the import of a pack; its bytes wait beside the database for the worker."""
    folder = db.path.with_name(f"{db.path.name}.uploads")
    folder.mkdir(exist_ok=True)
    file = folder / f"{hashlib.sha256(content).hexdigest()[:16]}.parquet"
    building = file.with_suffix(".part")
    building.write_bytes(content)
    building.replace(file)
    params = {"corpus": corpus, "file": str(file), "name": PurePath(name).name}
    return queue.submit(db.path, "import", params)


def show(db: Database, corpus: str) -> None:
    """Draw the uploader, a preview of the pack, and the button that imports it."""
    n_queued = state.N_QUEUED_PACKS.get(0)
    upload = st.file_uploader(
        "Loss pack",
        type="parquet",
        key=f"pack-{n_queued}",  # a new one once a pack is queued, which is empty
        help="Adds the losses of a Parquet file from csvcore collect --out or csvcore export "
        "losses; for "
        "larger files: "
        f"{database.command(db, 'import losses FILE')}.",
    )
    if upload is None:
        return
    content = upload.getvalue()
    found = examine(db, corpus, upload.name, content)
    by = "by its hash" if found.has_manifest else "chosen in the side bar, the pack has no manifest"
    st.caption(
        f"{text.plain(upload.name)} scores corpus {text.plain(found.corpus)} ({by}): "
        f"{len(found.models)} models, losses of {int(found.models['new'].sum()):,} documents "
        f"are new."
    )
    figure.show_table(
        found.models,
        column_config={
            "family": st.column_config.TextColumn(help="Empty: the model has no card yet"),
            "new": st.column_config.NumberColumn(
                "new", help="Documents of the pack that are not stored"
            ),
            "stored": st.column_config.NumberColumn(help="Documents with losses already"),
            "of": st.column_config.NumberColumn("of", help="Documents of the corpus"),
        },
    )
    for reason in found.why_not[:SHOWN]:
        st.warning(text.sentence(reason))
    if len(found.why_not) > SHOWN:
        st.caption(f"and {len(found.why_not) - SHOWN} more like these.")
    st.button(
        "Import",
        type="primary",
        icon=":material/download:",
        disabled=bool(found.why_not),
        on_click=_take,
        args=(db, found.corpus, upload.name, content),
        help="Adds the import to the queue; it stores all of the pack or nothing, and stored "
        "losses must "
        "be the same.",
    )


def _take(db: Database, corpus: str, name: str, content: bytes) -> None:
    submit(db, corpus, name, content)
    state.N_QUEUED_PACKS.set(state.N_QUEUED_PACKS.get(0) + 1)
