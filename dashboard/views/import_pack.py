"""Import of a loss pack: preview, checks and the button that queues it."""

import hashlib
from pathlib import PurePath

import streamlit as st

from csvcore.formats import atomic
from csvcore.jobs import queue
from csvcore.jobs.specs import ImportJob
from dashboard.queries import database
from dashboard.queries.database import Database
from dashboard.queries.loss_packs import examine
from dashboard.widgets import figure, state, text

SHOWN = 5  # reasons that are written out


def submit(db: Database, corpus: str, name: str, content: bytes) -> int:
    """Queue the import of a pack; its bytes wait beside the database for the worker."""
    folder = db.path.with_name(f"{db.path.name}.uploads")
    folder.mkdir(exist_ok=True)
    file = folder / f"{hashlib.sha256(content).hexdigest()[:16]}.parquet"
    with atomic.file(file) as building:
        building.write_bytes(content)
    return queue.submit_spec(db.path, ImportJob(corpus, PurePath(name).name, str(file)))


def show(db: Database, corpus: str) -> None:
    """Draw the uploader, a preview of the pack, and the button that imports it."""
    n_queued = state.N_QUEUED_PACKS.get(0)
    upload = st.file_uploader(
        "Loss pack",
        type="parquet",
        key=f"pack-{n_queued}",  # a new one once a pack is queued, which is empty
        help="Adds the losses of a Parquet file from csvcore collect --out or csvcore export "
        "losses; for larger files: "
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
        help="Adds the import to the queue; it stores all of the pack or nothing, and "
        "stored losses must be the same.",
    )


def _take(db: Database, corpus: str, name: str, content: bytes) -> None:
    submit(db, corpus, name, content)
    state.N_QUEUED_PACKS.set(state.N_QUEUED_PACKS.get(0) + 1)
