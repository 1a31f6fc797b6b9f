"""A loss pack dropped on a page: what is in it, what it would add, and its import by the worker."""

import hashlib
from pathlib import PurePath

import streamlit as st

from csvcore.formats import atomic
from csvcore.jobs import queue
from csvcore.jobs.specs import ImportJob
from dashboard.queries import database
from dashboard.queries.database import Database
from dashboard.queries.loss_packs import examine
from dashboard.widgets import figure, text

SHOWN = 5  # reasons that are written out
TAKEN = "packs_taken"  # how many packs were queued, in the session's state


def submit(db: Database, corpus: str, name: str, content: bytes) -> int:
    """Queue the import of a pack; its bytes wait beside the database for the worker."""
    folder = db.path.with_name(f"{db.path.name}.uploads")
    folder.mkdir(exist_ok=True)
    file = folder / f"{hashlib.sha256(content).hexdigest()[:16]}.parquet"
    with atomic.file(file) as building:
        building.write_bytes(content)
    return queue.submit_spec(db.path, ImportJob(corpus, PurePath(name).name, str(file)))


def view(db: Database, corpus: str) -> None:
    """The place to drop a pack, what it would add, and the button that imports it."""
    taken = st.session_state.setdefault(TAKEN, 0)
    upload = st.file_uploader(
        "Loss pack",
        type="parquet",
        key=f"pack-{taken}",  # another once a pack is queued: the place is empty again
        help="One Parquet file from csvcore collect --out or csvcore export losses. Larger files: "
        f"{database.command(db, 'import losses FILE')}.",
    )
    if upload is None:
        return
    content = upload.getvalue()
    found = examine(db, corpus, upload.name, content)
    by = "by its hash" if found.has_manifest else "chosen in the side bar, the pack has no manifest"
    st.caption(
        f"{text.plain(upload.name)} scores corpus {text.plain(found.corpus)} ({by}): "
        f"{len(found.models)} models, {int(found.models['new'].sum()):,} documents' losses are new."
    )
    figure.table(
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
        help="All of it or nothing; what is stored already has to be the same. The worker does it, "
        "and the queue says when.",
    )


def _take(db: Database, corpus: str, name: str, content: bytes) -> None:
    submit(db, corpus, name, content)
    st.session_state[TAKEN] += 1
