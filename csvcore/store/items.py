"""Storage of item results: the result of each model on each item of a task."""

from collections.abc import Iterable, Iterator, Sequence

import pandas as pd
import pyarrow as pa

from csvcore.errors import DifferentError, InputError, StoreError
from csvcore.store.rows import Connection, first, insert

BATCH = 200_000  # rows that are in memory at once
TOLERANCE = 1e-4  # between an accuracy and the mean of its items: files round accuracies


def add_item_results(db: Connection, parts: Iterable[pa.Table]) -> int:
    """Store item results and return how many were new.

    A model without an accuracy on a task gets the mean of its items, and their number as n_items.

    Args:
        db: the results database.
        parts: tables of model, task, item and correct, from `formats.item_results`.

    Raises:
        InputError: as `compare_item_results`, or an accuracy is stored that differs from the mean
            of the items by more than TOLERANCE.
    """
    found = compare_item_results(db, parts)
    for row in found[differs(found)].itertuples():
        raise DifferentError(
            f"{row.model} on {row.task} has the accuracy {row.stored_accuracy:g}, the mean of its "
            f"{row.n_items} items is {row.accuracy:g}; bring the results that the accuracy is of, "
            "or the right accuracy into another database",
            f"{row.model} on {row.task} is stored with another accuracy than the mean of its "
            f"{row.n_items} items; bring the results that the accuracy is of",
        )
    n_new = db.execute(
        """
        INSERT INTO item_results BY NAME
        SELECT * FROM incoming_items ANTI JOIN item_results USING (model, task)
        ORDER BY model, task, item
        """
    ).fetchall()[0][0]
    db.execute(
        """
        INSERT INTO accuracies BY NAME
        SELECT model, task, avg(correct) AS accuracy, count(*) AS n_items
        FROM incoming_items ANTI JOIN accuracies USING (model, task) GROUP BY model, task
        """
    )
    db.execute("DROP TABLE incoming_items")
    return int(n_new)


def differs(found: pd.DataFrame) -> pd.Series:
    """Return which rows of `compare_item_results` contradict a stored accuracy."""
    return (found["accuracy"] - found["stored_accuracy"]).abs() > TOLERANCE


def compare_item_results(db: Connection, parts: Iterable[pa.Table]) -> pd.DataFrame:
    """Compare item results with what is stored; they stay in the temporary table incoming_items.

    Returns:
        A row for each model and task: model, task, n_items, accuracy (the items' mean), n_stored
        (items stored before), stored_accuracy (missing where there is none).

    Raises:
        InputError: a model or task is not stored, an item has two results in the file, a stored
            item has another result, or a model and task have some items stored and others in the
            file.
    """
    db.execute(
        "CREATE OR REPLACE TEMP TABLE incoming_items "
        "(model VARCHAR, task VARCHAR, item VARCHAR, correct DOUBLE)"
    )
    for part in parts:
        insert(db, "incoming_items", part)
    _refuse_unknown(db)
    tasks = db.execute("SELECT DISTINCT task FROM incoming_items ORDER BY task").fetchall()
    for (task,) in tasks:  # one at a time, since these checks keep every item of it in memory
        _count_repeats_once(db, task)
        _refuse_other_results(db, task)
    found: pd.DataFrame = db.execute(
        """
        SELECT model, task, n_here AS n_items, mean AS accuracy,
            coalesce(n_stored, 0) AS n_stored, n_new,
            accuracies.accuracy AS stored_accuracy
        FROM (SELECT model, task, count(*) AS n_here, avg(correct) AS mean
              FROM incoming_items GROUP BY model, task)
        LEFT JOIN (SELECT model, task, count(*) AS n_stored FROM item_results GROUP BY model, task)
            USING (model, task)
        LEFT JOIN (SELECT model, task, count(*) AS n_new
                   FROM incoming_items ANTI JOIN item_results USING (model, task, item)
                   GROUP BY model, task) USING (model, task)
        LEFT JOIN accuracies USING (model, task)
        ORDER BY model, task
        """
    ).df()
    for row in found[(found["n_stored"] > 0) & found["n_new"].notna()].itertuples():
        raise InputError(
            f"{row.n_stored} items of {row.model} on {row.task} are stored, the file has "
            f"{row.n_new:.0f} others; bring all items of a model on a task in one file"
        )
    # of models and tasks that are stored already, the file may have a part
    whole = found["n_stored"] == 0
    found["stored_accuracy"] = found["stored_accuracy"].where(whole)
    return found.drop(columns="n_new")


def _refuse_unknown(db: Connection) -> None:
    for what in ("model", "task"):
        query = f"SELECT min({what}) FROM incoming_items ANTI JOIN {what}s USING ({what})"
        name = db.execute(query).fetchall()[0][0]
        if name is not None:
            raise InputError(
                f"item results name the {what} {name!r}, which is not stored; "
                f"`csvcore import {what}s` first"
            )


def _count_repeats_once(db: Connection, task: str) -> None:
    """Remove equal repeats; refuse an item with two results."""
    repeated = first(
        db,
        """
        SELECT model, item, min(correct) AS low, max(correct) AS high FROM incoming_items
        WHERE task = ? GROUP BY model, item HAVING count(*) > 1
        ORDER BY low = high, model, item LIMIT 1
        """,
        [task],
    )
    if repeated is None:
        return
    model, item, low, high = repeated
    if low != high:
        raise InputError(
            f"item {item} of {task} by {model} stands there twice with different results, "
            f"{low:g} and {high:g}; keep one"
        )
    db.execute(
        "CREATE TEMP TABLE kept AS SELECT DISTINCT * FROM incoming_items WHERE task = ?", [task]
    )
    db.execute("DELETE FROM incoming_items WHERE task = ?", [task])
    db.execute("INSERT INTO incoming_items FROM kept")
    db.execute("DROP TABLE kept")


def _refuse_other_results(db: Connection, task: str) -> None:
    other = first(
        db,
        """
        SELECT model, item, s.correct, i.correct
        FROM (SELECT * FROM incoming_items WHERE task = $task) i
        JOIN (SELECT * FROM item_results WHERE task = $task) s USING (model, item)
        WHERE i.correct != s.correct ORDER BY model, item LIMIT 1
        """,
        {"task": task},
    )
    if other:
        raise InputError(
            f"item {other[1]} of {task} by {other[0]} is stored with the result {other[2]:g}, "
            f"the file says {other[3]:g}; name the task otherwise, or bring it into another "
            "database"
        )


def item_results(db: Connection) -> Iterator[pa.Table]:
    """Yield all item results in parts, by model, task and item: tables of these and correct."""
    for batch in db.sql(
        "SELECT model, task, item, correct FROM item_results ORDER BY model, task, item"
    ).to_arrow_reader(BATCH):
        yield pa.Table.from_batches([batch])


def results_by_item(db: Connection, task: str, models: Sequence[str] | None = None) -> pd.DataFrame:
    """Return the results on a task: a row for each item, a column for each model, both by name.

    A cell is NaN where the model has no result. Whole numbers among the items come in order.

    Args:
        db: an open database.
        task: its name.
        models: names; None stands for all. One without item results on the task has no column.
    """
    chosen = "" if models is None else "AND model IN (SELECT unnest($models))"
    values = {"task": task} | ({} if models is None else {"models": list(models)})
    rows = db.execute(
        f"""
        SELECT item, model, correct FROM item_results WHERE task = $task {chosen}
        ORDER BY try_cast(item AS BIGINT) NULLS LAST, item, model
        """,
        values,
    ).df()
    twice = rows[rows.duplicated(["item", "model"])]
    if len(twice):
        raise StoreError(
            f"the result of {twice['model'].iloc[0]} on item {twice['item'].iloc[0]} of {task} "
            "stands there twice; remove these item results with their accuracies "
            "(`csvcore remove accuracies`) and import them again"
        )
    order = rows["item"].drop_duplicates()
    return rows.pivot(index="item", columns="model", values="correct").reindex(order)


def has_item_results(db: Connection) -> set[tuple[str, str]]:
    """Return the model and task of all item results."""
    return set(db.execute("SELECT DISTINCT model, task FROM item_results").fetchall())
