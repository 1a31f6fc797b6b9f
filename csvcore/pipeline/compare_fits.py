"""Two stored fits side by side."""

from pathlib import Path

from csvcore import frames, store
from csvcore.frames import TwoFits
from csvcore.splits import run_of


def compare_fits(database: Path, a: str, b: str) -> TwoFits:
    """Compare two stored fits, each given by its id or its name.

    Raises:
        InputError: there is no such fit.
    """
    with store.connect(database, read_only=True) as db:
        left, right = (store.fit(db, store.fit_named(db, name)) for name in (a, b))
        units = (store.fit_units(db, left.fit), store.fit_units(db, right.fit))
        runs = {card.model: run_of(card) for card in store.models(db)}
        return frames.side_by_side(left, right, units, store.documents(db, left.corpus), runs)
