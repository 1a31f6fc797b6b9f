"""Who logs in, and as what: the addresses and the two roles.

Login is Streamlit's own, by OpenID Connect. Section `[access]` of the same secrets.toml lists who
may come in; a user in no list may not. The server imports this before any page: no caches here.
"""

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import streamlit as st
from streamlit.web.server.starlette.starlette_server_config import USER_COOKIE_NAME
from streamlit.web.server.starlette.starlette_websocket import _get_signed_cookie_with_chunks

LOGIN_VARIABLE = "CSVCORE_LOGIN"  # login is required, whatever secrets.toml says
Role = Literal["viewer", "editor"]


def needs_login() -> bool:
    """Return whether users log in: it was asked for at the start, or is configured.

    Once needed it stays so, or a file damaged by an edit would let everybody in.
    """
    if not os.environ.get(LOGIN_VARIABLE) and "auth" in _secrets():
        os.environ[LOGIN_VARIABLE] = "1"
    return bool(os.environ.get(LOGIN_VARIABLE))


def who() -> str | None:
    """Return the address of the user, as `address_of`; None if nobody is logged in."""
    if not needs_login() or not st.user.get("is_logged_in"):
        return None
    return address_of(st.user.to_dict(), _access())


def role() -> Role | None:
    """Return the user's role; None of somebody who may not see anything."""
    if not needs_login():
        return "editor"
    user = who()
    return role_of(user, _access()) if user else None


def role_by_cookie(cookies: Mapping[str, str]) -> Role | None:
    """Return the role of whoever sends these cookies, for requests outside any page.

    Streamlit signs and dates the one of the login; a forged or expired one is nobody's.
    """
    if not needs_login():
        return "editor"
    signed = _get_signed_cookie_with_chunks(dict(cookies), USER_COOKIE_NAME)
    user = address_of(json.loads(signed), _access()) if signed else None
    return role_of(user, _access()) if user else None


def address_of(claims: Mapping[str, Any], access: Mapping[str, Any]) -> str | None:
    """Return the address that a provider vouches for, in lower case; None without one.

    `email_verified` has to be true. Where the provider leaves it out, `trust_provider = true` in
    `[access]` stands for it. An address that is not ASCII is nobody's: letters such as the Kelvin
    sign become another's in lower case.
    """
    verified = claims.get("email_verified", access.get("trust_provider"))
    email = claims.get("email")
    if str(verified).lower() != "true" or not isinstance(email, str) or not email.isascii():
        return None
    return email.lower() if email.isprintable() and " " not in email else None


def role_of(user: str, access: Mapping[str, Any]) -> Role | None:
    """Return the role of an address by the lists `editors` and `viewers`.

    An entry is an address, or `@example.org` for all of a domain.
    """
    local, _, domain = user.rpartition("@")
    if not local or "@" in local:
        return None
    names = {user, f"@{domain}"}
    roles: Sequence[tuple[Role, str]] = (("editor", "editors"), ("viewer", "viewers"))
    for found, key in roles:
        if any(str(entry).strip().lower() in names for entry in access.get(key, ())):
            return found
    return None


def _access() -> Mapping[str, Any]:
    listed = _secrets().get("access")
    return listed if isinstance(listed, Mapping) else {}


def _secrets() -> Mapping[str, Any]:
    return st.secrets if st.secrets.load_if_toml_exists() else {}
