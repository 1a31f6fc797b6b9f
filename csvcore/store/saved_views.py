"""Views of the dashboard that users keep by name: a page and the parameters of its address."""

from dataclasses import dataclass

from csvcore import values
from csvcore.errors import InputError
from csvcore.store.rows import Connection, first

LONGEST_NAME = 100  # characters
LONGEST_QUERY = 8000  # characters, about what browsers and proxies take as an address


@dataclass(frozen=True, slots=True)
class SavedView:
    """A page by its address, empty for the Overview, and the parameters, as `a=1&b=2`."""

    name: str
    page: str
    query: str


def saved_views(db: Connection) -> list[SavedView]:
    """Return all saved views by name."""
    rows = db.execute("SELECT name, page, query FROM saved_views ORDER BY name").fetchall()
    return [SavedView(*row) for row in rows]


def add_saved_view(db: Connection, view: SavedView) -> None:
    """Store a view.

    Raises:
        InputError: another view has the name, or name or parameters are too long.
    """
    name = values.name(view.name, "the name of a view")
    if len(name) > LONGEST_NAME:
        raise InputError(
            f"the name of a view has {len(name)} characters, at most {LONGEST_NAME} are kept; "
            "shorten it"
        )
    if len(view.query) > LONGEST_QUERY:
        raise InputError(
            f"the choices of this view take {len(view.query):,} characters, at most "
            f"{LONGEST_QUERY:,} are kept; choose fewer"
        )
    if first(db, "SELECT 1 FROM saved_views WHERE name = ?", [name]) is not None:
        raise InputError(f"a view is called {name!r} already; remove it or choose another name")
    db.execute("INSERT INTO saved_views VALUES (?, ?, ?)", [name, view.page, view.query])


def remove_saved_view(db: Connection, name: str) -> None:
    """Remove the view of this name, if there is one."""
    db.execute("DELETE FROM saved_views WHERE name = ?", [name])
