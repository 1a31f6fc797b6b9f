"""Import of a loss pack or of item results: preview, checks and the button that queues it."""

import streamlit as st

from csvcore.formats import item_results
from dashboard.queries import access, edits
from dashboard.queries.comparisons import UPLOAD_MB
from dashboard.queries.database import Database
from dashboard.queries.item_results import examine_items
from dashboard.queries.loss_packs import examine
from dashboard.widgets import boundary, figure, state, text

SHOWN = 5  # reasons that are written out


def show(db: Database, corpus: str) -> None:
    """Draw the uploader, a preview of the file, and the button that imports it."""
    n_queued = state.N_QUEUED_PACKS.get(0)
    upload = st.file_uploader(
        "Loss pack or item results",
        type="parquet",
        key=f"pack-{n_queued}",  # a new one once a pack is queued, which is empty
        max_upload_size=UPLOAD_MB,
        help="Adds the losses of a Parquet file from csvcore collect --out or csvcore export "
        "losses, or item results (model, task, item, correct); larger files: the "
        "Import page.",
    )
    if upload is None:
        return
    content = upload.getvalue()
    if item_results.is_item_file(content):
        _show_items(db, corpus, upload.name, content)
    else:
        _show_losses(db, corpus, upload.name, content)


def _show_items(db: Database, corpus: str, name: str, content: bytes) -> None:
    """Draw what item results would add."""
    found = examine_items(db, name, content)
    n_new = int(found.models["new"].sum()) if len(found.models) else 0
    st.caption(f"{text.plain(name)} has item results, {n_new:,} of them new.")
    figure.show_table(
        found.models,
        column_config={
            "items": st.column_config.NumberColumn(help="Items of the task in the file"),
            "new": st.column_config.NumberColumn(help="Item results that are not stored"),
        },
    )
    _button(db, corpus, name, content, "items", found.why_not)


def _show_losses(db: Database, corpus: str, name: str, content: bytes) -> None:
    """Draw what a loss pack would add."""
    found = examine(db, corpus, name, content)
    by = "by its hash" if found.has_manifest else "chosen in the side bar, the pack has no manifest"
    st.caption(
        f"{text.plain(name)} scores corpus {text.plain(found.corpus)} ({by}): "
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
    _button(db, found.corpus, name, content, "losses", found.why_not)


def _button(
    db: Database, corpus: str, name: str, content: bytes, what: str, why_not: list[str]
) -> None:
    """Draw the reasons against the import, and its button, which is off if there are any."""
    for reason in why_not[:SHOWN]:
        st.warning(text.sentence(reason))
    if len(why_not) > SHOWN:
        st.caption(f"and {len(why_not) - SHOWN} more like these.")
    st.button(
        "Import",
        type="primary",
        icon=":material/download:",
        disabled=bool(why_not) or access.locked(db),
        on_click=_take,
        args=(db, corpus, name, content, what),
        help="Adds the import to the queue; it stores all of the file or nothing, and "
        "stored values must be the same.",
    )


@boundary.shown()
def _take(db: Database, corpus: str, name: str, content: bytes, what: str) -> None:
    edits.submit_import(db, corpus, name, content, what)
    state.N_QUEUED_PACKS.set(state.N_QUEUED_PACKS.get(0) + 1)
