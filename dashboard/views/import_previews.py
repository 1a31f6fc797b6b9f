"""Files that were looked at: what their import changes, with the buttons that do it or not."""

from collections.abc import Collection

import streamlit as st

from csvcore.jobs.uploads import SHOWN, Preview
from dashboard.queries import changes, edits
from dashboard.queries.database import Database
from dashboard.views.import_form import CONTENTS
from dashboard.widgets import boundary, figure, text


def show(db: Database, hidden: Collection[str]) -> None:
    """Draw every file that waits, with all that its import changes.

    hidden: test models whose accuracies are not shown.
    """
    for preview in changes.previews(db):
        with st.container(border=True):
            _one(db, preview, hidden)


def _one(db: Database, preview: Preview, hidden: Collection[str]) -> None:
    kind = CONTENTS[preview.job.content].label if preview.job.content in CONTENTS else "File"
    st.markdown(f"**{text.plain(preview.job.name)}** ({kind.lower()})")
    st.caption(
        f"{text.plain(preview.message)}. Changes: "
        f"{text.plain(changes.in_words(preview.counts, preview.n_unchanged))}."
    )
    if preview.rows:
        figure.show_table(
            changes.changes_table(preview.rows, hidden), key=f"changes-{preview.folder.name}"
        )
    n_rows = sum(number for _, _, number in preview.counts)
    if n_rows > SHOWN:
        st.caption(f"The first {SHOWN} of {n_rows:,} changes.")
    with st.container(horizontal=True):
        st.button(
            "Import",
            key=f"import-{preview.folder.name}",
            type="primary",
            icon=":material/download:",
            disabled=not preview.rows,
            on_click=_confirm,
            args=(db, preview),
            help="Adds the import to the queue; it makes these changes or, if the database "
            "changes before, none.",
        )
        st.button(
            "Discard",
            key=f"discard-{preview.folder.name}",
            icon=":material/delete:",
            on_click=_discard,
            args=(db, preview),
            help="Deletes the kept file; nothing is imported.",
        )


@boundary.shown()
def _confirm(db: Database, preview: Preview) -> None:
    edits.confirm(db, preview)


@boundary.shown()
def _discard(db: Database, preview: Preview) -> None:
    edits.discard(db, preview)
