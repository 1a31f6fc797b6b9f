"""Files that wait on the Import page, and what an import or a removal would change."""

from collections.abc import Collection
from typing import get_args

import pandas as pd
import streamlit as st

from csvcore import store
from csvcore.errors import InputError
from csvcore.formats.login_file import LOOPBACK
from csvcore.jobs import uploads
from csvcore.jobs.uploads import Preview
from csvcore.store import Changes, Target
from csvcore.store.changes import counted
from csvcore.store.removal import Kind
from dashboard.queries import roles
from dashboard.queries.database import Database

HIDDEN = "hidden (test model)"
COLUMNS = ("what", "name", "effect", "before", "after")


def takes_paths() -> bool:
    """Return whether a path on the server's machine may be named: it serves that machine alone.

    Not behind a login, where a proxy on this machine may stand for many others.
    """
    if roles.needs_login():
        return False
    names = st.get_option("server.allowedHosts") or LOOPBACK
    return st.get_option("server.address") in LOOPBACK and set(names) <= set(LOOPBACK)


def previews(db: Database) -> list[Preview]:
    """Return the files that were looked at and wait for a decision, the oldest first."""
    return uploads.previews(db.path)


def changes_table(
    rows: Collection[tuple[str, str, str, str, str]], hidden: Collection[str]
) -> pd.DataFrame:
    """Return changes with the columns COLUMNS, without accuracies of hidden test models.

    Args:
        rows: what, name, effect, before, after.
        hidden: models, see `database.hidden_models`.
    """
    return pd.DataFrame([_without_hidden(row, hidden) for row in rows], columns=list(COLUMNS))


def _without_hidden(
    row: tuple[str, str, str, str, str], hidden: Collection[str]
) -> tuple[str, str, str, str, str]:
    what, name, effect, before, after = row
    if what != "accuracy" or not any(name.startswith(f"{model} on ") for model in hidden):
        return row
    return what, name, effect, before and HIDDEN, after and HIDDEN


def in_words(counts: Collection[tuple[str, str, int]], n_unchanged: int = 0) -> str:
    """Return numbers of changes in words, such as `2 models added, 5 unchanged`."""
    told = [f"{counted(what, number)} {effect}" for effect, what, number in counts]
    if n_unchanged:
        told.append(f"{n_unchanged:,} unchanged")
    return ", ".join(told) or "nothing changes"


@st.cache_data(max_entries=8, show_spinner="Listing what depends on it")
def removal(db: Database, kind: str, names: tuple[str, ...]) -> Changes:
    """Return what the removal of things of a kind would take away; see `store.rehearse`."""
    return store.rehearse(db.path, store.removal(target(kind, names)))


def target(kind: str, names: tuple[str, ...]) -> Target:
    """Return what is to be removed.

    Raises:
        InputError: there is no such kind.
    """
    for known in get_args(Kind):
        if known == kind:
            return Target(known, names=names)
    raise InputError(f"what is removed is one of {', '.join(get_args(Kind))}, got {kind!r}")
