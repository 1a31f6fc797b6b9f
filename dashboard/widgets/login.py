"""The login page, and the user in the side bar."""

import streamlit as st

from dashboard.queries import access, roles
from dashboard.queries.database import Database
from dashboard.widgets import text


def gate() -> None:
    """Draw the login page instead of any other, unless the user may see the results."""
    if roles.role() is not None:
        return
    st.header("CSV Lab")
    if not st.user.get("is_logged_in"):
        st.button("Log in", on_click=st.login, type="primary", icon=":material/login:",
                  help="Opens the login page of your organisation.")  # fmt: skip
    else:
        user = roles.who()
        known = f"{text.plain(user)} is" if user else "This account has no verified address and is"
        st.warning(
            f"{known} not among those who may come in. Ask whoever runs this dashboard, or log in "
            "with another account.",
            icon=":material/block:",
        )
        _log_out()
    st.stop()


def show(db: Database) -> None:
    """Draw the user with a button to log out, and why nothing can be changed, in the side bar."""
    with st.sidebar:
        if roles.needs_login():
            st.text(f"{roles.who()}, {roles.role()}")
            _log_out()
        if reason := access.why_not(db):
            st.caption(f":material/lock: {text.plain(reason)}")


def _log_out() -> None:
    st.button("Log out", on_click=st.logout, icon=":material/logout:", type="tertiary",
              help="Ends this session on this browser.")  # fmt: skip
