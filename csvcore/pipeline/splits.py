"""Splits made from a preset or from another split, and stored."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from csvcore import splits, store, values
from csvcore.errors import InputError
from csvcore.records import SIDES, ModelCard, Side
from csvcore.store import Connection

N_NAMED = 3  # models that a split's name names; more get a count and a hash


def make_split(
    database: Path, name: str, start: str, test: Sequence[str] = ()
) -> tuple[str, list[str]]:
    """Store a split made from another one; return a message and a sentence for every leak.

    It replaces a split of the same name; fits of the old one become stale.

    Args:
        database: the results database.
        name: what to store it as.
        start: the name of a stored split, else a preset over all stored models: `by-size`,
            `table-2` or `without-FAMILY`.
        test: models that test in place of the test models of `start`; the others of it stay.

    Raises:
        InputError: `start` is neither, a model is not stored, or fewer than 3 models would train.
    """
    name = values.name(name, "the name of a split")
    with store.connect(database) as db:
        cards = store.models(db)
        sides = _started(db, start, cards)
        if test:
            kept = {model: side for model, side in sides.items() if side != "test"}
            sides = kept | dict.fromkeys(test, "test")
        checked = splits.check_split(dict(sides), [card.model for card in cards])
        if name not in store.splits(db) or store.split(db, name) != checked:
            store.add_split(db, name, checked)
        fingerprints = [
            fingerprint(db, str(corpus))
            for corpus in store.corpora(db)["corpus"]
            for fingerprint in (store.loss_fingerprints, store.weight_fingerprints)
        ]
    count = [(side, list(checked.values()).count(side)) for side in SIDES]
    sizes = ", ".join(f"{number} {side}" for side, number in count if number)
    return f"split {name}: {sizes}", splits.leaks(cards, checked, fingerprints)


def ready_split(database: Path, split: str, test: Sequence[str] = ()) -> tuple[str, list[str]]:
    """Return a stored split's name and messages; make and store the split if needed.

    Args:
        database: the results database.
        split: the name of a stored split, or a preset of `make_split`.
        test: models that test in place of the split's; the split is then stored as
            `by-size on a, b`.

    Raises:
        InputError: see `make_split`.
    """
    with store.connect(database, read_only=True) as db:
        is_stored = split in store.splits(db)
    if is_stored and not test:
        return split, []
    name = f"{split} on {_listed(test)}" if test else split
    message, leaks = make_split(database, name, split, test)
    return name, [message, *leaks]


def _listed(models: Sequence[str]) -> str:
    named = ", ".join(sorted(set(models)))
    if len(set(models)) <= N_NAMED:
        return named
    return f"{len(set(models))} models {hashlib.sha256(named.encode()).hexdigest()[:6]}"


def _started(db: Connection, start: str, cards: Sequence[ModelCard]) -> dict[str, Side]:
    stored = store.splits(db)
    if start in stored:
        return store.split(db, start)
    if start == "by-size":
        return splits.by_size(cards)
    if start == "table-2":
        return splits.table_2(cards)[0]
    if start.startswith(splits.WITHOUT):
        return splits.leave_one_family_out(cards, start.removeprefix(splits.WITHOUT))
    raise InputError(
        f"there is no split {start!r}; stored: {', '.join(stored) or 'none'}; presets: by-size, "
        f"table-2, {splits.WITHOUT}FAMILY"
    )
