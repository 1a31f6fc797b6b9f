"""Rows that csvcore would not have stored: of a damaged database, or of one from elsewhere."""

from collections.abc import Callable, Iterator

from csvcore.errors import StoreError
from csvcore.store.capabilities import capabilities
from csvcore.store.fits import control, fit, fits
from csvcore.store.measurements import manifests
from csvcore.store.mixes import mixes
from csvcore.store.rows import Connection

SHOWN = 3  # names of rows in a sentence

# What rows are of, the query for the names of those that break the rule, and the rule.
RULES: dict[str, tuple[str, str]] = {
    "models": (
        "SELECT model FROM models GROUP BY model "
        "HAVING count(*) > 1 OR model IS NULL OR any_value(family) IS NULL",
        "a model stands there once, with its family",
    ),
    "tasks": (
        "SELECT task FROM tasks GROUP BY task HAVING count(*) > 1 OR task IS NULL "
        "OR NOT coalesce(any_value(chance) >= 0 AND any_value(chance) < 1, false)",
        "a task stands there once, with a chance level from 0 to below 1",
    ),
    "accuracies": (
        "SELECT model || ' on ' || task FROM accuracies GROUP BY model, task HAVING count(*) > 1 "
        "OR NOT coalesce(any_value(accuracy) BETWEEN 0 AND 1, false)",
        "a model has one accuracy on a task, from 0 to 1",
    ),
    "item results": (
        "SELECT DISTINCT model || ' on ' || task FROM item_results GROUP BY model, task, item "
        "HAVING count(*) > 1 OR NOT coalesce(any_value(correct) BETWEEN 0 AND 1, false)",
        "a model has one result on an item, from 0 to 1",
    ),
    "splits": (
        "SELECT DISTINCT split FROM splits GROUP BY split, model HAVING count(*) > 1 OR NOT "
        "coalesce(any_value(side) IN ('train', 'validation', 'test'), false)",
        "a model is on one side of a split: train, validation or test",
    ),
    "fits": (
        "SELECT fit FROM fits GROUP BY fit HAVING count(*) > 1 OR NOT coalesce("
        "isfinite(any_value(alpha) + any_value(beta) + any_value(gamma)), false)",
        "a fit stands there once, with the numbers of its law",
    ),
    "predictions": (
        "SELECT DISTINCT fit FROM predictions LEFT JOIN models USING (model) WHERE family IS NULL "
        "OR NOT coalesce(isfinite(score + accuracy + predicted + low + high), false)",
        "a fit predicts stored models, in numbers",
    ),
    "weights": (
        "SELECT DISTINCT fit FROM weights JOIN fits USING (fit) "
        "LEFT JOIN documents USING (corpus, doc_id) WHERE NOT coalesce("
        "byte_end[1] > 0 AND byte_end[-1] = strlen(text) AND list_sort(byte_end) = byte_end "
        "AND coalesce(len(weight) = len(byte_end) AND isfinite(list_sum(weight)), "
        "weight IS NULL), false)",
        "a fit has a weight for every token, and its tokens tile the text",
    ),
}


def unsound(db: Connection) -> Iterator[tuple[str, str]]:
    """Yield what rows are of, and a sentence on those that break its rule."""
    for what, (query, rule) in RULES.items():
        names = sorted(str(row[0]) for row in db.execute(query).fetchall())
        if names:
            more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
            yield what, f"{', '.join(names[:SHOWN])}{more}: {rule}; remove them or the database"
    yield from _unreadable(db)


def _unreadable(db: Connection) -> Iterator[tuple[str, str]]:
    """Yield the first of each kind of records that cannot be read."""
    reading: list[tuple[str, str, Callable[..., object]]] = [
        ("fits", "SELECT 1", lambda _: fits(db)),
        ("fits", "SELECT fit FROM fits", lambda name: (fit(db, name), control(db, name))),
        ("manifests", "SELECT DISTINCT corpus FROM manifests", lambda key: manifests(db, key)),
        (
            "mixes",
            "SELECT corpora, split, task FROM mixes",
            lambda corpora, *rest: mixes(db, corpora.split("+"), *rest),
        ),
        (
            "shared factors",
            "SELECT corpus, split FROM capabilities",
            lambda corpus, split: capabilities(db, corpus, split),
        ),
    ]
    for what, query, read in reading:
        try:
            for key in db.execute(query).fetchall():
                read(*key)
        except StoreError as error:
            yield what, str(error)
