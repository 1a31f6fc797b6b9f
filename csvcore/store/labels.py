"""Names, notes and pins that users give to fits; `store.fits` lists them."""

from dataclasses import dataclass

from csvcore import values
from csvcore.errors import InputError
from csvcore.store.rows import Connection, first

LONGEST_NOTE = 2000  # characters


@dataclass(frozen=True, slots=True)
class FitLabel:
    """Name, note and pin of a fit; an empty name or note is none."""

    name: str = ""
    note: str = ""
    pinned: bool = False


def fit_label(db: Connection, fit: str) -> FitLabel:
    """Return the label of a fit, an empty one if it has none.

    Raises:
        InputError: the id is unknown.
    """
    row = first(
        db,
        """
        SELECT coalesce(name, ''), coalesce(note, ''), coalesce(pinned, false)
        FROM fits LEFT JOIN fit_labels USING (fit) WHERE fit = ?
        """,
        [fit],
    )
    if row is None:
        raise InputError(f"there is no fit {fit!r}; `csvcore fits` lists them")
    return FitLabel(*row)


def label_fit(db: Connection, fit: str, label: FitLabel) -> None:
    """Store the label of a fit in place of its last one; an empty one is removed.

    Raises:
        InputError: the fit is unknown, another fit has the name, or name or note are too long.
    """
    fit_label(db, fit)
    name = values.name(label.name, "the name of a fit") if label.name else None
    if len(label.note) > LONGEST_NOTE:
        raise InputError(
            f"the note has {len(label.note):,} characters, at most {LONGEST_NOTE:,} are kept; "
            "shorten it"
        )
    other = first(db, "SELECT fit FROM fit_labels WHERE name = ? AND fit != ?", [name, fit])
    if other is not None:
        raise InputError(f"the fit {other[0]} is called {name!r} already; choose another name")
    db.execute("DELETE FROM fit_labels WHERE fit = ?", [fit])
    if label != FitLabel():
        db.execute(
            "INSERT INTO fit_labels VALUES (?, ?, ?, ?)",
            [fit, name, label.note or None, label.pinned],
        )


def fit_named(db: Connection, name: str) -> str:
    """Return the id of a fit from its id or its name.

    Raises:
        InputError: there is neither.
    """
    row = first(
        db,
        "SELECT fit FROM fits LEFT JOIN fit_labels USING (fit) WHERE fit = $name OR name = $name "
        "ORDER BY fit != $name",
        {"name": name},
    )
    if row is None:
        raise InputError(f"there is no fit {name!r}; `csvcore fits` lists them")
    return str(row[0])
