"""The saved views, as links."""

from urllib.parse import parse_qsl, quote, urlencode

import streamlit as st

from csvcore import store
from csvcore.store import SavedView
from dashboard.queries.database import Database


@st.cache_data(max_entries=4, show_spinner=False)
def links(db: Database) -> dict[str, str]:
    """Return the address of every saved view, by its name."""
    with store.connect(db.path, read_only=True) as con:
        return {view.name: link(view) for view in store.saved_views(con)}


def link(view: SavedView) -> str:
    """Return the address of a view, relative to any page; it leads to no other server."""
    query = urlencode(parse_qsl(view.query, keep_blank_values=True))
    return f"./{quote(view.page, safe='')}?{query}"
