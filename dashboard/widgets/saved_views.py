"""The saved views in the side bar: open one, save the present one, remove one."""

from collections.abc import Mapping
from html import escape
from urllib.parse import urlencode

import streamlit as st

from dashboard.queries import access, database, edits, saved_views
from dashboard.queries.database import Database
from dashboard.widgets import boundary, state, text


def show(choices: Mapping[str, str], page: str) -> None:
    """Draw the saved views; who may change nothing can open them.

    Args:
        choices: of the side bar, that a link names even at their defaults.
        page: address of the page shown, empty for the Overview.
    """
    db = database.database()
    links, locked = saved_views.links(db), access.locked(db)
    if locked and not links:
        return
    with st.sidebar.expander("Saved views"):
        for name, link in links.items():
            left, right = st.columns([3, 2], vertical_alignment="center")
            left.html(f'<a href="{escape(link)}">{escape(name)}</a>')
            right.button(
                "Remove", key=f"remove-view-{name}", type="tertiary", disabled=locked,
                on_click=_remove, args=(db, name),
                help="Removes the saved view; what it shows stays.",
            )  # fmt: skip
        st.text_input(
            "Name of this view", key=state.VIEW_NAME.name, max_chars=text.LONGEST_NAME,
            disabled=locked, help="Names the page with all its choices, as they are now.",
        )  # fmt: skip
        st.button(
            "Save view", icon=":material/bookmark_add:", disabled=locked, on_click=_save,
            args=(db, dict(choices), page), help="Keeps the view in the database, for everybody.",
        )  # fmt: skip


@boundary.shown()
def _save(db: Database, choices: dict[str, str], page: str) -> None:
    """Store the view with the parameters that the address has now."""
    given = {key: st.query_params.get_all(key) for key in st.query_params}
    query = urlencode({key: [value] for key, value in choices.items()} | given, doseq=True)
    edits.save_view(db, state.VIEW_NAME.get("").strip(), page, query)
    state.VIEW_NAME.set("")


@boundary.shown()
def _remove(db: Database, name: str) -> None:
    edits.remove_view(db, name)
