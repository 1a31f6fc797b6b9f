"""Who may see and who may change: read-only databases, login, and the two roles.

Login is Streamlit's own, by OpenID Connect. Section `[access]` of the same secrets.toml lists who
may come in; a user in no list may not.
"""

import os
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import streamlit as st

from csvcore import store
from csvcore.errors import InputError
from csvcore.formats import rights
from dashboard.queries.database import Database

LOGIN_VARIABLE = "CSVCORE_LOGIN"  # login is required, whatever secrets.toml says
Role = Literal["viewer", "editor"]


def needs_login() -> bool:
    """Return whether users log in: it was asked for at the start, or is configured."""
    return bool(os.environ.get(LOGIN_VARIABLE)) or "auth" in _secrets()


def who() -> str | None:
    """Return the address of the user, in lower case; None if nobody is logged in.

    An address that the provider calls unverified is nobody's.
    """
    if not needs_login() or not st.user.is_logged_in or st.user.get("email_verified") is False:
        return None
    email = st.user.get("email")
    return email.strip().lower() if isinstance(email, str) and "@" in email else None


def role() -> Role | None:
    """Return the user's role; None of somebody who may not see anything."""
    if not needs_login():
        return "editor"
    user = who()
    return role_of(user, _secrets().get("access", {})) if user else None


def role_of(user: str, access: Mapping[str, Any]) -> Role | None:
    """Return the role of an address by the lists `editors` and `viewers`.

    An entry is an address, or `@example.org` for all of a domain.
    """
    local, _, domain = user.rpartition("@")
    if not local:
        return None
    names = {user, f"@{domain}"}
    roles: Sequence[tuple[Role, str]] = (("editor", "editors"), ("viewer", "viewers"))
    for found, key in roles:
        if any(str(entry).strip().lower() in names for entry in access.get(key, ())):
            return found
    return None


def why_not(db: Database) -> str | None:
    """Return why the user may change nothing, as a sentence; None if the user may."""
    if rights.only_reads():
        return "The dashboard was started with --read-only."
    if not store.writable(db.path):
        return "The database is read-only."
    if role() != "editor":
        return "Viewers start no jobs and change nothing."
    return None


def locked(db: Database) -> bool:
    """Return whether the user may change nothing."""
    return why_not(db) is not None


def editor(db: Database) -> str | None:
    """Return the user who is about to change something, None where nobody logs in.

    Raises:
        InputError: the user may change nothing.
    """
    if (reason := why_not(db)) is not None:
        raise InputError(f"nothing was changed: {reason} Ask an editor.")
    return who()


def _secrets() -> Mapping[str, Any]:
    return st.secrets if st.secrets.load_if_toml_exists() else {}
